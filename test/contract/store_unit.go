package contract

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

func unitCases() []storeCase {
	return []storeCase{
		{"a unit of an empty store knows nothing", func(t *testing.T, s ports.Store) {
			u := begin(t, s, ports.Needs{Streams: []ports.StreamNeed{{Stream: "a"}, {Stream: "b", After: 3}}, Keys: []string{"k"}})
			defer u.Rollback()
			k := u.Known()
			if k.Head != 0 || !k.LastRecordedAt.IsZero() || len(k.Tails) != 2 || len(k.Outcomes) != 1 || k.Outcomes[0] != nil {
				t.Errorf("known is %+v", k)
			}
			sameEvents(t, "a", k.Tails[0], nil)
			sameEvents(t, "b", k.Tails[1], nil)
		}},
		{"a unit knows the head, the last recorded time, the tails and the outcomes asked for, in the order asked", whatAUnitKnows},
		{"events later than the position up to which the caller knows a stream are in its tail", tailsSince},
		{"what a unit knows stays true until it ends", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(2, "a")...)
			u := begin(t, s, needStream("a", 0, 0))
			done := make(chan error, 1)
			go func() { done <- tryWrite(t, s, ports.Batch{Events: []es.Recorded{at(4, "a", 4)}}) }()
			for range 100 {
				wantHead(t, s, 2)
			}
			sameEvents(t, "tail", u.Known().Tails[0], sequence(2, "a"))
			if err := u.Commit(t.Context(), ports.Batch{Events: []es.Recorded{at(3, "a", 3)}}); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatalf("the unit that waited: %v", err)
			}
			wantHead(t, s, 4)
		}},
		{"begin waits for the unit before it to end", oneUnitAtATime},
		{"begin gives up waiting when its context ends, and the unit before it is untouched", func(t *testing.T, s ports.Store) {
			u := begin(t, s, ports.Needs{})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { _, err := s.Begin(ctx, ports.Needs{}); done <- err }()
			cancel()
			wantIs(t, "begin", <-done, context.Canceled)
			late, stop := context.WithTimeout(t.Context(), time.Microsecond)
			defer stop()
			_, err := s.Begin(late, ports.Needs{})
			wantIs(t, "begin", err, context.DeadlineExceeded)
			if err := u.Commit(t.Context(), ports.Batch{Events: sequence(1, "a")}); err != nil {
				t.Fatal(err)
			}
			writeEvents(t, s, at(2, "a", 2))
		}},
		{"a batch over many streams with outcomes is written as one", func(t *testing.T, s ports.Store) {
			events := sequence(30, "a", "b", "c", "d", "e", "f", "g")
			b := ports.Batch{Events: events}
			for i := range events {
				b.Outcomes = append(b.Outcomes, ports.Outcome{Key: fmt.Sprint("k", i), RecordedAt: events[i].RecordedAt, Body: []byte{byte(i)}})
			}
			write(t, s, b)
			sameEvents(t, "feed", readFeed(t, s, 0, 100), events)
			sameEvents(t, "stream d", readStream(t, s, "d", 0, 100), []es.Recorded{events[3], events[10], events[17], events[24]})
			for _, o := range b.Outcomes {
				wantOutcome(t, outcome(t, s, o.Key), o)
			}
		}},
		{"a batch of a thousand events over hundreds of streams is written as one", bigBatches},
		{"an empty batch is written", func(t *testing.T, s ports.Store) {
			write(t, s, ports.Batch{})
			wantHead(t, s, 0)
		}},
		{"after a commit every read shows the batch", everyReadShows},
		{"rollback writes nothing, and the next unit can begin", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(2, "a")...)
			u := begin(t, s, needStream("a", 2, 2))
			u.Rollback()
			u.Rollback()
			wantHead(t, s, 2)
			writeEvents(t, s, at(3, "a", 3))
		}},
		{"rollback after a commit does nothing", func(t *testing.T, s ports.Store) {
			u := begin(t, s, ports.Needs{})
			if err := u.Commit(t.Context(), ports.Batch{Events: sequence(1, "a")}); err != nil {
				t.Fatal(err)
			}
			next := begin(t, s, ports.Needs{})
			u.Rollback() // must not end the unit that has begun since
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := s.Begin(ctx, ports.Needs{}); err == nil {
				t.Error("two units are open at once")
			}
			next.Rollback()
			wantHead(t, s, 1)
		}},
		{"a unit that has ended writes nothing more", func(t *testing.T, s ports.Store) {
			u := begin(t, s, ports.Needs{})
			u.Rollback()
			wantKind(t, u.Commit(t.Context(), ports.Batch{Events: sequence(1, "a")}), fault.Internal)
			wantHead(t, s, 0)
			writeEvents(t, s, sequence(1, "a")...)
		}},
		{"a context that has ended makes every call return its error and changes nothing", endedContext},
	}
}

