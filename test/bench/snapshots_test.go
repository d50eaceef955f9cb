package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"daybook/adapters/pebblestore"
	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// snapshotEvery is the default of snapshots.every.
const snapshotEvery = 100

// BenchmarkPastBalance asks for the balance at a random version, position or time of a long stream and of a short one. The
// streams lie in one store; their snapshots are made by reading them once.
func BenchmarkPastBalance(b *testing.B) {
	onBothStores(b, pastBalance)
}

func pastBalance(b *testing.B, store ports.Store) {
	const long, short = 1_000_000, 1_000
	registry := accountsRegistry(b)
	head := deposits(b, store, registry, "short", 0, short)
	deposits(b, store, registry, "long", head, long)
	e := engine.New(engine.Options{
		Anonymous: access.Local,
		Registry:  registry, Store: store, Bus: noBus{}, Views: &noViews{}, Observer: ports.Silent{}, Now: time.Now, SnapshotEvery: snapshotEvery,
	})
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { e.RunSnapshots(ctx) })
	defer func() { stop(); running.Wait() }()
	accounts := registry.Modules[0]
	for _, stream := range []string{"short", "long"} {
		first := time.Now()
		if _, err := e.StateAt(ctx, accounts, stream, engine.Until{}); err != nil {
			b.Fatal(err)
		}
		b.Logf("%s, folded from the beginning: %v", stream, time.Since(first))
	}
	awaitSnapshots(b, store, "long", head, long)
	for _, c := range []struct {
		name, stream string
		events       int
		after        es.Position
	}{{"1000", "short", short, 0}, {"1000000", "long", long, head}} {
		for kind, until := range map[string]func(v int) engine.Until{
			"version":  func(v int) engine.Until { return engine.Until{Version: es.Version(v)} },
			"position": func(v int) engine.Until { return engine.Until{Position: c.after + es.Position(v)} },
		} {
			b.Run(c.name+" by "+kind, func(b *testing.B) {
				random := rand.New(rand.NewPCG(1, 2))
				for b.Loop() {
					v := 1 + random.IntN(c.events)
					f, err := e.StateAt(ctx, accounts, c.stream, until(v))
					if err != nil || accounts.Ledger.Balance(f.State) != int64(v-1) {
						b.Fatal(f, err)
					}
				}
			})
		}
	}
}

// awaitSnapshots waits until each place in a stream has its snapshot.
func awaitSnapshots(b *testing.B, store ports.Store, stream es.StreamID, after es.Position, events int) {
	b.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for v := snapshotEvery; v <= events; {
		p := after + es.Position(v)
		kept, err := store.Snapshot(b.Context(), stream, p)
		if err != nil {
			b.Fatal(err)
		}
		if kept != nil && kept.Position == p {
			v += snapshotEvery
			continue
		}
		<-tick.C
	}
}

// began is when the streams of deposits begin.
var began = time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)

// deposits writes a stream of its own behind the head: an account and deposits of 1, so that its balance is its version less
// one; change may alter each event. It gives the head.
func deposits(b *testing.B, store ports.Store, r *es.Registry, stream es.StreamID, head es.Position, events int, change ...func(*es.Recorded)) es.Position {
	b.Helper()
	meta := (&es.Metadata{Principal: "local", RequestID: "5f3a9c1b7d20-00000001"}).AppendJSON(nil)
	for v := 1; v <= events; {
		var batch ports.Batch
		for ; len(batch.Events) < 1024 && v <= events; v++ {
			head++
			at := began.Add(time.Duration(head) * time.Microsecond)
			e := es.Recorded{
				Stream: stream, Version: es.Version(v), Position: head, Type: "MoneyDeposited", Schema: 1,
				EffectiveAt: at, RecordedAt: at, Data: []byte(`{"amount":1}`), Metadata: meta,
			}
			if v == 1 {
				e.Type, e.Data = "AccountCreated", []byte(`{"owner":"Ada Lovelace","currency":"EUR","overdraftLimit":0}`)
			}
			for _, f := range change {
				f(&e)
			}
			batch.Events = append(batch.Events, e)
		}
		unit, err := store.Begin(b.Context(), ports.Needs{})
		if err != nil {
			b.Fatal(err)
		}
		if err := unit.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	return head
}

// BenchmarkAppendWithSnapshots runs deposits from 64 goroutines over 100 accounts through the engine, with snapshots on and off
// in turns, each on a store of its own.
func BenchmarkAppendWithSnapshots(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) ports.Store{
		"pebble":   func(b *testing.B) ports.Store { return openPebble(b, pebblestore.Options{}) },
		"postgres": func(b *testing.B) ports.Store { store, _ := openPostgres(b); return store },
	} {
		for _, mode := range []struct {
			name  string
			every int
		}{{"off", 0}, {"on", snapshotEvery}} {
			b.Run(name+" "+mode.name, func(b *testing.B) { appendDeposits(b, open(b), mode.every) })
		}
	}
}

func appendDeposits(b *testing.B, store ports.Store, every int) {
	registry := accountsRegistry(b)
	const accounts = 100
	e := engine.New(engine.Options{
		Anonymous: access.Local,
		Registry:  registry, Store: store, Bus: noBus{}, Views: &noViews{}, Observer: ports.Silent{}, Now: time.Now, SnapshotEvery: every,
	})
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { e.RunCommands(ctx) })
	running.Go(func() { e.RunSnapshots(ctx) })
	defer func() { stop(); running.Wait() }()
	execute := func(line []byte) {
		envelope, err := wire.DecodeEnvelope(registry, line)
		if err == nil {
			request := envelope.Request(es.Metadata{})
			request.Key = ""
			_, err = e.Execute(b.Context(), request)
		}
		if err != nil {
			b.Error(err)
		}
	}
	for i := range accounts {
		execute(fmt.Appendf(nil, `{"id":"x","account":"acc-%d","command":"create","data":{"owner":"Ada","currency":"EUR"}}`, i))
	}
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			execute(fmt.Appendf(nil, `{"id":"x","account":"acc-%d","command":"deposit","data":{"amount":1}}`, rand.IntN(accounts)))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}
