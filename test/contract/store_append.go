package contract

import (
	"errors"
	"sync"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

func appendCases() []storeCase {
	return []storeCase{
		{"append writes drafts to one stream and returns them as recorded", appendRecords},
		{"append to a stream that is not at the expected version conflicts and writes nothing", func(t *testing.T, s ports.Store) {
			mustAppend(t, s, "a", 0, 2)
			for _, expected := range []es.Version{0, 1, 3, 9} {
				_, err := ports.Append(t.Context(), s, epoch, "a", expected, draft(1), draft(2))
				wantIs(t, "append", err, ports.ErrVersionConflict)
			}
			_, err := ports.Append(t.Context(), s, epoch, "new", 1, draft(1))
			wantIs(t, "append to a stream that does not exist", err, ports.ErrVersionConflict)
			wantHead(t, s, 2)
			mustAppend(t, s, "a", 2, 1)
		}},
		{"of many who append with the same expected version exactly one wins and the others conflict", raceToAppend},
		{"recorded time rises even when the clock does not", func(t *testing.T, s ports.Store) {
			var last time.Time
			for i, now := range []time.Time{epoch, epoch, epoch.Add(-time.Hour), epoch.Add(time.Hour), epoch, epoch.Add(time.Hour)} {
				e, err := ports.Append(t.Context(), s, now, "a", es.Version(i), draft(i))
				if err != nil {
					t.Fatal(err)
				}
				if !e[0].RecordedAt.After(last) || e[0].RecordedAt.Before(now.Truncate(time.Microsecond)) {
					t.Errorf("at %v an event was recorded at %v, after one at %v", now, e[0].RecordedAt, last)
				}
				last = e[0].RecordedAt
			}
		}},
	}
}

func mustAppend(t *testing.T, s ports.Store, stream es.StreamID, expected es.Version, n int) []es.Recorded {
	t.Helper()
	drafts := make([]es.Recorded, n)
	for i := range drafts {
		drafts[i] = draft(i)
	}
	events, err := ports.Append(t.Context(), s, epoch, stream, expected, drafts...)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return events
}

func appendRecords(t *testing.T, s ports.Store) {
	mustAppend(t, s, "other", 0, 3)
	effective := draft(2)
	effective.EffectiveAt = epoch.AddDate(-1, 0, 0)
	got, err := ports.Append(t.Context(), s, epoch.Add(time.Minute), "a", 0, draft(1), effective)
	if err != nil {
		t.Fatal(err)
	}
	want := []es.Recorded{draft(1), effective}
	for i := range want {
		e := &want[i]
		e.Stream, e.Version, e.Position, e.RecordedAt = "a", es.Version(i+1), es.Position(i+4), epoch.Add(time.Minute)
		if e.EffectiveAt.IsZero() {
			e.EffectiveAt = e.RecordedAt
		}
		e.Hash = got[i].Hash
		if string(got[i].AppendJSON(nil)) != string(e.AppendJSON(nil)) {
			t.Errorf("append returned %+v, want %+v", got[i], *e)
		}
	}
	sameEvents(t, "feed", readFeed(t, s, 3, 10), want)
	sameEvents(t, "stream", readStream(t, s, "a", 0, 10), want)
}

func raceToAppend(t *testing.T, s ports.Store) {
	const writers, rounds = 16, 25
	for round := range rounds {
		start := make(chan struct{})
		errs := make([]error, writers)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				<-start
				_, errs[w] = ports.Append(patience(t), s, epoch, "race", es.Version(round), draft(w))
			})
		}
		close(start)
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, ports.ErrVersionConflict) {
				t.Fatalf("round %d: a loser got %v, want a version conflict", round, err)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d writers won, want 1", round, won)
		}
	}
	wantHead(t, s, rounds)
}
