package contract

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

func archiveCases() []storeCase {
	return []storeCase{
		{"archived is zero at first, and then the position up to which events were forgotten", func(t *testing.T, s ports.Store) {
			wantForgotten(t, s, 0)
			writeEvents(t, s, sequence(9, "a", "b")...)
			wantForgotten(t, s, 0)
			for _, p := range []es.Position{1, 2, 5, 8} {
				forget(t, s, p)
				wantForgotten(t, s, p)
			}
		}},
		{"an event that was forgotten is a place in the feed, in its stream and in what a unit knows, and all others are as they were", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(40, "a", "b", "c")...)
			all := readFeed(t, s, 0, 100)
			for p := es.Position(1); p < 40; p += 5 {
				forget(t, s, p)
				WantForgotten(t, s, all, p)
			}
		}},
		{"the last event of the store, and one that is not there yet, cannot be forgotten", func(t *testing.T, s ports.Store) {
			wantIs(t, "in an empty store", s.Forget(t.Context(), 1), ports.ErrBatchRefused)
			writeEvents(t, s, sequence(6, "a", "b")...)
			all := readFeed(t, s, 0, 10)
			for _, p := range []es.Position{6, 7, math.MaxInt64, math.MaxUint64} {
				wantIs(t, fmt.Sprint("up to ", p), s.Forget(t.Context(), p), ports.ErrBatchRefused)
				WantForgotten(t, s, all, 0)
			}
			forget(t, s, 5)
			wantIs(t, "the last one", s.Forget(t.Context(), 6), ports.ErrBatchRefused)
			WantForgotten(t, s, all, 5)
		}},
		{"to forget up to a position at or before the archived one changes nothing", func(t *testing.T, s ports.Store) {
			forget(t, s, 0)
			wantForgotten(t, s, 0)
			writeEvents(t, s, sequence(20, "a", "b")...)
			all := readFeed(t, s, 0, 100)
			forget(t, s, 12)
			for _, p := range []es.Position{12, 11, 1, 0} {
				forget(t, s, p)
				WantForgotten(t, s, all, 12)
			}
		}},
		{"streams go on where they end, also those of which all was forgotten, whatever the caller knows of them", streamsGoOn},
		{"a stream of which all was forgotten is still at its version", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(6, "a", "b")...)
			writeEvents(t, s, at(7, "last", 1))
			forget(t, s, 6)
			for _, expected := range []es.Version{0, 1, 2, 4} {
				_, err := ports.Append(t.Context(), s, epoch, "a", expected, draft(1))
				wantIs(t, fmt.Sprint("append after version ", expected), err, ports.ErrVersionConflict)
			}
			if err := tryWrite(t, s, ports.Batch{Events: []es.Recorded{at(8, "a", 3)}}); err == nil {
				t.Error("a version that was forgotten was written again")
			}
			if err := tryWrite(t, s, ports.Batch{Events: []es.Recorded{at(8, "a", 5)}}); err == nil {
				t.Error("a version was left out")
			}
			mustAppend(t, s, "a", 3, 2)
		}},
		{"a unit that is open while events are forgotten commits as if nothing had happened", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(9, "a", "b", "c")...)
			all := readFeed(t, s, 0, 10)
			u := begin(t, s, ports.Needs{Streams: []ports.StreamNeed{{Stream: "a", After: 3}, {Stream: "b"}}})
			forget(t, s, 8)
			sameEvents(t, "tail", u.Known().Tails[1], []es.Recorded{all[1], all[4], all[7]})
			if err := u.Commit(t.Context(), ports.Batch{Events: []es.Recorded{at(10, "a", 4), at(11, "b", 4), at(12, "c", 4)}}); err != nil {
				t.Fatal(err)
			}
			WantForgotten(t, s, append(all, readFeed(t, s, 9, 10)...), 8)
		}},
		{"the tree, outcomes, snapshots and checkpoints are not touched when events are forgotten", allElseStays},
		{"the position at a time is known of what is there, and of what was forgotten at most that no later one was recorded by then", positionAtForgotten},
		{"a forgetting whose context ends has forgotten what archived says, and can be taken up again", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(300, "a", "b", "c")...)
			all := readFeed(t, s, 0, 300)
			for _, upTo := range []es.Position{100, 200, 299} {
				ctx, cancel := context.WithCancel(t.Context())
				begun := archivedAt(t, s)
				done := make(chan error, 1)
				go func() { done <- s.Forget(ctx, upTo) }()
				for ended := false; !ended && archivedAt(t, s) == begun; {
					select {
					case err := <-done:
						ended, done = true, make(chan error, 1)
						done <- err
					default:
					}
				}
				cancel()
				if err := <-done; err != nil {
					wantIs(t, "forget", err, context.Canceled)
				}
				WantForgotten(t, s, all, archivedAt(t, s))
				forget(t, s, upTo)
				WantForgotten(t, s, all, upTo)
			}
		}},
		{"a close while events are forgotten ends that", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(300, "a", "b", "c")...)
			done := make(chan error, 1)
			go func() { done <- s.Forget(patience(t), 299) }()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				wantIs(t, "forget", err, ports.ErrStoreClosed)
			}
		}},
		{"events are forgotten while many write and read, and nobody sees anything else than an event or its place", forgetAmong},
	}
}

