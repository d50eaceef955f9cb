package app

import (
	"slices"
	"strings"
	"testing"
)

// What may be reached by whom, and what is refused at the start with words that say what to do.
func TestAListenerThatOthersReachNeedsAuthenticationAndTLS(t *testing.T) {
	const (
		open     = "--http.addr=0.0.0.0:8080"
		required = "--auth.mode=required"
		proxy    = "--behind-tls-proxy"
		insecure = "--insecure-allow-anonymous"
		cert     = "--http.tls.cert=c.pem"
		key      = "--http.tls.key=k.pem"
	)
	for _, c := range []struct {
		args []string
		want []string // words of the refusal; nil: it starts
	}{
		{nil, nil},
		{[]string{required}, nil},
		{[]string{"--http.addr=localhost:8080"}, nil},
		{[]string{"--http.addr=[::1]:8080"}, nil},
		{[]string{"--http.addr=127.9.9.9:8080"}, nil},
		{[]string{open}, []string{"0.0.0.0:8080", "--auth.mode required", "daybook keys create", "--http.tls.cert", "--behind-tls-proxy", "127.0.0.1", "--insecure-allow-anonymous"}},
		{[]string{"--http.addr=:8080"}, []string{":8080", "--auth.mode required"}},
		{[]string{"--http.addr=[::]:8080"}, []string{"--auth.mode required"}},
		{[]string{"--http.addr=192.0.2.1:8080"}, []string{"--auth.mode required"}},
		{[]string{"--http.addr=ledger.example.com:8080"}, []string{"--auth.mode required"}},
		{[]string{"--http.addr=localhost.example.com:8080"}, []string{"--auth.mode required"}},
		{[]string{open, required}, []string{"TLS"}},
		{[]string{open, proxy}, []string{"--auth.mode required"}},
		{[]string{open, cert, key}, []string{"--auth.mode required"}},
		{[]string{open, required, proxy}, nil},
		{[]string{open, required, cert, key}, nil},
		{[]string{open, insecure}, nil},
		{[]string{open, insecure, required}, []string{"insecure-allow-anonymous", "leave one of them out"}},
		{[]string{"--admin.addr=0.0.0.0:9090"}, []string{"admin.addr", "0.0.0.0:9090", "--auth.mode required"}},
		{[]string{"--admin.addr=0.0.0.0:9090", required, proxy}, nil},
		{[]string{"--admin.addr=127.0.0.1:9090", required}, nil},
		{[]string{cert}, []string{"a certificate needs its key"}},
		{[]string{key}, []string{"a certificate needs its key"}},
		{[]string{cert, key, proxy, required}, []string{"behind-tls-proxy"}},
	} {
		_, _, err := load(t, "", nil, c.args)
		wantProblems(t, strings.Join(c.args, " "), err, c.want)
	}
}

func wantProblems(t *testing.T, what string, err error, want []string) {
	t.Helper()
	if want == nil {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if err == nil {
		t.Errorf("%s: it starts", what)
		return
	}
	for _, word := range want {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %q does not say %q", what, err, word)
		}
	}
}

func TestASettingOfAuthenticationThatWouldDoNothingIsRefused(t *testing.T) {
	issued := []string{"--auth.mode=required", "--auth.oidc.issuer=https://login.example.com"}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--auth.oidc.issuer=https://login.example.com"}, []string{"--auth.oidc.issuer", "auth.mode is none"}},
		{[]string{"--auth.oidc.audience=daybook"}, []string{"--auth.oidc.audience", "auth.mode is none"}},
		{[]string{"--auth.jwks.path=keys.json"}, []string{"--auth.jwks.path", "auth.mode is none"}},
		{[]string{"--auth.oidc.roles=groups"}, []string{"--auth.oidc.roles", "auth.mode is none"}},
		{[]string{"--auth.oidc.type=JWT"}, []string{"--auth.oidc.type", "auth.mode is none"}},
		{[]string{"--auth.mode=required", "--auth.jwks.path=keys.json"}, []string{"auth.oidc.issuer"}},
		{[]string{"--auth.mode=required", "--auth.oidc.audience=daybook"}, []string{"auth.oidc.issuer"}},
		{issued, []string{"auth.oidc.audience"}},
		{append(slices.Clone(issued), "--auth.oidc.audience=daybook"), nil},
		{[]string{"--auth.mode=required", "--auth.oidc.issuer=http://login.example.com", "--auth.oidc.audience=daybook"}, []string{"https://"}},
		{[]string{"--auth.mode=optional"}, []string{`cannot be "optional"`}},
		{[]string{"--limits.requests=-1"}, []string{"from 0 on"}},
	} {
		_, _, err := load(t, "", nil, c.args)
		wantProblems(t, strings.Join(c.args, " "), err, c.want)
	}
}

func TestYesAndNoAreReadFromFilesAndVariablesToo(t *testing.T) {
	c, _, err := load(t, "behind-tls-proxy: true\n", nil, nil)
	if err != nil || !c.BehindTLSProxy {
		t.Errorf("of a file: %v, %v", c.BehindTLSProxy, err)
	}
	c, _, err = load(t, "behind-tls-proxy: true\n", []string{"DAYBOOK_BEHIND_TLS_PROXY=false", "DAYBOOK_API_KEY=dbk_x"}, nil)
	if err != nil || c.BehindTLSProxy {
		t.Errorf("of a variable: %v, %v", c.BehindTLSProxy, err)
	}
	_, _, err = load(t, "", []string{"DAYBOOK_BEHIND_TLS_PROXY=perhaps"}, nil)
	wantProblems(t, "perhaps", err, []string{"DAYBOOK_BEHIND_TLS_PROXY", "true or false"})
	_, _, err = load(t, "behind-tls-proxy: 1\n", nil, nil)
	wantProblems(t, "a number", err, []string{":1", "true or false"})
}
