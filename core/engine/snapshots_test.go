package engine

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

const every = 10 // events between snapshots in these tests

func withSnapshots(o *Options) { o.SnapshotEvery = every }

// keptStore counts what is read of streams, and lets tests at the snapshots.
type keptStore struct {
	ports.Store
	read     int // events of streams
	kept     map[es.Position]ports.Snapshot
	unusable error
}

func (s *keptStore) ReadStream(ctx context.Context, stream es.StreamID, after es.Version, limit int) ([]es.Recorded, error) {
	page, err := s.Store.ReadStream(ctx, stream, after, limit)
	s.read += len(page)
	return page, err
}

func (s *keptStore) SaveSnapshots(ctx context.Context, all []ports.Snapshot) error {
	for _, n := range all {
		s.kept[n.Position] = n
	}
	return s.Store.SaveSnapshots(ctx, all)
}

func (s *keptStore) Snapshot(ctx context.Context, stream es.StreamID, upTo es.Position) (*ports.Snapshot, error) {
	if s.unusable != nil {
		return nil, s.unusable
	}
	return s.Store.Snapshot(ctx, stream, upTo)
}

// newLongWorld has one account "a" with so many events, and its snapshots written.
func newLongWorld(t *testing.T, events int) (*world, *keptStore) {
	w := newWorld(t)
	s := &keptStore{Store: w.store.Store, kept: map[es.Position]ports.Snapshot{}}
	w.store.Store = s
	w.engine = w.again(withSnapshots)
	w.must(w.create("a"))
	for range events - 1 {
		w.must(w.deposit("a", 1))
	}
	w.keepSnapshots(w.engine)
	return w, s
}

