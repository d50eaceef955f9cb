package app

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAStoreThatFailedEndsReadiness(t *testing.T) {
	c := Default()
	c.HTTP.Addr, c.Store.Driver = "127.0.0.1:0", "memory"
	a, err := New(c, Build{}, NewLogger(c, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		a.end()
		if err := a.close(); err != nil {
			t.Error(err)
		}
	}()
	demand := func(ok bool, detail string) {
		t.Helper()
		for _, check := range a.checks(t.Context(), true) {
			if check.Name == "store" && (check.OK != ok || !check.Needed || !strings.Contains(check.Detail, detail)) {
				t.Errorf("the store's check is %+v, want ok %v and %q", check, ok, detail)
			}
		}
	}
	demand(true, "head at position 0")
	a.parts(nil).failed(errors.New("the disk is gone"))
	demand(false, "no more writes until a restart")
}

func TestMetricsAndProfilesAreNotForPagesThatPointTheirNameHere(t *testing.T) {
	for name, configured := range map[string]struct {
		change  func(*Config)
		foreign int // what a name that is not this machine's is answered
	}{
		"beside the API":                    {func(*Config) {}, http.StatusForbidden},
		"on a listener of their own":        {func(c *Config) { c.Admin.Addr = "127.0.0.1:0" }, http.StatusForbidden},
		"where the API asks who is there":   {func(c *Config) { c.Admin.Addr, c.Auth.Mode = "127.0.0.1:0", authRequired }, http.StatusForbidden},
		"behind a proxy":                    {func(c *Config) { c.Admin.Addr, c.BehindTLSProxy = "127.0.0.1:0", true }, http.StatusOK},
		"where everybody may do everything": {func(c *Config) { c.Admin.Addr, c.InsecureAnonymous = "127.0.0.1:0", true }, http.StatusOK},
		"beside the API that all may ask":   {func(c *Config) { c.InsecureAnonymous = true }, http.StatusOK},
		"on a listener that asks who is there": {func(c *Config) {
			c.Admin.Addr, c.Auth.Mode, c.BehindTLSProxy = "0.0.0.0:0", authRequired, true
		}, http.StatusUnauthorized},
	} {
		c := Default()
		c.HTTP.Addr, c.Store.Driver = "127.0.0.1:0", "memory"
		configured.change(&c)
		a, err := New(c, Build{}, NewLogger(c, io.Discard))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		handler, paths := a.api, []string{"/metrics"}
		if a.admin != nil {
			handler, paths = a.adminAPI, []string{"/metrics", "/debug/pprof/", "/debug/pprof/symbol", "/debug/pprof/nothing"}
		}
		own := http.StatusOK
		if configured.foreign == http.StatusUnauthorized {
			own = configured.foreign
		}
		for _, path := range paths {
			for host, want := range map[string]int{"localhost:9090": own, "127.0.0.1:9090": own, "[::1]:9090": own, "evil.example.com:9090": configured.foreign, "": configured.foreign} {
				if path == "/debug/pprof/nothing" && want == http.StatusOK {
					want = http.StatusNotFound
				}
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Host, r.RemoteAddr = host, "127.0.0.1:1234"
				answered := httptest.NewRecorder()
				handler.ServeHTTP(answered, r)
				if answered.Code != want {
					t.Errorf("%s: %s of %q is answered %d, want %d", name, path, host, answered.Code, want)
				}
			}
		}
		a.end()
		if err := a.close(); err != nil {
			t.Error(err)
		}
	}
}