func forget(t *testing.T, s ports.Store, upTo es.Position) {
	t.Helper()
	if err := s.Forget(t.Context(), upTo); err != nil {
		t.Fatalf("forget up to %d: %v", upTo, err)
	}
}

func wantForgotten(t *testing.T, s ports.Store, want es.Position) {
	t.Helper()
	if got := archivedAt(t, s); got != want {
		t.Fatalf("archived is %d, want %d", got, want)
	}
}

func archivedAt(t *testing.T, s ports.Store) es.Position {
	t.Helper()
	p, err := s.Archived(t.Context())
	if err != nil {
		t.Fatalf("archived: %v", err)
	}
	return p
}

// WantForgotten holds the store against all events that it was given, with their hashes, of which those up to a position were
// forgotten: every read gives those as places, and the others as they were. It is a test of its own for a Forget that was cut short.
func WantForgotten(t *testing.T, s ports.Store, all []es.Recorded, upTo es.Position) {
	t.Helper()
	wantForgotten(t, s, upTo)
	wantHead(t, s, es.Position(len(all)))
	for _, after := range []es.Position{0, upTo / 2, max(upTo, 1) - 1, upTo} {
		placesThenEvents(t, fmt.Sprint("feed after ", after), readFeed(t, s, after, len(all)+1), all[after:], upTo)
	}
	streams := map[es.StreamID][]es.Recorded{}
	for _, e := range all {
		streams[e.Stream] = append(streams[e.Stream], e)
	}
	for stream, want := range streams {
		for _, after := range []int{0, len(want) / 2, len(want) - 1} {
			what := fmt.Sprintf("%s after %d", stream, after)
			got := readStream(t, s, stream, es.Version(after), len(want)+1)
			placesThenEvents(t, what, got, want[after:], upTo)
			u := begin(t, s, needStream(stream, es.Version(after), 0))
			tail := u.Known().Tails[0]
			u.Rollback()
			placesThenEvents(t, "tail of "+what, tail, want[after:], upTo)
			for i, e := range append(got, tail...) {
				if w := want[after+i%len(got)]; e.Stream != stream || e.Version != w.Version {
					t.Fatalf("%s: the event at position %d is version %d of %q, want %d", what, w.Position, e.Version, e.Stream, w.Version)
				}
			}
		}
	}
	sealedOver(t, s, all)
}

