package pgstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"daybook/test/servers"
)

// BenchmarkForget forgets nine of ten events of a store of a million, with somebody who commits single events beside it, and gives
// the size of the table with its indexes before, after, and when 400,000 more events were written.
func BenchmarkForget(b *testing.B) {
	const events, forgotten, more = 1_000_000, 900_000, 400_000
	for range b.N {
		b.StopTimer()
		s := open(b, Options{})
		l := newAccounts(10_000)
		l.fill(b, s, events, 1000)
		execute(b, servers.Postgres(b), inSchema(`VACUUM ANALYZE daybook.events`, s.options.Schema))
		b.ReportMetric(megabytes(b, s), "MB-before")
		quiet, cancel := context.WithTimeout(b.Context(), 2*time.Second)
		idle := l.commitUntil(b, s, func() { <-quiet.Done() })
		cancel()
		b.StartTimer()
		busy := l.commitUntil(b, s, func() {
			if err := s.Forget(b.Context(), forgotten); err != nil {
				b.Error(err)
			}
		})
		b.StopTimer()
		b.ReportMetric(megabytes(b, s), "MB-after")
		l.fill(b, s, more, 1000)
		b.ReportMetric(megabytes(b, s), "MB-with-more")
		b.ReportMetric(idle.Seconds()*1e3, "ms-longest-commit-before")
		b.ReportMetric(busy.Seconds()*1e3, "ms-longest-commit-beside")
	}
	b.ReportMetric(float64(b.N)*forgotten/b.Elapsed().Seconds(), "events/s")
}

// megabytes is the size of the table of events with its indexes.
func megabytes(b *testing.B, s *Store) float64 {
	b.Helper()
	n, err := s.number(b.Context(), fmt.Sprintf(`SELECT pg_total_relation_size('%s.events')`, s.options.Schema))
	if err != nil {
		b.Fatal(err)
	}
	return float64(n) / 1e6
}

// accounts are streams that get events in turn.
type accounts struct {
	ends []appended
	next int
}

func newAccounts(n int) *accounts {
	l := &accounts{ends: make([]appended, n)}
	for i := range l.ends {
		l.ends[i].stream = fmt.Sprintf("acc-%06d", i)
	}
	return l
}

// fill writes events in batches, which are not larger than there are accounts.
func (l *accounts) fill(b *testing.B, s *Store, events, size int) {
	b.Helper()
	for range events / size {
		batch := make([]*appended, size)
		for i := range batch {
			batch[i] = &l.ends[l.next%len(l.ends)]
			batch[i].version++
			l.next++
		}
		if err := appendAll(s, batch); err != nil {
			b.Fatal(err)
		}
	}
}

// commitUntil commits single events one after another until the work is done, and gives how long the slowest of them took.
func (l *accounts) commitUntil(b *testing.B, s *Store, work func()) (longest time.Duration) {
	b.Helper()
	done := make(chan struct{})
	go func() { work(); close(done) }()
	for {
		select {
		case <-done:
			return longest
		default:
		}
		begun := time.Now()
		l.fill(b, s, 1, 1)
		longest = max(longest, time.Since(begun))
	}
}
