package engine

import (
	"context"
	"sync/atomic"
	"testing"

	"daybook/adapters/memstore"
	"daybook/core/es"
	"daybook/core/ports"
)

// goBack gives the world a store that has the first events alone, as after a failover to a server that had not got the others yet.
// From there on another process writes.
func (w *world) goBack(keep int, others ...Request) {
	w.t.Helper()
	old := memstore.New()
	w.t.Cleanup(func() { _ = old.Close() })
	unit, err := old.Begin(w.t.Context(), ports.Needs{})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := unit.Commit(w.t.Context(), ports.Batch{Events: w.feed()[:keep]}); err != nil {
		w.t.Fatal(err)
	}
	w.store.Store = old
	other := w.again()
	for _, r := range others {
		if err := w.stepOf(other, r)[0].Err; err != nil {
			w.t.Fatal(err)
		}
	}
}

// mustShow demands balances of the views.
func (w *world) mustShow(want map[string]int64) {
	w.t.Helper()
	for id, balance := range want {
		if got, err := w.viewBalance(id); got != balance || err != nil {
			w.t.Errorf("%s shows %d, %v, and is %d", id, got, err, balance)
		}
	}
}

func TestViewsOfAStoreThatHasGoneBack(t *testing.T) {
	for what, others := range map[string]int{"with nothing new": 0, "as far as it was": 2, "further than it was": 5} {
		t.Run("are filled anew while they run: "+what, func(t *testing.T) {
			w := newWorld(t)
			w.must(w.create("a"), w.create("b"), w.deposit("a", 1))
			w.catchUp()
			w.must(w.deposit("b", 1000), w.deposit("a", 1000))
			w.catchUp()
			var theirs []Request
			for range others {
				theirs = append(theirs, w.deposit("a", 1))
			}
			w.goBack(3, theirs...)
			w.catchUp()
			w.mustShow(map[string]int64{"a": int64(1 + others), "b": 0})
			if len(w.observed.failed) != 1 {
				t.Errorf("told: %q", w.observed.failed)
			}
		})
	}
	t.Run("are filled anew when it did so between two pages", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.create("b"))
		w.catchUp()
		for range pageSize {
			w.must(w.deposit("a", 1))
		}
		w.must(w.deposit("b", 1))
		between := &wentBack{Store: w.store.Store}
		var theirs []Request
		for range 10 {
			theirs = append(theirs, w.deposit("a", 2))
		}
		w.goBack(pageSize-5, theirs...)
		between.to, w.store.Store = w.store.Store, between
		for range 3 {
			_ = w.engine.projector.catchUp(t.Context()) // the first may fail
		}
		w.mustShow(map[string]int64{"a": pageSize - 7 + 20, "b": 0})
	})
	t.Run("do not go on from states that another process knew to be lost", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 1))
		w.catchUp()
		w.must(w.deposit("a", 1000))
		w.catchUp()
		w.goBack(2, w.deposit("a", 1))
		w.engine.projector.open = false // another process has the lease now
		other := w.again(func(o *Options) { o.Views = w.engine.Views })
		if err := other.projector.catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustShow(map[string]int64{"a": 2})
		w.stepOf(other, w.deposit("a", 1))
		w.catchUp()
		w.mustShow(map[string]int64{"a": 3})
	})
	t.Run("break a rebuild off that was begun before", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 1), w.deposit("a", 1000))
		w.catchUp()
		p := w.engine.projector
		set, err := p.Views.Beside(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		next := newFolding(p.Options, p.snapshots, set)
		if err := next.follow(t.Context(), p.page(), toHead); err != nil {
			t.Fatal(err)
		}
		w.goBack(2, w.deposit("a", 1), w.deposit("a", 1))
		wantErr(t, next.follow(t.Context(), p.page(), toHead), errGoneBack)
	})
}

// wentBack is a store that goes back to another one once a page of the feed was read.
type wentBack struct {
	ports.Store
	to   ports.Store
	read atomic.Bool
}

func (s *wentBack) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	if s.read.Swap(true) {
		return s.to.ReadFeed(ctx, after, limit)
	}
	return s.Store.ReadFeed(ctx, after, limit)
}