func placesThenEvents(t *testing.T, what string, got, want []es.Recorded, upTo es.Position) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d events, want %d", what, len(got), len(want))
	}
	for i := range got {
		if want[i].Position <= upTo {
			wantPlace(t, what, &got[i], want[i].Position)
		} else {
			sameEvents(t, what, got[i:i+1], want[i:i+1])
		}
	}
}

func wantPlace(t *testing.T, what string, e *es.Recorded, p es.Position) {
	t.Helper()
	if e.Position != p || !e.Forgotten() || e.Metadata != nil {
		t.Fatalf("%s: position %d was forgotten and is %+v", what, p, e)
	}
}

func streamsGoOn(t *testing.T, s ports.Store) {
	streams := []es.StreamID{"nothing", "version", "hash", "all", "append", "older"}
	n := 3 * len(streams)
	writeEvents(t, s, sequence(n, streams...)...)
	writeEvents(t, s, at(es.Position(n+1), "last", 1))
	all := readFeed(t, s, 0, n+1)
	forget(t, s, es.Position(n))
	goOn := func(need ports.StreamNeed) {
		t.Helper()
		u := begin(t, s, ports.Needs{Streams: []ports.StreamNeed{need}})
		p := es.Position(len(all) + 1)
		e := []es.Recorded{at(p, need.Stream, 4)}
		if err := u.Commit(t.Context(), ports.Batch{Events: e}); err != nil {
			t.Fatalf("with %+v: %v", need, err)
		}
		all = append(all, readFeed(t, s, p-1, 1)...)
	}
	hash := func(i int) es.Hash { return all[2*len(streams)+i].Hash }
	goOn(ports.StreamNeed{Stream: "nothing"})
	goOn(ports.StreamNeed{Stream: "version", After: 3})
	goOn(ports.StreamNeed{Stream: "hash", After: 3, Hash: hash(2)})
	goOn(ports.StreamNeed{Stream: "all", After: 3, Hash: hash(3), At: es.Position(len(all))})
	goOn(ports.StreamNeed{Stream: "older", After: 2})
	if _, err := ports.Append(t.Context(), s, epoch.AddDate(1, 0, 0), "append", 3, draft(1), draft(2)); err != nil {
		t.Fatal(err)
	}
	all = append(all, readFeed(t, s, es.Position(len(all)), 10)...)
	WantForgotten(t, s, all, es.Position(n)) // with every hash bound to the one before
	forget(t, s, es.Position(len(all)-1))
	mustAppend(t, s, "nothing", 4, 1)
	all = append(all, readFeed(t, s, es.Position(len(all)), 10)...)
	WantForgotten(t, s, all, es.Position(len(all)-2))
}

func allElseStays(t *testing.T, s ports.Store) {
	all := sequence(3*256+10, "a", "b", "c")
	var outcomes []ports.Outcome
	for i := range all {
		outcomes = append(outcomes, ports.Outcome{Key: fmt.Sprint("k", i), RecordedAt: all[i].RecordedAt, Body: []byte{byte(i)}})
	}
	write(t, s, ports.Batch{Events: all, Outcomes: outcomes})
	saveSnapshots(t, s, ports.Snapshot{Stream: "a", Position: 100, Body: []byte("a")})
	saveCheckpoint(t, s, "c", 77)
	all = readFeed(t, s, 0, len(all))
	forget(t, s, 600)
	WantForgotten(t, s, all, 600)
	for _, o := range outcomes {
		wantOutcome(t, outcome(t, s, o.Key), o)
	}
	if page, err := s.Outcomes(t.Context(), "", len(all)+1); err != nil || len(page) != len(all) {
		t.Errorf("there are %d outcomes, %v; want %d", len(page), err, len(all))
	}
	wantSnapshot(t, s, "a", math.MaxUint64, 100, "a")
	if p := checkpoint(t, s, "c"); p != 77 {
		t.Errorf("the checkpoint is %d, want 77", p)
	}
	u := begin(t, s, ports.Needs{})
	defer u.Rollback()
	if k := u.Known(); k.Head != es.Position(len(all)) || k.LastRecordedAt != all[len(all)-1].RecordedAt {
		t.Errorf("known is %+v", k)
	}
}

