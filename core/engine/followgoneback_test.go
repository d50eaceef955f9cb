package engine

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"daybook/adapters/memstore"
	"daybook/core/es"
	"daybook/core/ports"
)

// tellingBus keeps what was published.
type tellingBus struct {
	silentBus
	mu     sync.Mutex
	bodies map[string]string // the last of each id
}

func (b *tellingBus) Publish(_ context.Context, _ string, messages ...ports.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range messages {
		b.bodies[m.ID] = string(m.Body)
	}
	return nil
}

// mustHave demands that each event was published as it is there now.
func (b *tellingBus) mustHave(t *testing.T, events []es.Recorded) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range events {
		if id := events[i].Position.EventID(); !strings.Contains(b.bodies[id], string(events[i].JSON())) {
			t.Errorf("%s was published as %q, and is %s", id, b.bodies[id], events[i].JSON())
		}
	}
}

// besideRows has leases and checkpoints in a store of their own, so that they can be put back by themselves.
type besideRows struct {
	ports.Store
	rows ports.Store
}

func (s *besideRows) Lease(ctx context.Context, name, holder string, ttl time.Duration) (ports.Token, error) {
	return s.rows.Lease(ctx, name, holder, ttl)
}

func (s *besideRows) Release(ctx context.Context, name string, token ports.Token) error {
	return s.rows.Release(ctx, name, token)
}

func (s *besideRows) Checkpoint(ctx context.Context, name string) (es.Position, error) {
	return s.rows.Checkpoint(ctx, name)
}

func (s *besideRows) SaveCheckpoint(ctx context.Context, name string, token ports.Token, p es.Position) error {
	return s.rows.SaveCheckpoint(ctx, name, token, p)
}

func TestWhatStandsInPlaceOfLostEventsIsPublished(t *testing.T) {
	for what, since := range map[string]time.Duration{"by a relay at rest": time.Minute, "by one that has not saved its checkpoint yet": saveEvery / 2} {
		for _, others := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("%s, with %d new events", what, others), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := &tellingBus{bodies: map[string]string{}}
					rows := memstore.New()
					defer func() { _ = rows.Close() }()
					w := newWorld(t, func(o *Options) { o.Bus, o.Store = bus, &besideRows{o.Store, rows} })
					var running sync.WaitGroup
					ctx, stop := context.WithCancel(t.Context())
					running.Go(func() { w.engine.RunRelay(ctx) })
					w.must(w.create("a"), w.create("b"), w.deposit("a", 1))
					time.Sleep(time.Minute)
					w.must(w.deposit("b", 1000), w.deposit("a", 1000))
					time.Sleep(since)
					bus.mustHave(t, w.feed())
					var theirs []Request
					for range others {
						theirs = append(theirs, w.deposit("a", 1))
					}
					synctest.Wait()
					w.goBack(3, theirs...)
					if err := rows.SaveCheckpoint(ctx, RelayCheckpoint("events"), math.MaxInt64, 3); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
					bus.mustHave(t, w.feed())
					if told := strings.Join(w.observed.failed, "\n"); !strings.Contains(told, "gone back") {
						t.Errorf("told: %s", told)
					}
					stop()
					running.Wait()
				})
			})
		}
	}
}