// keepSnapshots writes what was offered so far.
func (w *world) keepSnapshots(e *Engine) {
	w.t.Helper()
	for len(e.snapshots.queue) > 0 {
		if err := e.snapshots.save(context.Background(), <-e.snapshots.queue); err != nil {
			w.t.Fatal(err)
		}
	}
	for len(e.snapshots.ready) > 0 {
		if err := e.Store.SaveSnapshots(context.Background(), []ports.Snapshot{<-e.snapshots.ready}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// past is the state at every version, folded from the beginning.
func (w *world) past(id string) []es.Folded {
	w.t.Helper()
	states := []es.Folded{{Stream: w.module.Stream(id)}}
	events, err := w.store.ReadStream(context.Background(), w.module.Stream(id), 0, 1<<30)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range events {
		f := states[i]
		if err := w.engine.Registry.Fold(&f, &events[i]); err != nil {
			w.t.Fatal(err)
		}
		states = append(states, f)
	}
	return states
}

func (w *world) wantState(e *Engine, u Until, want es.Folded) {
	w.t.Helper()
	if got, err := e.StateAt(context.Background(), w.module, "a", u); err != nil || !reflect.DeepEqual(got, want) {
		w.t.Fatalf("%+v: got %+v, %v, want %+v", u, got, err, want)
	}
}

func TestSnapshots(t *testing.T) {
	t.Run("are made behind the commands, one for so many events, also in the middle of a batch", func(t *testing.T) {
		w, s := newLongWorld(t, 1)
		var batch []Request
		for range 34 {
			batch = append(batch, w.deposit("a", 1))
		}
		w.step(batch...)
		if len(s.kept) != 0 {
			t.Fatal("the sequencer wrote one itself")
		}
		w.keepSnapshots(w.engine)
		for _, p := range []es.Position{10, 20, 30} {
			if _, ok := s.kept[p]; !ok || len(s.kept) != 3 {
				t.Fatalf("there are %d and none at %d", len(s.kept), p)
			}
		}
	})
	t.Run("are not made of what was refused, taken back or not committed", func(t *testing.T) {
		w, s := newLongWorld(t, 9)
		w.step(w.withdraw("a", 1000))
		w.engine.sequencer.step(context.Background(), []*Ticket{w.ticket(true, w.deposit("a", 1), w.withdraw("a", 1000))})
		w.store.set(nil, ports.ErrStoreUnavailable, nil)
		w.step(w.deposit("a", 1))
		w.store.set(nil, nil, nil)
		w.keepSnapshots(w.engine)
		if len(s.kept) != 0 {
			t.Fatalf("%v", s.kept)
		}
	})
	t.Run("let any past moment, a command and a view be read from near it", func(t *testing.T) {
		w, s := newLongWorld(t, 1005)
		past := w.past("a")
		for _, v := range []es.Version{1, 9, 10, 11, 500, 509, 510, 511, 1000, 1005} {
			for _, u := range []Until{{Version: v}, {Position: past[v].Position}, {At: past[v].UpdatedAt}} {
				s.read = 0
				w.wantState(w.engine, u, past[v])
				if s.read > 4*every {
					t.Errorf("%+v took %d events", u, s.read)
				}
			}
		}
		s.read = 0
		other := w.again(withSnapshots)
		w.stepOf(other, w.deposit("a", 1))
		if err := other.projector.live.load(context.Background(), &known{}, &es.Recorded{Stream: "a", Version: 1001, Position: 1001}); err != nil || s.read > 6*every {
			t.Errorf("a command and a view took %d events, %v", s.read, err)
		}
	})
	t.Run("of a history that has none are made by who reads it", func(t *testing.T) {
		w, s := newLongWorld(t, 1)
		w.engine = w.again()
		for range 2499 {
			w.must(w.deposit("a", 1))
		}
		reader := w.again(withSnapshots)
		past := w.past("a")
		w.wantState(reader, Until{}, past[2500])
		w.keepSnapshots(reader)
		if len(s.kept) != 250 {
			t.Fatalf("%d were made", len(s.kept))
		}
		clear(s.kept)
		w.wantState(reader, Until{}, past[2500])
		w.keepSnapshots(reader)
		if len(s.kept) > 0 {
			t.Fatalf("%d were made again", len(s.kept))
		}
	})
	t.Run("that cannot be read from the store are done without", func(t *testing.T) {
		w, s := newLongWorld(t, 55)
		s.unusable = ports.ErrStoreUnavailable
		w.wantState(w.engine, Until{}, w.past("a")[55])
		w.wantFailures("use a snapshot")
	})
	t.Run("are neither made nor used when they are off", func(t *testing.T) {
		w, s := newLongWorld(t, 55)
		s.unusable = ports.ErrStoreUnavailable
		clear(s.kept)
		off := w.again()
		w.stepOf(off, w.deposit("a", 1))
		w.wantState(off, Until{}, w.past("a")[56])
		if len(off.snapshots.queue)+len(w.observed.failed) > 0 {
			t.Error(w.observed.failed)
		}
	})
	t.Run("are dropped when nobody writes them, and are written while somebody runs that", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, _ := newLongWorld(t, 12)
			for range snapshotQueue + 10 {
				w.engine.snapshots.offer(w.past("a")[10:11])
			}
			if n := len(w.engine.snapshots.queue); n != snapshotQueue {
				t.Fatalf("%d wait", n)
			}
			ctx, stop := context.WithCancel(context.Background())
			go w.engine.RunSnapshots(ctx)
			time.Sleep(time.Minute)
			if n := len(w.engine.snapshots.queue); n != 0 {
				t.Errorf("%d wait", n)
			}
			stop()
		})
	})
}

// wantFailures says which work failed in the background, and forgets it.
func (w *world) wantFailures(work ...string) {
	w.t.Helper()
	w.observed.mu.Lock()
	defer w.observed.mu.Unlock()
	if len(w.observed.failed) != len(work) {
		w.t.Fatalf("%d failures, want %d: %q", len(w.observed.failed), len(work), w.observed.failed)
	}
	for i := range work {
		if !strings.HasPrefix(w.observed.failed[i], work[i]) {
			w.t.Fatalf("got %q, want %q", w.observed.failed[i], work[i])
		}
	}
	w.observed.failed = nil
}

