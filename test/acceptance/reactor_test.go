package acceptance

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"daybook/app"
	"daybook/core/engine"
	"daybook/test/faulttable"
	"daybook/test/notifier"
)

func TestAReactorIsToldOnceMoreAfterAFailureAndNeverByARebuild(t *testing.T) {
	faulttable.Covers(t, "F55", faulttable.Embedded)
	var failing atomic.Bool
	told := make(chan string, 10)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failing.CompareAndSwap(true, false) {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		told <- r.Header.Get("Idempotency-Key")
	}))
	defer outside.Close()
	dir := t.TempDir()
	reactors := app.Extension{Reactors: []engine.Reactor{notifier.New(outside.URL, time.Time{})}}
	heard := map[string]bool{}
	hears := func(want string) {
		t.Helper()
		for got := ""; got != want; {
			select {
			case got = <-told:
				if got != want && !heard[got] { // what it was told before a stop it may be told again
					t.Errorf("told of %s, want %s", got, want)
				}
				heard[got] = true
			case <-time.After(20 * time.Second):
				t.Fatalf("not told of %s", want)
			}
		}
	}

	d := start(t, onPebble(dir), reactors)
	d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
	failing.Store(true)
	d.post("/v1/accounts/a/freeze", `{"reason":"a court order"}`).want(t, 200)
	hears("evt-2") // the second time it was sent
	d.rebuilt()
	d.post("/v1/accounts/a/unfreeze", `{"reason":"withdrawn"}`).want(t, 200)
	d.post("/v1/accounts/a/freeze", `{"reason":"another"}`).want(t, 200)
	hears("evt-4") // and nothing before: filling the views anew told nobody
	d.stop()

	d = start(t, onPebble(dir), reactors)
	d.post("/v1/accounts/a/unfreeze", `{"reason":"withdrawn"}`).want(t, 200)
	d.post("/v1/accounts/a/freeze", `{"reason":"a third"}`).want(t, 200)
	hears("evt-6") // it went on where it was
}