func whatAUnitKnows(t *testing.T, s ports.Store) {
	all := sequence(12, "a", "b", "c")
	o := ports.Outcome{Key: "known", RecordedAt: epoch, Body: []byte("body")}
	write(t, s, ports.Batch{Events: all, Outcomes: []ports.Outcome{o}})
	u := begin(t, s, ports.Needs{
		Streams: []ports.StreamNeed{{Stream: "c"}, {Stream: "a", After: 2}, {Stream: "b", After: 4}, {Stream: "none"}, {Stream: "a", After: 3, At: 7}},
		Keys:    []string{"unknown", "known", ""},
	})
	defer u.Rollback()
	k := u.Known()
	if k.Head != 12 || k.LastRecordedAt != all[11].RecordedAt || len(k.Tails) != 5 || len(k.Outcomes) != 3 {
		t.Fatalf("known is %+v", k)
	}
	sameEvents(t, "c", k.Tails[0], []es.Recorded{all[2], all[5], all[8], all[11]})
	sameEvents(t, "a after 2", k.Tails[1], []es.Recorded{all[6], all[9]})
	sameEvents(t, "b after 4", k.Tails[2], nil)
	sameEvents(t, "none", k.Tails[3], nil)
	sameEvents(t, "a after 3", k.Tails[4], []es.Recorded{all[9]})
	if k.Outcomes[0] != nil || k.Outcomes[2] != nil {
		t.Errorf("unknown keys have the outcomes %+v and %+v", k.Outcomes[0], k.Outcomes[2])
	}
	wantOutcome(t, k.Outcomes[1], o)
}

func tailsSince(t *testing.T, s ports.Store) {
	all := sequence(8, "a", "b")
	writeEvents(t, s, all...)
	for _, c := range []struct {
		after es.Version
		at    es.Position
		want  []es.Recorded
	}{
		{4, 8, nil}, // knows all
		{4, 7, nil},
		{4, 0, nil},
		{3, 6, all[6:7]}, // knew all up to position 6
		{1, 1, []es.Recorded{all[2], all[4], all[6]}},
		{1, 2, []es.Recorded{all[2], all[4], all[6]}},
		{0, 0, []es.Recorded{all[0], all[2], all[4], all[6]}},
	} {
		u := begin(t, s, needStream("a", c.after, c.at))
		sameEvents(t, fmt.Sprintf("after %d at %d", c.after, c.at), u.Known().Tails[0], c.want)
		u.Rollback()
	}
	u := begin(t, s, needStream("new", 0, 8))
	sameEvents(t, "a stream that does not exist", u.Known().Tails[0], nil)
	if err := u.Commit(t.Context(), ports.Batch{Events: []es.Recorded{at(9, "new", 1)}}); err != nil {
		t.Fatal(err)
	}
}

func oneUnitAtATime(t *testing.T, s ports.Store) {
	const workers, rounds = 8, 50
	var open atomic.Int32
	var committed atomic.Uint64
	var wg sync.WaitGroup
	for w := range workers {
		stream := es.StreamID(fmt.Sprint("w", w))
		wg.Go(func() {
			version := es.Version(0)
			for range rounds {
				u, err := s.Begin(patience(t), needStream(stream, version, 0))
				if err != nil {
					t.Errorf("begin: %v", err)
					return
				}
				if n := open.Add(1); n != 1 {
					t.Errorf("%d units are open at once", n)
				}
				k := u.Known()
				if k.Head != es.Position(committed.Load()) {
					t.Errorf("a unit knows the head %d after %d commits", k.Head, committed.Load())
				}
				e := at(k.Head+1, stream, version+1)
				commit := rand.IntN(3) > 0
				if commit {
					committed.Add(1)
					version++
				}
				open.Add(-1)
				if !commit {
					u.Rollback()
				} else if err := u.Commit(t.Context(), ports.Batch{Events: []es.Recorded{e}}); err != nil {
					t.Errorf("commit: %v", err)
				}
			}
		})
	}
	wg.Wait()
	wantHead(t, s, es.Position(committed.Load()))
}