func TestABadSnapshotIsIgnoredAndMadeAgain(t *testing.T) {
	faulttable.Covers(t, "F21", faulttable.Memory)
	w, s := newLongWorld(t, 55)
	past := w.past("a")
	good := s.kept[50].Body
	remade := func(change func(f *es.Folded)) []byte {
		f := past[50]
		change(&f)
		b, err := w.engine.Registry.AppendSnapshot(nil, &f)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	bad := map[string][]byte{
		"of another stream":                 remade(func(f *es.Folded) { f.Stream = "b" }),
		"of another version":                remade(func(f *es.Folded) { f.Version-- }),
		"of a version to come":              remade(func(f *es.Folded) { f.Version, f.Position = 56, 56 }),
		"of another position":               remade(func(f *es.Folded) { f.Position++ }),
		"newer than the store":              remade(func(f *es.Folded) { f.Version, f.Position = 5000, 5000 }),
		"of an event recorded later":        remade(func(f *es.Folded) { f.UpdatedAt = f.UpdatedAt.Add(time.Microsecond) }),
		"of a stream that began later":      remade(func(f *es.Folded) { f.CreatedAt = f.CreatedAt.Add(time.Microsecond) }),
		"of another event there":            remade(func(f *es.Folded) { f.Hash[31] ^= 1 }),
		"of another shape":                  otherShape(t, past[50]),
		"empty":                             {},
		"longer than it was":                append(bytes.Clone(good), 0),
		"of another form":                   append([]byte{good[0] + 1}, good[1:]...),
		"whose bytes are those of an event": []byte(`{"id":"evt-50"}`),
	}
	for i := range good {
		bad[fmt.Sprint("cut off at ", i)] = good[:i]
		flipped := bytes.Clone(good)
		flipped[i] ^= 0x10
		bad[fmt.Sprint("flipped at ", i)] = flipped
	}
	for what, body := range bad {
		w.t = t
		if err := s.SaveSnapshots(t.Context(), []ports.Snapshot{{Stream: "a", Position: 50, Body: body}}); err != nil {
			t.Fatal(err)
		}
		e := w.again(withSnapshots)
		w.wantState(e, Until{}, past[55])
		w.wantState(e, Until{Version: 49}, past[49])
		w.wantFailures("use a snapshot")
		w.keepSnapshots(e)
		if !bytes.Equal(s.kept[50].Body, good) {
			t.Errorf("one %s was not made again", what)
		}
		w.wantState(e, Until{}, past[55])
		w.wantFailures()
	}
	t.Run("also when it lies ahead of the store", func(t *testing.T) {
		newer := remade(func(f *es.Folded) { f.Version, f.Position = 5000, 5000 })
		if err := s.SaveSnapshots(t.Context(), []ports.Snapshot{{Stream: "a", Position: 5000, Body: newer}}); err != nil {
			t.Fatal(err)
		}
		w.wantState(w.engine, Until{}, past[55])
		w.wantFailures("use a snapshot")
	})
}

// otherShape is a snapshot by a build whose accounts have another meaning.
func otherShape(t *testing.T, f es.Folded) []byte {
	t.Helper()
	w := newWorld(t)
	m := *w.module
	m.Name = "other"
	r, err := es.NewRegistry(m)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.AppendSnapshot(nil, &f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAnyPastWithAnySnapshots loses and damages snapshots at random, and holds every past state against the fold from the
// beginning.
func TestAnyPastWithAnySnapshots(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w, s := newLongWorld(t, 1)
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			var batch []Request
			for range rapid.IntRange(1, 25).Draw(rt, "commands") {
				id := rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(rt, "account")
				name := rapid.SampledFrom([]string{"create", "deposit", "deposit", "deposit", "withdraw", "freeze", "unfreeze"}).Draw(rt, "command")
				all := fields{"owner": "Ada", "currency": "EUR", "amount": rapid.IntRange(1, 50).Draw(rt, "amount"), "reason": "r"}
				batch = append(batch, w.command(id, name, all))
			}
			w.step(batch...)
			if rapid.Bool().Draw(rt, "kept") {
				w.keepSnapshots(w.engine)
			} else {
				for len(w.engine.snapshots.queue) > 0 {
					<-w.engine.snapshots.queue
				}
			}
		}
		for p, n := range s.kept {
			n.Body = bytes.Clone(n.Body)
			switch i := rapid.IntRange(0, len(n.Body)-1).Draw(rt, "where"); rapid.SampledFrom([]string{"whole", "whole", "flip", "cut", "move"}).Draw(rt, "damage") {
			case "flip":
				n.Body[i] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			case "cut":
				n.Body = n.Body[:i]
			case "move":
				n.Position = es.Position(rapid.IntRange(1, 400).Draw(rt, "to"))
			}
			if err := s.Store.SaveSnapshots(context.Background(), []ports.Snapshot{n}); err != nil {
				rt.Fatal(err, p)
			}
		}
		past := w.past("a")
		e := w.again(withSnapshots)
		for v := range past[1:] {
			v++
			w.wantState(e, Until{Version: es.Version(v)}, past[v])
			w.wantState(e, Until{Position: past[v].Position}, past[v])
			if rapid.Bool().Draw(rt, "written") {
				w.keepSnapshots(e)
			}
		}
	})
}
