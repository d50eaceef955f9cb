package pebblestore

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// ledger makes batches as the engine does: events of about 330 bytes over many accounts, each with an outcome of a
// command of about 60 bytes under a random key.
type ledger struct {
	random   *rand.Rand
	accounts []es.StreamID
	ends     map[es.StreamID]ports.StreamEnd
	head     es.Position
	tree     es.Tree
	at       time.Time
}

func newLedger(accounts int) *ledger {
	l := &ledger{random: rand.New(rand.NewPCG(1, 2)), ends: map[es.StreamID]ports.StreamEnd{}, at: time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)}
	for i := range accounts {
		l.accounts = append(l.accounts, es.StreamID(fmt.Sprintf("acc-%06d", i)))
	}
	return l
}

func (l *ledger) batch(n int) (ports.Needs, ports.Batch) {
	needs := ports.Needs{}
	b := ports.Batch{Events: make([]es.Recorded, n), Outcomes: make([]ports.Outcome, n)}
	before, seen := l.head, map[es.StreamID]bool{}
	for i := range n {
		stream := l.accounts[l.random.IntN(len(l.accounts))]
		if !seen[stream] {
			seen[stream] = true
			needs.Streams = append(needs.Streams, ports.StreamNeed{Stream: stream, After: l.ends[stream].Version, Hash: l.ends[stream].Hash, At: before})
		}
		l.ends[stream] = ports.StreamEnd{Version: l.ends[stream].Version + 1}
		l.head++
		l.at = l.at.Add(time.Microsecond)
		key := fmt.Sprintf("local/%016x", l.random.Uint64())
		b.Events[i] = es.Recorded{
			Stream: stream, Version: l.ends[stream].Version, Position: l.head, Type: "MoneyDeposited", Schema: 1, EffectiveAt: l.at, RecordedAt: l.at,
			Data:     fmt.Appendf(nil, `{"amount":%d,"reference":"inv-%d"}`, l.random.IntN(1e6), l.random.IntN(1e6)),
			Metadata: fmt.Appendf(nil, `{"principal":"local","commandId":%q,"requestId":"%016x"}`, key[6:], l.random.Uint64()),
		}
		needs.Keys = append(needs.Keys, key)
		b.Outcomes[i] = ports.Outcome{Key: key, RecordedAt: l.at, Body: make([]byte, 60)}
		for j := range b.Outcomes[i].Body {
			b.Outcomes[i].Body[j] = byte(l.random.Uint32())
		}
	}
	return needs, b
}

// written takes in the hashes of a batch that was committed.
func (l *ledger) written(b ports.Batch) {
	for i := range b.Events {
		e := &b.Events[i]
		l.ends[e.Stream] = ports.StreamEnd{Version: e.Version, Hash: e.Hash}
	}
}

// hash hashes a batch that was committed again, and says how long that took.
func (l *ledger) hash(b *testing.B, needs ports.Needs, batch ports.Batch) time.Duration {
	b.Helper()
	latest := map[es.StreamID]es.Hash{}
	for i := range needs.Streams {
		latest[needs.Streams[i].Stream] = needs.Streams[i].Hash
	}
	before := make([]es.Hash, len(batch.Events))
	for i := range batch.Events {
		e := &batch.Events[i]
		before[i] = latest[e.Stream]
		latest[e.Stream] = e.Hash
	}
	began := time.Now()
	for i := range batch.Events {
		e := &batch.Events[i]
		if e.HashAfter(before[i]) != e.Hash {
			b.Fatalf("%s has another hash", e.Position.EventID())
		}
		l.tree.Add(e.Hash, nil)
	}
	return time.Since(began)
}

func (l *ledger) fill(b *testing.B, s *Store, events int) {
	b.Helper()
	for l.head < es.Position(events) {
		needs, batch := l.batch(1000)
		unit, err := s.Begin(b.Context(), needs)
		if err == nil {
			err = unit.Commit(b.Context(), batch)
		}
		if err != nil {
			b.Fatal(err)
		}
		l.written(batch)
	}
}

func openBench(b *testing.B, o Options) *Store {
	b.Helper()
	o.Dir = b.TempDir()
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// BenchmarkCommit measures whole units of work, synced, with their outcomes; 100,000 accounts. What hashing has of that is found by
// doing it once more: the hash of each event, and the tree.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint("batch=", n), func(b *testing.B) {
			s := openBench(b, Options{})
			l := newLedger(100_000)
			var hashing time.Duration
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				needs, batch := l.batch(n)
				b.StartTimer()
				unit, err := s.Begin(b.Context(), needs)
				if err == nil {
					err = unit.Commit(b.Context(), batch)
				}
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				hashing += l.hash(b, needs, batch)
				l.written(batch)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(100*hashing.Seconds()/b.Elapsed().Seconds(), "%hashing")
		})
	}
}

// BenchmarkReplayFeed reads and parses the whole feed in pages.
func BenchmarkReplayFeed(b *testing.B) {
	const events, page = 300_000, 1000
	s := openBench(b, Options{NoSync: true})
	newLedger(10_000).fill(b, s, events)
	bytes := 0
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		bytes = 0
		for at := es.Position(0); at < events; {
			got, err := s.ReadFeed(b.Context(), at, page)
			if err != nil {
				b.Fatal(err)
			}
			for i := range got {
				bytes += len(got[i].JSON())
			}
			at = got[len(got)-1].Position
		}
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(bytes)/events, "B/event")
}

// BenchmarkBegin measures the looks that a batch of 1,000 commands with new keys costs over accounts that the caller
// knows, that it knows as of an earlier position, and that do not exist.
func BenchmarkBegin(b *testing.B) {
	s := openBench(b, Options{NoSync: true})
	l := newLedger(100_000)
	l.fill(b, s, 300_000)
	if err := s.db.Flush(); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		need func(ports.StreamNeed) ports.StreamNeed
	}{
		{"known", func(n ports.StreamNeed) ports.StreamNeed { return n }},
		{"earlier", func(n ports.StreamNeed) ports.StreamNeed { n.At--; return n }},
		{"new", func(n ports.StreamNeed) ports.StreamNeed { return ports.StreamNeed{Stream: "x" + n.Stream} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				needs := ports.Needs{}
				for range 1000 {
					stream := l.accounts[l.random.IntN(len(l.accounts))]
					needs.Streams = append(needs.Streams, c.need(ports.StreamNeed{Stream: stream, After: l.ends[stream].Version, Hash: l.ends[stream].Hash, At: l.head}))
					needs.Keys = append(needs.Keys, fmt.Sprintf("local/%016x", l.random.Uint64()))
				}
				b.StartTimer()
				unit, err := s.Begin(b.Context(), needs)
				if err != nil {
					b.Fatal(err)
				}
				unit.Rollback()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/command")
		})
	}
}
