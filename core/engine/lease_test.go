package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// partition is a store as one process sees it: it can be cut off.
type partition struct {
	ports.Store
	mu  sync.Mutex
	off bool
}

func (p *partition) cut(off bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = off
}

func (p *partition) Lease(ctx context.Context, name, holder string, ttl time.Duration) (ports.Token, error) {
	p.mu.Lock()
	off := p.off
	p.mu.Unlock()
	if off {
		return 0, ports.ErrStoreUnavailable
	}
	return p.Store.Lease(ctx, name, holder, ttl)
}

// leader is a process that notes when it leads.
type leader struct {
	engine *Engine
	store  *partition
	mu     sync.Mutex
	token  ports.Token // while it leads
	since  time.Time
}

func (l *leader) leads() ports.Token {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.token
}

func (w *world) leader(ctx context.Context, process string, running *sync.WaitGroup) *leader {
	l := &leader{store: &partition{Store: w.store}}
	l.engine = w.again(func(o *Options) { o.Store, o.Process = l.store, process })
	running.Go(func() {
		l.engine.lead(ctx, "work", func(ctx context.Context, token ports.Token) {
			l.mu.Lock()
			l.token, l.since = token, time.Now()
			l.mu.Unlock()
			<-ctx.Done()
			l.mu.Lock()
			l.token = 0
			l.mu.Unlock()
		})
	})
	return l
}

func TestALeaseIsHeldByOneProcessAtATime(t *testing.T) {
	faulttable.Covers(t, "F13", faulttable.Memory)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var running sync.WaitGroup
		defer running.Wait()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		a := w.leader(ctx, "a", &running)
		synctest.Wait()
		first := a.leads()
		bCtx, stopB := context.WithCancel(ctx)
		b := w.leader(bCtx, "b", &running)
		time.Sleep(time.Minute)
		if a.leads() != first || first == 0 || b.leads() != 0 {
			t.Fatalf("after a minute a leads with %d, b with %d", a.leads(), b.leads())
		}

		t.Log("a is cut off: it stops before b begins, within the time a lease lasts")
		a.store.cut(true)
		began := time.Now()
		for b.leads() == 0 {
			time.Sleep(10 * time.Millisecond)
			if a.leads() != 0 && b.leads() != 0 {
				t.Fatal("both lead")
			}
		}
		if took := time.Since(began); took > leaseTTL+2*leasePace {
			t.Errorf("it took %s until another leads", took)
		}
		if b.leads() <= first {
			t.Errorf("b leads with token %d after %d", b.leads(), first)
		}

		t.Log("a comes back and waits; when b stops, a leads at once")
		a.store.cut(false)
		time.Sleep(time.Minute)
		if a.leads() != 0 {
			t.Error("a leads although b does")
		}
		stopB()
		time.Sleep(leasePace + time.Millisecond)
		if a.leads() == 0 {
			t.Error("a does not lead although b has stopped")
		}
	})
}

// stalled is a store whose user is stopped for a while in the middle of saving a checkpoint.
type stalled struct {
	ports.Store
	at   chan struct{} // one is sent when it stops
	goOn chan struct{}
}

func (s *stalled) SaveCheckpoint(ctx context.Context, name string, token ports.Token, p es.Position) error {
	select {
	case s.at <- struct{}{}:
		<-s.goOn
	default:
	}
	return s.Store.SaveCheckpoint(ctx, name, token, p)
}

func TestAProcessThatStalledBeyondItsLeaseChangesNothing(t *testing.T) {
	faulttable.Covers(t, "F7", faulttable.Memory)
	w := newWorld(t)
	w.must(w.create("a"))
	ctx := t.Context()
	first, err := w.store.Lease(ctx, "relay:events", "a", time.Nanosecond)
	if err != nil {
		t.Fatal(err)
	}
	store := &stalled{Store: w.store, at: make(chan struct{}), goOn: make(chan struct{})}
	e := w.again(func(o *Options) { o.Store = store })
	ended := make(chan error)
	go func() {
		_, err := e.relay().follow(ctx, first)
		ended <- err
	}()
	<-store.at // it has published, and is stopped before it can say so
	second, err := w.store.Lease(ctx, "relay:events", "b", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.must(w.deposit("a", 5))
	if err := w.store.SaveCheckpoint(ctx, "relay:events", second, 2); err != nil {
		t.Fatal(err)
	}
	close(store.goOn)
	if err := <-ended; !errors.Is(err, ports.ErrLeaseLost) {
		t.Errorf("the process that was stopped ends with %v", err)
	}
	if p, err := w.store.Checkpoint(ctx, "relay:events"); p != 2 || err != nil {
		t.Errorf("the checkpoint is %d, %v; want 2", p, err)
	}
}