func positionAtForgotten(t *testing.T, s ports.Store) {
	const n = 100
	all := sequence(n, "a", "b", "c")
	writeEvents(t, s, all...)
	for _, archived := range []es.Position{1, 50, 99} {
		forget(t, s, archived)
		for i := range n + 1 {
			when := epoch.Add(time.Duration(i)*time.Second + time.Millisecond) // after event i
			got, err := s.PositionAt(t.Context(), when)
			if want := es.Position(i); err != nil || got != want && (want > archived || got > archived) || got < want {
				t.Errorf("archived up to %d: after event %d the position is %d, %v", archived, i, got, err)
			}
		}
	}
}

// forgetAmong has writers, readers and two who forget at work on one store.
func forgetAmong(t *testing.T, s ports.Store) {
	const writers, each = 4, 60
	ctx := patience(t)
	var written, others sync.WaitGroup
	for w := range writers {
		written.Go(func() {
			for v := range es.Version(each) {
				if _, err := ports.Append(ctx, s, epoch, es.StreamID(fmt.Sprint("w", w)), 2*v, draft(int(2*v)), draft(int(2*v+1))); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	var begun, done atomic.Uint64 // positions: those that are being forgotten, and were
	var ended atomic.Bool
	for range 2 {
		others.Go(func() {
			for !ended.Load() {
				p, err := s.Head(ctx)
				if err != nil || p < 2 {
					continue
				}
				raise(&begun, uint64(p-1))
				if err := s.Forget(ctx, p-1); err != nil {
					t.Errorf("forget up to %d: %v", p-1, err)
				}
				raise(&done, uint64(p-1))
			}
		})
	}
	for r := range 3 {
		others.Go(func() {
			for !ended.Load() {
				if err := eventsOrPlaces(s, r, &begun, &done); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	written.Wait()
	ended.Store(true)
	others.Wait()
	forget(t, s, 2*writers*each-1)
	wantForgotten(t, s, 2*writers*each-1)
	for w := range writers {
		mustAppend(t, s, es.StreamID(fmt.Sprint("w", w)), 2*each, 1)
	}
}

func raise(p *atomic.Uint64, to uint64) {
	for {
		if was := p.Load(); was >= to || p.CompareAndSwap(was, to) {
			return
		}
	}
}

// eventsOrPlaces reads the feed, a stream or a tail once.
func eventsOrPlaces(s ports.Store, which int, begun, done *atomic.Uint64) (err error) {
	must := es.Position(done.Load())
	var events []es.Recorded
	ctx, stream := context.Background(), es.StreamID("w1")
	switch which {
	case 0:
		events, err = s.ReadFeed(ctx, max(must, 20)-20, 60)
	case 1:
		events, err = s.ReadStream(ctx, stream, 0, 1000)
	default:
		var u ports.Unit
		if u, err = s.Begin(ctx, needStream(stream, 0, 0)); err == nil {
			events = u.Known().Tails[0]
			u.Rollback()
		}
	}
	may := es.Position(begun.Load())
	for i, e := range events {
		whole := !e.Forgotten() && string(e.Data) == fmt.Sprintf(`{"n":%d}`, e.Version-1)
		switch {
		case i > 0 && e.Position <= events[i-1].Position, which > 0 && (e.Version != es.Version(i+1) || e.Stream != stream):
			return fmt.Errorf("%+v follows %+v", e, events[max(i, 1)-1])
		case !e.Forgotten() && !whole, e.Forgotten() && e.Position > may, !e.Forgotten() && e.Position <= must:
			return fmt.Errorf("up to %d was forgotten, up to %d may be, and there is %+v", must, may, e)
		}
	}
	return err
}
