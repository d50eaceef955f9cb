package httpapi

import (
	"context"
	"strings"
	"testing"

	"daybook/core/engine"
	"daybook/core/ports"
)

// awayViews are views that cannot be asked how far they are.
type awayViews struct{ ports.Views }

func (awayViews) Progress(context.Context) (ports.Progress, error) {
	return ports.Progress{}, ports.ErrViewUnavailable
}

// A position that is made up would look to an operator as if the views had lost everything.
func TestStatusSaysWhatItDoesNotKnowOfViewsThatCannotBeAsked(t *testing.T) {
	w := newWorld(t, func(o *options) {
		o.noViews = true
		o.configure = func(e *engine.Options) { e.Views = awayViews{e.Views} }
	})
	w.create("a", "5")
	a := w.get("/v1/status")
	want := `{"head":2,"archived":0,"views":[{"name":"accounts","open":false,"reason":"` + ports.ErrViewUnavailable.Msg + `"}],"parked":[],"queued":0,`
	if a.status != 200 || !strings.HasPrefix(a.body, want) {
		t.Errorf("got %d %s, want %s…", a.status, a.body, want)
	}
}

func TestStatusAndHealthTellHowItStands(t *testing.T) {
	ready := []Check{{Name: "store", OK: true, Needed: true}, {Name: "views", OK: false, Detail: "rebuilding"}}
	w := newWorld(t, func(o *options) { o.api.Ready = readyChecks(&ready) })
	w.create("a", "5")
	w.get("/v1/accounts", w.fresh())
	if a := w.get("/v1/status"); a.body != `{"head":2,"archived":0,"views":[{"name":"accounts","position":2,"lag":0,"open":true}],"parked":[],"parkedCount":0,"queued":0,"drivers":{"store":"memory","bus":"memory","views":"memory"},"build":{"version":"1.2.3"}}` {
		t.Errorf("got %s", a.body)
	}
	if a := w.get("/readyz"); a.status != 200 || a.body != `{"status":"ok"}` {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := w.get("/readyz?verbose"); !strings.Contains(a.body, `{"name":"views","ok":false,"needed":false,"detail":"rebuilding"}`) {
		t.Errorf("got %s", a.body)
	}
	ready[0].OK = false
	if a := w.get("/readyz"); a.status != 503 || a.body != `{"status":"unavailable"}` {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := w.get("/livez"); a.status != 200 {
		t.Errorf("got %d", a.status)
	}
}
