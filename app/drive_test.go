package app

import (
	"errors"
	"io"
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
