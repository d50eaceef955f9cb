package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"daybook/adapters/memviews"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// rebuilt runs a rebuild to its end.
func (w *world) rebuilt() []Comparison {
	w.t.Helper()
	compared, err := w.engine.projector.rebuild(context.Background(), false, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return compared
}

func TestARebuildTellsWhatWasNotAsItShouldBe(t *testing.T) {
	faulttable.Covers(t, "F54", faulttable.Memory)
	faulttable.Covers(t, "F58", faulttable.Memory)
	w := newWorld(t)
	w.startProjector()
	w.must(w.create("a"), w.create("b"), w.create("c"), w.deposit("a", 5))
	w.catchUp()
	d, at, err := w.engine.View(t.Context(), w.module, "a")
	if err != nil {
		t.Fatal(err)
	}
	values := append([]es.Value(nil), d.Values...)
	values[w.module.View.Field("balance")].Int = 6
	ghost := es.Document{ID: "ghost", Version: 1, Values: append([]es.Value(nil), values...)}
	ghost.Values[w.module.View.Field("id")].Str = "ghost"
	wrong := []ports.Change{{View: "accounts", Document: es.Document{ID: "a", Version: d.Version, Values: values}}, {View: "accounts", Document: ghost}}
	wrong = append(wrong, ports.Change{View: "accounts", Document: es.Document{ID: "b", Version: 1, Parked: "by hand"}})
	if err := w.engine.Views.Write(t.Context(), 0, wrong, at, at, es.Hash{}); err != nil {
		t.Fatal(err)
	}
	c := w.rebuilt()[0]
	if c.Equal() || c.Same != 1 || c.Added != 0 || c.Removed != 1 || c.Changed != 2 {
		t.Errorf("got %+v", c)
	}
	if len(c.First) != 3 || c.First[0] != (Difference{"a", "balance", "6", "5"}) || c.First[1].Field != "parked" || c.First[2].ID != "ghost" {
		t.Errorf("the differences are %+v", c.First)
	}
	if len(w.observed.failed) != 1 || !strings.Contains(w.observed.failed[0], `a balance: "6", now "5"`) {
		t.Errorf("the observer was told %q", w.observed.failed)
	}
	if got, err := w.viewBalance("a"); got != 5 || err != nil {
		t.Errorf("after the swap a shows %d, %v", got, err)
	}
	w.must(w.deposit("a", 1), w.deposit("b", 2))
	w.catchUp()
	if got, err := w.viewBalance("b"); got != 2 || err != nil {
		t.Errorf("what follows the swap shows %d, %v", got, err)
	}
	if c := w.rebuilt()[0]; !c.Equal() || c.Same != 3 || c.Old == "" {
		t.Errorf("the second rebuild finds %+v", c)
	}
}

// sharedViews stand for those of several processes. The set beside fails to Write while stuck is there.
type sharedViews struct {
	ports.Views
	stuck  error
	resets int
}

func (*sharedViews) Shared() bool { return true }

func (v *sharedViews) Beside(ctx context.Context, token ports.Token) (ports.ViewSet, error) {
	set, err := v.Views.Beside(ctx, token)
	return &stuckSet{set, v}, err
}

type stuckSet struct {
	ports.ViewSet
	of *sharedViews
}

func (s *stuckSet) Reset(ctx context.Context, token ports.Token) error {
	s.of.resets++
	return s.ViewSet.Reset(ctx, token)
}

func (s *stuckSet) Open(ctx context.Context, token ports.Token) error {
	if s.of.stuck != nil {
		return s.of.stuck
	}
	return s.ViewSet.Open(ctx, token)
}

func TestARebuildOfSharedViewsGoesOnWhereTheOneThatWasKilledStopped(t *testing.T) {
	faulttable.Covers(t, "F56", faulttable.Memory)
	synctest.Test(t, func(t *testing.T) {
		var views *sharedViews
		w := newWorld(t, func(o *Options) {
			views = &sharedViews{Views: memviews.New(o.Registry), stuck: errors.New("killed")}
			o.Views = views
		})
		w.must(w.create("a"), w.deposit("a", 5))
		w.catchUp()
		ctx := t.Context()
		err := w.engine.projector.rebuildShared(ctx, 1)
		if progress, _ := views.Progress(ctx); !errors.Is(err, views.stuck) || progress.Beside != 2 || !progress.Open {
			t.Fatalf("got %v at %+v", err, progress)
		}
		w.must(w.deposit("a", 2))
		views.stuck = nil
		second := w.again(func(o *Options) { o.Views = views }).projector
		if err := second.rebuildShared(ctx, 1); err != nil || views.resets != 1 {
			t.Fatalf("the second process ends with %v after %d resets, want 1", err, views.resets)
		}
		if done, err := w.store.Checkpoint(ctx, rebuildDone); done != 1 || err != nil || !second.compared.Load().compared[0].Equal() {
			t.Errorf("%d rebuilds are done, %v", done, err)
		}
		if got, err := w.viewBalance("a"); got != 7 || err != nil {
			t.Errorf("a shows %d, %v", got, err)
		}
		if err := second.rebuildShared(ctx, 2); err != nil || views.resets != 2 {
			t.Errorf("the next rebuild ends with %v after %d resets, want 2", err, views.resets)
		}
	})
}
