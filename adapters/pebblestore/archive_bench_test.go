package pebblestore

import (
	"context"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// BenchmarkForget forgets nine of ten events of a store of a million, with somebody who commits single events beside it, and gives
// the size of the directory before and after.
func BenchmarkForget(b *testing.B) {
	const events, forgotten = 1_000_000, 900_000
	for range b.N {
		b.StopTimer()
		s := openBench(b, Options{})
		l := newLedger(10_000)
		l.fill(b, s, events)
		if err := s.db.Compact(b.Context(), []byte{0}, []byte{255}, true); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(megabytes(b, s), "MB-before")
		b.ReportMetric(eventMegabytes(b, s), "events-MB-before")
		quiet, cancel := context.WithTimeout(b.Context(), 2*time.Second)
		idle := commitsUntil(b, s, l, func() { <-quiet.Done() })
		cancel()
		b.StartTimer()
		busy := commitsUntil(b, s, l, func() {
			if err := s.Forget(b.Context(), forgotten); err != nil {
				b.Error(err)
			}
		})
		b.StopTimer()
		b.ReportMetric(megabytes(b, s), "MB-after")
		b.ReportMetric(eventMegabytes(b, s), "events-MB-after")
		b.ReportMetric(idle.Seconds()*1e3, "ms-longest-commit-before")
		b.ReportMetric(busy.Seconds()*1e3, "ms-longest-commit-beside")
	}
	b.ReportMetric(float64(b.N)*forgotten/b.Elapsed().Seconds(), "events/s")
}

// commitsUntil commits single events one after another until the work is done, and gives how long the slowest of them took.
func commitsUntil(b *testing.B, s *Store, l *ledger, work func()) (longest time.Duration) {
	b.Helper()
	var working sync.WaitGroup
	done := make(chan struct{})
	working.Go(func() { work(); close(done) })
	defer working.Wait()
	for {
		select {
		case <-done:
			return longest
		default:
		}
		needs, batch := l.batch(1)
		begun := time.Now()
		unit, err := s.Begin(b.Context(), needs)
		if err == nil {
			err = unit.Commit(b.Context(), batch)
		}
		if err != nil {
			b.Error(err)
			return longest
		}
		longest = max(longest, time.Since(begun))
		l.written(batch)
	}
}

// megabytes is the size of the store's directory.
func megabytes(b *testing.B, s *Store) float64 {
	b.Helper()
	var size int64
	err := filepath.WalkDir(s.options.Dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // Pebble cleans up meanwhile
		}
		if info, err := entry.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return float64(size) / 1e6
}

// eventMegabytes is what the table of events takes of that.
func eventMegabytes(b *testing.B, s *Store) float64 {
	b.Helper()
	size, err := s.db.EstimateDiskUsage([]byte{tableEvents}, []byte{tableEvents + 1})
	if err != nil {
		b.Fatal(err)
	}
	return float64(size) / 1e6
}