func bigBatches(t *testing.T, s ports.Store) {
	const n, streams = 3000, 700
	var ids []es.StreamID
	for i := range streams {
		ids = append(ids, es.StreamID(fmt.Sprint("acc-", i)))
	}
	all := sequence(n, ids...)
	for i := 0; i < n; i += 1000 {
		write(t, s, ports.Batch{Events: all[i : i+1000]})
	}
	sameEvents(t, "feed", readFeed(t, s, 0, n+1), all)
	for i := 0; i < streams; i += 13 {
		var want []es.Recorded
		for j := i; j < n; j += streams {
			want = append(want, all[j])
		}
		sameEvents(t, string(ids[i]), readStream(t, s, ids[i], 0, 100), want)
	}
}

func everyReadShows(t *testing.T, s ports.Store) {
	for n := es.Position(1); n <= 50; n++ {
		e := at(n, "a", es.Version(n))
		o := ports.Outcome{Key: fmt.Sprint("k", n), RecordedAt: e.RecordedAt, Body: []byte{byte(n)}}
		write(t, s, ports.Batch{Events: []es.Recorded{e}, Outcomes: []ports.Outcome{o}})
		wantHead(t, s, n)
		sameEvents(t, "stream", readStream(t, s, "a", es.Version(n-1), 10), []es.Recorded{e})
		sameEvents(t, "feed", readFeed(t, s, n-1, 10), []es.Recorded{e})
		wantOutcome(t, outcome(t, s, o.Key), o)
		if p, err := s.PositionAt(t.Context(), e.RecordedAt); err != nil || p != n {
			t.Fatalf("position at the time of event %d: %d, %v", n, p, err)
		}
		if err := s.Wait(patience(t), n-1); err != nil {
			t.Fatalf("wait: %v", err)
		}
		u := begin(t, s, ports.Needs{Streams: []ports.StreamNeed{{Stream: "a", After: es.Version(n - 1)}}, Keys: []string{o.Key}})
		sameEvents(t, "tail", u.Known().Tails[0], []es.Recorded{e})
		wantOutcome(t, u.Known().Outcomes[0], o)
		u.Rollback()
	}
}

func endedContext(t *testing.T, s ports.Store) {
	write(t, s, ports.Batch{Events: sequence(2, "a")})
	saveCheckpoint(t, s, "c", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, call := range map[string]func() error{
		"begin":           func() error { _, err := s.Begin(ctx, ports.Needs{}); return err },
		"head":            func() error { _, err := s.Head(ctx); return err },
		"read stream":     func() error { _, err := s.ReadStream(ctx, "a", 0, 1); return err },
		"read feed":       func() error { _, err := s.ReadFeed(ctx, 0, 1); return err },
		"position at":     func() error { _, err := s.PositionAt(ctx, epoch); return err },
		"archived":        func() error { _, err := s.Archived(ctx); return err },
		"forget":          func() error { return s.Forget(ctx, 1) },
		"outcome":         func() error { _, err := s.Outcome(ctx, "k"); return err },
		"wait":            func() error { return s.Wait(ctx, 2) },
		"checkpoint":      func() error { _, err := s.Checkpoint(ctx, "c"); return err },
		"checkpoints":     func() error { _, err := s.Checkpoints(ctx); return err },
		"save checkpoint": func() error { return s.SaveCheckpoint(ctx, "c", 0, 2) },
		"lease":           func() error { _, err := s.Lease(ctx, "l", "h", long); return err },
		"release":         func() error { return s.Release(ctx, "l", 1) },
		"commit": func() error {
			return begin(t, s, ports.Needs{}).Commit(ctx, ports.Batch{Events: []es.Recorded{at(3, "a", 3)}})
		},
	} {
		wantIs(t, what, call(), context.Canceled)
	}
	wantHead(t, s, 2)
	wantForgotten(t, s, 0)
	if p := checkpoint(t, s, "c"); p != 1 {
		t.Errorf("the checkpoint moved to %d", p)
	}
	writeEvents(t, s, at(3, "a", 3))
}
