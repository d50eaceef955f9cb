// Package bench measures Daybook against what it is made of: each benchmark stands beside its reference. It holds benchmarks
// and, in reference, a program to measure against; docs/benchmarks.md has the figures.
package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"daybook/adapters/memviews"
	"daybook/adapters/pebblestore"
	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// replayEvents is how many events the benchmarks of replaying read.
const replayEvents = 1_000_000

// BenchmarkReplay reads every event from a store on disk, decodes it from its stored form and applies it to the state of
// its account; with views, the documents are made too, and it ends when readers are let in.
func BenchmarkReplay(b *testing.B) {
	defer runtime.KeepAlive(make([]byte, 64<<20)) // as `daybook serve` has: memory never touched, so that a small heap is collected less often
	store := openPebble(b, pebblestore.Options{NoSync: true})
	registry := accountsRegistry(b)
	writeHistory(b, store, registry, replayEvents, 10_000)
	for name, views := range map[string]func() ports.Views{
		"applied":    func() ports.Views { return &noViews{} },
		"with views": func() ports.Views { return memviews.New(registry) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				fill(b, engine.New(engine.Options{
					Anonymous: access.Local,
					Registry:  registry, Store: store, Bus: noBus{}, Views: views(), Observer: ports.Silent{}, Now: time.Now, EventsTopic: "events",
				}))
			}
			b.ReportMetric(float64(replayEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkRebuild builds views again beside those that were filled, and ends when they are compared and swapped.
func BenchmarkRebuild(b *testing.B) {
	store := openPebble(b, pebblestore.Options{NoSync: true})
	registry := accountsRegistry(b)
	writeHistory(b, store, registry, replayEvents, 10_000)
	e := engine.New(engine.Options{
		Anonymous: access.Local,
		Registry:  registry, Store: store, Bus: noBus{}, Views: memviews.New(registry), Observer: ports.Silent{}, Now: time.Now, EventsTopic: "events",
	})
	fill(b, e)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		op, err := e.Rebuild(b.Context())
		for err == nil && op.State == engine.OperationRunning {
			<-tick.C
			op, err = e.Operation(b.Context(), op.ID)
		}
		if err != nil || op.State != engine.OperationDone {
			b.Fatalf("the rebuild ends as %+v, %v", op, err)
		}
	}
	b.ReportMetric(float64(replayEvents)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// fill runs a projector until its views are open and have all events.
func fill(b *testing.B, e *engine.Engine) {
	head, err := e.Store.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.RunProjector(ctx)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		err := e.AwaitView(ctx, head, time.Minute)
		if err == nil {
			break
		}
		if !errors.Is(err, ports.ErrViewRebuilding) {
			b.Fatal(err)
		}
	}
	stop()
	<-done
}

func accountsRegistry(b *testing.B) *es.Registry {
	b.Helper()
	r, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// history is what was written to a store: accounts, and deposits into them at random.
type history struct {
	b        *testing.B
	store    ports.Store
	registry *es.Registry
	random   *rand.Rand
	ends     []ports.StreamEnd // by account
	head     es.Position
	now      time.Time
}

// writeHistory writes so many events to an empty store, in batches as the engine writes them.
func writeHistory(b *testing.B, store ports.Store, r *es.Registry, events, accounts int) *history {
	b.Helper()
	h := &history{
		b: b, store: store, registry: r, random: rand.New(rand.NewPCG(1, 2)), ends: make([]ports.StreamEnd, accounts),
		now: time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC),
	}
	h.write(events, 1024)
	return h
}

// write goes on with so many events in batches of a size.
func (h *history) write(events, size int) {
	h.b.Helper()
	for events > 0 {
		n := min(size, events)
		h.commit(h.batch(n))
		events -= n
	}
}

var historyMetadata = (&es.Metadata{Principal: "local", RequestID: "5f3a9c1b7d20-00000001"}).AppendJSON(nil)

// batch makes the next events, and says of which accounts, by number, each is.
func (h *history) batch(events int) (batch ports.Batch, of []int) {
	for range events {
		i := h.random.IntN(len(h.ends))
		var e es.Event = account.MoneyDeposited{Amount: h.random.Int64N(100_000) + 1}
		if h.ends[i].Version == 0 {
			e = account.AccountCreated{Owner: fmt.Sprint("Owner ", i), OwnerName: fmt.Sprint("Owner ", i), Currency: "EUR"}
		}
		data, schema, err := h.registry.Encode(nil, e)
		if err != nil {
			h.b.Fatal(err)
		}
		h.ends[i].Version++
		h.head++
		h.now = h.now.Add(time.Microsecond)
		of = append(of, i)
		batch.Events = append(batch.Events, es.Recorded{
			Stream: es.StreamID(fmt.Sprintf("acc-%06d", i)), Version: h.ends[i].Version, Position: h.head, Type: e.EventType(), Schema: schema,
			EffectiveAt: h.now, RecordedAt: h.now, Data: data, Metadata: historyMetadata,
		})
	}
	return batch, of
}

// needs are those of a batch: what is known of its accounts, or nothing of that, so that the store must look.
func (h *history) needs(batch *ports.Batch, of []int, known bool) (needs ports.Needs) {
	first := map[int]bool{}
	for i, n := range of {
		if first[n] {
			continue
		}
		first[n] = true
		need := ports.StreamNeed{Stream: batch.Events[i].Stream, After: batch.Events[i].Version - 1}
		if known {
			need.Hash, need.At = h.ends[n].Hash, batch.Events[0].Position-1
		}
		needs.Streams = append(needs.Streams, need)
	}
	return needs
}

func (h *history) commit(batch ports.Batch, of []int) {
	h.commitAfter(h.needs(&batch, of, true), batch, of)
}

func (h *history) commitAfter(needs ports.Needs, batch ports.Batch, of []int) {
	h.b.Helper()
	unit, err := h.store.Begin(h.b.Context(), needs)
	if err != nil {
		h.b.Fatal(err)
	}
	if err := unit.Commit(h.b.Context(), batch); err != nil {
		h.b.Fatal(err)
	}
	for i, n := range of {
		h.ends[n].Hash = batch.Events[i].Hash
	}
}

// noViews takes documents and keeps none.
type noViews struct {
	at   es.Position
	open bool
}

func (v *noViews) Shared() bool                             { return false }
func (v *noViews) Reset(context.Context, ports.Token) error { v.at, v.open = 0, false; return nil }
func (v *noViews) Open(context.Context, ports.Token) error  { v.open = true; return nil }
func (v *noViews) Progress(context.Context) (ports.Progress, error) {
	return ports.Progress{Checkpoint: v.at, Open: v.open}, nil
}
func (v *noViews) Write(_ context.Context, _ ports.Token, _ []ports.Change, _, to es.Position, _ es.Hash) error {
	v.at = to
	return nil
}
func (v *noViews) Get(context.Context, string, string) (es.Document, es.Position, error) {
	return es.Document{}, 0, ports.ErrNoDocument
}
func (v *noViews) List(context.Context, string, ports.Query) (ports.Page, error) {
	return ports.Page{}, nil
}
func (v *noViews) Parked(context.Context, int) ([]ports.ParkedDocument, int, error) {
	return nil, 0, nil
}
func (v *noViews) Beside(context.Context, ports.Token) (ports.ViewSet, error) { return &noViews{}, nil }
func (v *noViews) Swap(context.Context, ports.Token) error                    { return nil }
func (v *noViews) Close() error                                               { return nil }

// noBus takes messages and delivers none.
type noBus struct{ ports.Bus }

func (noBus) Publish(context.Context, string, ...ports.Message) error            { return nil }
func (noBus) Subscribe(context.Context, ports.Subscription, ports.Handler) error { return nil }
func (noBus) Close() error                                                       { return nil }
