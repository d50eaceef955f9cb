package contract

import (
	"context"
	"fmt"
	"math"
	"sync"
	"testing"

	"daybook/core/es"
	"daybook/core/ports"
)

func feedCases() []storeCase {
	return []storeCase{
		{"the feed gives events after a position, in position order, up to a limit", func(t *testing.T, s ports.Store) {
			sameEvents(t, "empty", readFeed(t, s, 0, 10), nil)
			all := sequence(9, "a", "b")
			writeEvents(t, s, all[:4]...)
			writeEvents(t, s, all[4:]...)
			for after := range 12 {
				for limit := range 11 {
					from := min(after, len(all))
					want := all[from:min(from+limit, len(all))]
					sameEvents(t, fmt.Sprintf("after %d limit %d", after, limit), readFeed(t, s, es.Position(after), limit), want)
				}
			}
			sameEvents(t, "no limit to speak of", readFeed(t, s, 0, math.MaxInt), all)
			sameEvents(t, "after any position", readFeed(t, s, math.MaxUint64, 5), nil)
		}},
		{"a reader that goes on after the last position it saw misses none while many write", follow},
		{"all methods may be called concurrently", everythingAtOnce},
	}
}

func follow(t *testing.T, s ports.Store) {
	const writers, each = 8, 40
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			stream := es.StreamID(fmt.Sprint("w", w))
			for v := 0; v < each; {
				n := 1 + v%3
				drafts := make([]es.Recorded, min(n, each-v))
				for i := range drafts {
					drafts[i] = draft(v + i)
				}
				if _, err := ports.Append(t.Context(), s, epoch, stream, es.Version(v), drafts...); err != nil {
					t.Errorf("append: %v", err)
					return
				}
				v += len(drafts)
			}
		})
	}
	defer wg.Wait()
	ctx := patience(t)
	var seen es.Position
	versions := map[es.StreamID]es.Version{}
	for seen < writers*each {
		if err := s.Wait(ctx, seen); err != nil {
			t.Fatalf("wait past %d: %v", seen, err)
		}
		page := readFeed(t, s, seen, 7)
		if len(page) == 0 {
			t.Fatalf("the head is past %d and the feed shows nothing after it", seen)
		}
		for _, e := range page {
			if seen++; e.Position != seen {
				t.Fatalf("position %d follows %d", e.Position, seen-1)
			}
			versions[e.Stream]++
			if want := fmt.Sprintf(`{"n":%d}`, e.Version-1); e.Version != versions[e.Stream] || string(e.Data) != want {
				t.Fatalf("%s shows version %d with %s, want version %d with %s", e.Stream, e.Version, e.Data, versions[e.Stream], want)
			}
		}
	}
}

func everythingAtOnce(t *testing.T, s ports.Store) {
	ctx, stop := context.WithCancel(patience(t))
	defer stop()
	const writers, each = 4, 25
	var readers sync.WaitGroup
	for _, read := range []func() error{
		func() error { _, err := s.Head(ctx); return err },
		func() error { _, err := s.ReadStream(ctx, "w1", 0, 10); return err },
		func() error { _, err := s.ReadFeed(ctx, 0, 50); return err },
		func() error { _, err := s.PositionAt(ctx, epoch); return err },
		func() error { _, err := s.Outcome(ctx, "k"); return err },
		func() error { _, err := s.Checkpoint(ctx, "c"); return err },
		func() error { return s.SaveCheckpoint(ctx, "c", 0, 1) },
		func() error { return s.Wait(ctx, 2*writers*each-1) },
	} {
		readers.Go(func() {
			for ctx.Err() == nil {
				if err := read(); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for v := range each {
				if _, err := ports.Append(ctx, s, epoch, es.StreamID(fmt.Sprint("w", w)), es.Version(2*v), draft(v), draft(v)); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	stop()
	readers.Wait()
	wantHead(t, s, 2*writers*each)
}
