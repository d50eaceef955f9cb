package bench

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"daybook/adapters/memviews"
	"daybook/adapters/pebblestore"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/ports"
)

// largeEvents is how many events a large store has: DAYBOOK_TEST_EVENTS, or as many as the benchmarks of replaying read.
func largeEvents(b *testing.B) int {
	text := os.Getenv("DAYBOOK_TEST_EVENTS")
	if text == "" {
		return replayEvents
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal("DAYBOOK_TEST_EVENTS: ", err)
	}
	return n
}

const (
	smallEvents   = 100_000 // what a large store is held against
	largeAccounts = 100_000
)

// BenchmarkStart opens a large store on disk, and the views in memory, and ends when readers are let in at the head: with what
// was kept when the process before was stopped, with what was kept some events before it was killed, and with nothing.
func BenchmarkStart(b *testing.B) {
	dir, views, behind := b.TempDir(), b.TempDir(), b.TempDir()
	open := func() ports.Store {
		store, err := pebblestore.Open(pebblestore.Options{Dir: dir, NoSync: true})
		if err != nil {
			b.Fatal(err)
		}
		return store
	}
	registry := accountsRegistry(b)
	start := func(dir string) (stop func()) {
		store := open()
		v, err := memviews.Open(memviews.Options{Registry: registry, Dir: dir, Failed: func(what string, err error) { b.Error(what, err) }})
		if err != nil {
			b.Fatal(err)
		}
		fill(b, engine.New(engine.Options{
			Anonymous: access.Local,
			Registry:  registry, Store: store, Bus: noBus{}, Views: v, Observer: ports.Silent{}, Now: time.Now, EventsTopic: "events", SnapshotEvery: snapshotEvery,
		}))
		return func() {
			if err := v.Close(); err != nil {
				b.Error(err)
			}
			store.Close()
		}
	}
	const unkept = 20_000
	began, store := time.Now(), open()
	h := writeHistory(b, store, registry, largeEvents(b)-unkept, largeAccounts)
	store.Close()
	start(behind)()
	h.store = open()
	h.write(unkept, 1024)
	h.store.Close()
	start(views)()
	b.Logf("%d events of %d accounts were written and projected in %v", h.head, largeAccounts, time.Since(began))
	stale, err := os.ReadFile(filepath.Join(behind, "views"))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ name, dir string }{{"kept", views}, {"killed", behind}, {"nothing kept", ""}} {
		b.Run(c.name, func(b *testing.B) {
			defer runtime.KeepAlive(make([]byte, 64<<20)) // as in BenchmarkReplay
			for b.Loop() {
				stop := start(c.dir)
				b.StopTimer()
				stop()
				if err := os.WriteFile(filepath.Join(behind, "views"), stale, 0o600); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkAppend writes batches to a store of 100,000 events and to a large one in turns, durably, to accounts of which nothing is
// in memory. What counts is the ratio of the medians.
func BenchmarkAppend(b *testing.B) {
	for name, open := range map[string]func(b *testing.B) ports.Store{
		"pebble": func(b *testing.B) ports.Store {
			store, err := pebblestore.Open(pebblestore.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { store.Close() })
			return store
		},
		"postgres": func(b *testing.B) ports.Store { store, _ := openPostgres(b); return store },
	} {
		b.Run(name, func(b *testing.B) {
			registry := accountsRegistry(b)
			small := writeHistory(b, open(b), registry, smallEvents, largeAccounts/10)
			large := writeHistory(b, open(b), registry, largeEvents(b), largeAccounts/10)
			for _, size := range []int{1, 64, 1024} {
				b.Run(strconv.Itoa(size)+" events", func(b *testing.B) { appendInTurns(b, small, large, size) })
			}
		})
	}
}

func appendInTurns(b *testing.B, small, large *history, size int) {
	var took [2][]time.Duration
	for b.Loop() {
		for i, h := range []*history{small, large} {
			h.b = b
			batch, of := h.batch(size)
			needs := h.needs(&batch, of, false)
			began := time.Now()
			h.commitAfter(needs, batch, of)
			took[i] = append(took[i], time.Since(began))
		}
	}
	median := func(all []time.Duration) float64 {
		slices.Sort(all)
		return all[len(all)/2].Seconds() * 1e6
	}
	b.ReportMetric(median(took[0]), "µs-small")
	b.ReportMetric(median(took[1]), "µs-large")
	b.ReportMetric(median(took[1])/median(took[0]), "ratio")
}
