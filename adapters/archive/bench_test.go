package archive

import (
	"math/rand/v2"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
)

// full is an archive of one full segment in a folder.
func full(b *testing.B) (*Archive, []es.Recorded) {
	b.Helper()
	events := contract.Sealed(b, ports.ArchiveSegment)
	a, err := Open(b.Context(), "file://"+b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { a.Close() })
	start := time.Now()
	if err := a.Add(b.Context(), events); err != nil {
		b.Fatal(err)
	}
	bytes := 0
	for i := range events {
		bytes += len(events[i].JSON()) + 1
	}
	b.Logf("%d events, %d bytes each, are %d bytes each in the archive; added in %s", len(events), bytes/len(events),
		a.known.Load().Segments[0].Bytes/int64(len(events)), time.Since(start))
	return a, events
}

// BenchmarkReadInOrder reads pages of 2,000 events, each page again from the file.
func BenchmarkReadInOrder(b *testing.B) {
	a, events := full(b)
	at := make([]es.Position, 2000)
	n := 0
	for b.Loop() {
		first := n * len(at) % (len(events) - len(at))
		for i := range at {
			at[i] = es.Position(first + i + 1)
		}
		a.frames = newRecent[[]es.Recorded](0)
		if _, err := a.Read(b.Context(), at); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n*len(at))/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkPositionAt finds times of which nothing is kept in memory but the index.
func BenchmarkPositionAt(b *testing.B) {
	a, events := full(b)
	for b.Loop() {
		a.frames = newRecent[[]es.Recorded](0)
		if _, err := a.PositionAt(b.Context(), events[rand.IntN(len(events))].RecordedAt); err != nil {
			b.Fatal(err)
		}
	}
}
