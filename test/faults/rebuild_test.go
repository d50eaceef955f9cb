package faults

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"daybook/test/cluster"
	"daybook/test/faulttable"
)

// slowRebuild is how long a rebuild may take through a slow network, on a machine that starts servers beside.
const slowRebuild = 2 * recovery

// Whoever takes the views over goes on with the rebuild that the other one began.
func TestTheProjectorKilledInTheMiddleOfARebuildIsGoneOnFor(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F55", faulttable.Production, again())
	faulttable.Covers(t, "F56", faulttable.Production, again())
	w := prepare(t, place{})
	n := between(t, w.search)
	w.through(place{elastic: n.host()})
	w.up()
	w.caughtUp() // so that there is something to be answered from
	for round := range times(1) {
		s := w.during("the projector killed with -9 in the middle of a rebuild", func() {
			holder, _ := w.holder(viewsLease)
			end := n.delay(200) // so that there is a middle
			operation := w.rebuild()
			cluster.Within(t, slowRebuild, "the rebuild is under way", func(ctx context.Context) error {
				var begun int64
				if err := w.ask(ctx, "SELECT position FROM daybook.checkpoints WHERE name = 'views rebuild begun'", &begun); err != nil || begun == int64(round)+1 {
					return err
				}
				return fmt.Errorf("%d rebuilds were begun", begun)
			})
			if state := w.stateOf(t.Context(), operation); state != "running" {
				t.Errorf("the rebuild was %s before anybody was killed", state)
			}
			holder.Kill()
			end()
			cluster.Within(t, slowRebuild, "another goes on with the rebuild", func(ctx context.Context) error {
				if state := w.stateOf(ctx, operation); state != "done" {
					return fmt.Errorf("it is %s", state)
				}
				return nil
			})
			holder.Start()
		})
		undisturbed(t, s)
		if s.Views["503 view_rebuilding"] > 0 {
			t.Errorf("a reader was turned away: %v", s)
		}
	}
	w.settle()
}

// rebuild asks for a rebuild of the views in Elasticsearch and gives where it can be looked at.
func (w *world) rebuild() (operation string) {
	w.t.Helper()
	res, err := http.Post(w.apis[1].URL()+"/v1/admin/rebuild", "", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		w.t.Fatalf("a rebuild was answered %s", res.Status)
	}
	return w.apis[1].URL() + res.Header.Get("Location")
}

// stateOf is the state of an operation, or why it cannot be told.
func (w *world) stateOf(ctx context.Context, operation string) string {
	var op struct {
		State string `json:"state"`
	}
	if err := cluster.Get(ctx, operation, &op); err != nil {
		return err.Error()
	}
	return op.State
}
