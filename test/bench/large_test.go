package bench

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"daybook/adapters/memviews"
	"daybook/adapters/pebblestore"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
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

// BenchmarkLarge looks at what a large store costs: a start until the views in memory are complete, and appending.
func BenchmarkLarge(b *testing.B) {
	registry := accountsRegistry(b)
	b.Run("pebble", func(b *testing.B) {
		dir := b.TempDir()
		open := func(dir string, noSync bool) ports.Store {
			store, err := pebblestore.Open(pebblestore.Options{Dir: dir, NoSync: noSync})
			if err != nil {
				b.Fatal(err)
			}
			return store
		}
		large := startLarge(b, registry, func() ports.Store { return open(dir, true) })
		large.store = open(dir, false)
		defer large.store.Close()
		small := open(b.TempDir(), false)
		defer small.Close()
		appendToBoth(b, writeHistory(b, small, registry, smallEvents, largeAccounts), large)
	})
	b.Run("postgres", func(b *testing.B) {
		small, _ := openPostgres(b)
		large, url := openPostgres(b)
		began := time.Now()
		const warm = 1_000_000 // by then all pages of the index were written since the checkpoint, and in full
		h := writeHistory(b, large, registry, largeEvents(b)-warm, largeAccounts)
		b.Logf("%d events were written in %v", h.head, time.Since(began))
		vacuum(b, url)
		h.write(warm, 1024)
		appendToBoth(b, writeHistory(b, small, registry, smallEvents, largeAccounts), h)
	})
}

// vacuum does at once what the server would do beside the first appends, to the large store alone.
func vacuum(b *testing.B, url string) {
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	if _, err := conn.Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
		b.Fatal(err)
	}
}

// startLarge writes a large store, and starts on it with what was kept when the process before was stopped, with what was kept
// a moment before it was killed, and with nothing.
func startLarge(b *testing.B, registry *es.Registry, open func() ports.Store) *history {
	stopped, killed := b.TempDir(), b.TempDir()
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
			if err := errors.Join(v.Close(), store.Close()); err != nil {
				b.Error(err)
			}
		}
	}
	const unkept = 500 // a quarter of a second of 2,000 commands per second
	began, store := time.Now(), open()
	h := writeHistory(b, store, registry, largeEvents(b)-unkept, largeAccounts)
	store.Close()
	start(killed)()
	h.store = open()
	h.write(unkept, 1024)
	h.store.Close()
	if err := os.CopyFS(stopped, os.DirFS(killed)); err != nil {
		b.Fatal(err)
	}
	start(stopped)()
	b.Logf("%d events of %d accounts were written and projected in %v", h.head, largeAccounts, time.Since(began))
	for _, c := range []struct{ name, dir string }{{"start, stopped before", stopped}, {"start, killed before", killed}, {"start, nothing kept", ""}} {
		b.Run(c.name, func(b *testing.B) {
			defer runtime.KeepAlive(make([]byte, 64<<20)) // as in BenchmarkReplay
			for b.Loop() {
				b.StopTimer()
				dir := ""
				if c.dir != "" {
					dir = b.TempDir()
					if err := os.CopyFS(dir, os.DirFS(c.dir)); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				stop := start(dir)
				b.StopTimer()
				stop()
				b.StartTimer()
			}
		})
	}
	return h
}

// appendToBoth writes batches to a store of 100,000 events and to a large one in turns, durably: to accounts that the engine has in
// memory, as it has those that were used of late, and to others, of which the store must find the end. What counts is the ratio
// of the medians.
func appendToBoth(b *testing.B, small, large *history) {
	for _, c := range []struct {
		name  string
		known bool
	}{{"known", true}, {"unknown", false}} {
		for _, size := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("append %d to accounts that are %s", size, c.name), func(b *testing.B) { appendInTurns(b, small, large, size, c.known) })
		}
	}
}

func appendInTurns(b *testing.B, small, large *history, size int, known bool) {
	var took [2][]time.Duration
	for b.Loop() {
		for i, h := range []*history{small, large} {
			h.b = b
			batch, of := h.batch(size)
			needs := h.needs(&batch, of, known)
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
