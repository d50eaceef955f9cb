package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"daybook/adapters/membus"
	"daybook/adapters/watermillbus"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// viewBalance is an account's balance as its document shows it.
func (w *world) viewBalance(id string) (int64, error) {
	d, _, err := w.engine.View(context.Background(), w.module, id)
	if err != nil {
		return 0, err
	}
	return d.Values[w.module.View.Field("balance")].Int, nil
}

func (w *world) catchUp() {
	w.t.Helper()
	if err := w.engine.projector.catchUp(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) startProjector() {
	w.t.Helper()
	w.catchUp()
}

func TestViews(t *testing.T) {
	faulttable.Covers(t, "F10", faulttable.Memory)
	ctx := context.Background()
	t.Run("let nobody in before they are filled", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 7))
		_, err := w.viewBalance("a")
		wantErr(t, err, ports.ErrViewRebuilding)
		wantErr(t, w.engine.AwaitView(ctx, 2, time.Second), ports.ErrViewRebuilding)
		w.startProjector()
		if got, err := w.viewBalance("a"); got != 7 || err != nil {
			t.Fatalf("got %d, %v", got, err)
		}
	})
	t.Run("follow the store, also for streams whose state is no longer in memory", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.CacheSize = 4 })
		w.startProjector()
		for i := range 50 {
			w.must(w.create(fmt.Sprint("a", i)))
		}
		w.catchUp()
		for round := range 3 {
			for i := range 50 {
				w.must(w.deposit(fmt.Sprint("a", i), i+1))
			}
			w.catchUp()
			for i := range 50 {
				if got, err := w.viewBalance(fmt.Sprint("a", i)); err != nil || got != int64((round+1)*(i+1)) {
					t.Fatalf("account %d shows %d, %v", i, got, err)
				}
			}
		}
	})
	t.Run("park an account whose event cannot be projected, and let the others flow", func(t *testing.T) {
		w := newWorld(t)
		w.startProjector()
		w.must(w.create("a"), w.create("b"), w.deposit("a", 5))
		if _, err := ports.Append(ctx, w.store, w.now, "a", 2, es.Recorded{Type: "MoneyDeposited", Schema: 9, Data: []byte(`{"amount":1}`), Metadata: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
		w.must(w.deposit("b", 3))
		w.catchUp()
		w.must(w.deposit("b", 3))
		w.catchUp()
		_, err := w.viewBalance("a")
		wantErr(t, err, ports.ErrViewParked)
		if got, err := w.viewBalance("b"); got != 6 || err != nil {
			t.Fatalf("b shows %d, %v", got, err)
		}
		status, err := w.engine.Status(ctx)
		if err != nil || status.ParkedCount != 1 || status.Parked[0].ID != "a" || status.Views.Checkpoint != status.Head {
			t.Fatalf("the status is %+v, %v", status, err)
		}
		if !slices.Equal(w.observed.parked, []string{"accounts/a"}) {
			t.Fatalf("observed %v", w.observed.parked)
		}
	})
	t.Run("go on where another process left off, though that moved on what is in memory here", func(t *testing.T) {
		w := newWorld(t)
		other := w.again(func(o *Options) { o.Views = w.engine.Views })
		w.must(w.create("a"))
		w.catchUp()
		w.must(w.deposit("a", 1), w.deposit("a", 2))
		if err := other.projector.catchUp(ctx); err != nil {
			t.Fatal(err)
		}
		w.must(w.deposit("a", 4))
		w.engine.projector.open = false // as after another process held the lease
		w.catchUp()
		if got, err := w.viewBalance("a"); got != 7 || err != nil || len(w.observed.parked) > 0 {
			t.Fatalf("the view shows %d, %v; parked: %v", got, err, w.observed.parked)
		}
	})
	t.Run("rebuild to the same documents", func(t *testing.T) {
		w := newWorld(t)
		w.startProjector()
		for i := range 20 {
			w.must(w.create(fmt.Sprint("a", i)), w.deposit(fmt.Sprint("a", i), i+1))
			w.catchUp()
		}
		all := func() string {
			page, err := w.engine.Documents(ctx, w.module, ports.Query{Limit: 100})
			return fmt.Sprint(page, err)
		}
		before := all()
		op, err := w.engine.Rebuild(ctx)
		if err != nil || op.State != OperationRunning {
			t.Fatalf("got %+v, %v", op, err)
		}
		for op.State == OperationRunning {
			if op, err = w.engine.Operation(ctx, op.ID); err != nil {
				t.Fatal(err)
			}
		}
		if after := all(); op.State != OperationDone || op.Position != op.Head || after != before {
			t.Fatalf("%+v: the views are\n%s\nand were\n%s", op, after, before)
		}
	})
	t.Run("answer from the old ones after a rebuild that the store broke off", func(t *testing.T) {
		w := newWorld(t)
		w.startProjector()
		w.must(w.create("a"), w.deposit("a", 7))
		w.catchUp()
		w.store.setFeed(ports.ErrStoreUnavailable)
		op, err := w.engine.Rebuild(ctx)
		for err == nil && op.State == OperationRunning {
			op, err = w.engine.Operation(ctx, op.ID)
		}
		if err != nil || op.State != OperationFailed {
			t.Fatalf("got %+v, %v", op, err)
		}
		if got, err := w.viewBalance("a"); got != 7 || err != nil {
			t.Fatalf("got %d, %v", got, err)
		}
		w.store.setFeed(nil)
		w.must(w.deposit("a", 1), w.withdraw("a", 1))
		w.catchUp()
		if got, err := w.viewBalance("a"); got != 7 || err != nil {
			t.Fatalf("got %d, %v", got, err)
		}
	})
	t.Run("are filled anew when the store is behind them", func(t *testing.T) {
		w := newWorld(t)
		w.startProjector()
		w.must(w.create("a"), w.deposit("a", 1))
		w.catchUp()
		other := newWorld(t)
		other.must(other.create("b"))
		w.engine.projector = newProjector(&w.engine.Options, w.engine.snapshots)
		w.engine.projector.Store = other.store
		w.startProjector()
		if _, err := w.viewBalance("a"); err == nil {
			t.Error("an account that the store does not have is still shown")
		}
	})
}

func TestFreshness(t *testing.T) {
	faulttable.Covers(t, "F26", faulttable.Memory)
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		w := newWorld(t)
		w.startProjector()
		w.must(w.create("a"))
		wantErr(t, w.engine.AwaitView(ctx, 2, time.Second), ErrPositionAhead)
		wantErr(t, w.engine.AwaitView(ctx, 1, time.Second), ErrViewBehind)
		done := make(chan error)
		go func() { done <- w.engine.AwaitView(ctx, 1, time.Hour) }()
		synctest.Wait()
		w.catchUp()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestTheRelay(t *testing.T) {
	faulttable.Covers(t, "F31", faulttable.Memory)
	faulttable.Covers(t, "F34", faulttable.Memory)
	synctest.Test(t, func(t *testing.T) {
		bus := &flakyBus{}
		w := newWorld(t, func(o *Options) { o.Bus = bus })
		for i := range 600 {
			w.must(w.create(fmt.Sprint("a", i)))
		}
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { w.engine.RunRelay(ctx) })
		pause(ctx, time.Minute) // of the bubble's clock: until every retry is through
		stop()
		running.Wait()
		w.must(w.create("later"))
		w.engine = w.again(func(o *Options) { o.Bus = bus })
		ctx, stop = context.WithCancel(context.Background())
		running.Go(func() { w.engine.RunRelay(ctx) })
		synctest.Wait()
		stop()
		running.Wait()
		want := es.Position(1)
		for _, id := range bus.published {
			p, err := es.ParseEventID(id)
			if err != nil || p > want {
				t.Fatalf("%s was published where %s was due: an event was skipped", id, want.EventID())
			}
			if p == want {
				want++
			}
		}
		if want != 602 || len(bus.published) < 601 {
			t.Fatalf("published up to %d, want all 601", want-1)
		}
		if n := len(bus.published); n > 601+2*relayPage {
			t.Fatalf("%d messages for 601 events: the checkpoint does not hold", n)
		}
	})
}

// flakyBus fails every third time it is asked, after it has taken the messages.
type flakyBus struct {
	silentBus
	calls     int
	published []string
}

func (b *flakyBus) Publish(_ context.Context, _ string, messages ...ports.Message) error {
	b.calls++
	for _, m := range messages {
		b.published = append(b.published, m.ID)
	}
	if b.calls%3 == 1 {
		return errors.New("the bus is away")
	}
	return nil
}

func TestFromCommandToView(t *testing.T) {
	pubSub := membus.New(membus.Options{})
	bus, err := watermillbus.New(pubSub, watermillbus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *Options) { o.Bus = bus })
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context){w.engine.RunCommands, w.engine.RunRelay, w.engine.RunProjector} {
		running.Go(func() { run(ctx) })
	}
	if _, err := w.engine.Execute(ctx, w.create("a")); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		a, err := w.engine.Execute(ctx, w.deposit("a", 1))
		if err != nil {
			t.Fatal(err)
		}
		for err = ports.ErrViewRebuilding; errors.Is(err, ports.ErrViewRebuilding); runtime.Gosched() {
			err = w.engine.AwaitView(ctx, a.Position, 10*time.Second)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := w.viewBalance("a"); err != nil || got != int64(i+1) {
			t.Fatalf("after deposit %d the view shows %d, %v", i+1, got, err)
		}
	}
	stop()
	running.Wait()
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
}

// awayBus is one that cannot be reached.
type awayBus struct{ silentBus }

func (awayBus) Subscribe(ctx context.Context, _ ports.Subscription, _ ports.Handler) error {
	<-ctx.Done()
	return ports.ErrBusUnavailable
}

func TestViewsFollowTheStoreWhileTheBusIsAway(t *testing.T) {
	faulttable.Covers(t, "F34", faulttable.Memory)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Bus = awayBus{} })
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.engine.RunProjector(ctx) })
		synctest.Wait() // the views are filled
		w.must(w.create("a"), w.deposit("a", 7))
		if err := w.engine.AwaitView(ctx, 2, 5*time.Second); err != nil {
			t.Error(err)
		}
		stop()
		running.Wait()
	})
}
