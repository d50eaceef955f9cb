package bench

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// BenchmarkTwoAxesOfTime asks a long stream and a short one for balances, and for the first hundred entries of statements, as of random
// effective times and as known at random versions. Each entry is back-dated to any moment of the stream's history, so that every block
// of it has to be looked into. Cold is an engine that has just been made, over blocks that are kept.
func BenchmarkTwoAxesOfTime(b *testing.B) {
	onBothStores(b, twoAxes)
}

func twoAxes(b *testing.B, store ports.Store) {
	const long, short = 1_000_000, 1_000
	registry := accountsRegistry(b)
	random := rand.New(rand.NewPCG(1, 2))
	backDated := func(n int) func(e *es.Recorded) {
		return func(e *es.Recorded) {
			e.EffectiveAt = e.EffectiveAt.Add(-time.Duration(random.IntN(n)) * time.Microsecond)
		}
	}
	head := deposits(b, store, registry, "short", 0, short, backDated(short))
	deposits(b, store, registry, "long", head, long, backDated(long))
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	restart := func() *engine.Engine {
		return engine.New(engine.Options{
			Anonymous: access.Local,
			Registry:  registry, Store: store, Bus: noBus{}, Views: &noViews{}, Observer: ports.Silent{}, Now: time.Now, SnapshotEvery: snapshotEvery,
		})
	}
	e := restart()
	running.Go(func() { e.RunSnapshots(ctx) })
	accounts := registry.Modules[0]
	for _, stream := range []string{"short", "long"} {
		for _, how := range []string{"from the events", "again"} {
			first := time.Now()
			if _, err := e.BalanceEffective(ctx, accounts, stream, began, engine.Until{}); err != nil {
				b.Fatal(err)
			}
			b.Logf("%s, %s: %v", stream, how, time.Since(first))
		}
	}
	awaitSnapshots(b, store, "long", head, long)
	awaitBlocks(b, store, "long", long)
	for _, c := range []struct {
		name, stream string
		events       int
		after        es.Position
	}{{"1000", "short", short, 0}, {"1000000", "long", long, head}} {
		ask := map[string]func(e *engine.Engine, t time.Time, u engine.Until) error{
			"balance": func(e *engine.Engine, t time.Time, u engine.Until) error {
				_, err := e.BalanceEffective(ctx, accounts, c.stream, t, u)
				return err
			},
			"statement": func(e *engine.Engine, t time.Time, u engine.Until) error {
				s, err := e.Statement(ctx, accounts, c.stream, engine.Period{From: t, Known: u})
				if err == nil {
					_, err = s.Next(ctx, 100)
				}
				return err
			},
		}
		for what, f := range ask {
			run := func(b *testing.B, cold bool) {
				random := rand.New(rand.NewPCG(3, 4))
				for b.Loop() {
					if cold {
						e = restart()
					}
					t := began.Add(time.Duration(int(c.after)+random.IntN(c.events)) * time.Microsecond)
					if err := f(e, t, engine.Until{Version: es.Version(c.events - random.IntN(c.events/2))}); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.Run(c.name+" "+what+" cold", func(b *testing.B) { run(b, true) })
			b.Run(c.name+" "+what+" warm", func(b *testing.B) { run(b, false) })
		}
	}
}

// awaitBlocks waits until the last chapter of a stream is kept.
func awaitBlocks(b *testing.B, store ports.Store, stream es.StreamID, events int) {
	b.Helper()
	const chapter = 16 * 4096
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		blocks, err := store.Snapshot(b.Context(), stream+"/blocks", es.Position(events))
		if err != nil {
			b.Fatal(err)
		}
		chapters, err := store.Snapshot(b.Context(), stream+"/summaries", es.Position(events))
		if err != nil {
			b.Fatal(err)
		}
		if blocks != nil && chapters != nil && int(blocks.Position) == events/4096*4096 && int(chapters.Position) == events/chapter*chapter {
			return
		}
		<-tick.C
	}
}
