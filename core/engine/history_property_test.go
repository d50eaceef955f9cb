package engine

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// TestAnyHistory sends random batches through two engines on one store that fails at random, and holds what clients were
// told against what the store holds: everything acknowledged is there, exactly once; what was refused has no effect; a key
// has one effect and one answer; time rises; versions and positions have no gap; every answered balance is the fold.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, func(o *Options) { o.CacheSize = 4 })
		engines := []*Engine{w.engine, w.again(func(o *Options) { o.CacheSize = 4 })}
		told := &told{answers: map[string]Answer{}, events: map[es.Position]string{}}
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			w.setClock(w.clock().Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(rt, "clock")) * time.Millisecond))
			batch := rapid.SliceOfN(rapid.Custom(w.randomRequest), 1, 8).Draw(rt, "batch")
			faults := []error{nil, ports.ErrStoreUnavailable, ports.ErrOutcomeUnknown}
			switch n := rapid.IntRange(0, 11).Draw(rt, "fault"); n {
			case 0:
				w.store.set(faults[1], nil, nil)
			case 1, 2:
				w.store.set(nil, faults[n], nil)
			case 3:
				w.store.set(nil, nil, faults[2])
			}
			results := w.stepOf(engines[rapid.IntRange(0, 1).Draw(rt, "engine")], batch...)
			w.store.set(nil, nil, nil)
			for i, r := range results {
				told.hear(rt, batch[i], r)
			}
		}
		told.check(rt, w)
	})
}

func (w *world) randomRequest(rt *rapid.T) Request {
	id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
	amount := rapid.IntRange(1, 20).Draw(rt, "amount")
	var r Request
	switch target := id.Draw(rt, "account"); rapid.IntRange(0, 5).Draw(rt, "command") {
	case 0, 1:
		r = w.create(target)
	case 2, 3:
		r = w.deposit(target, amount)
	case 4:
		r = w.withdraw(target, amount)
	default:
		r = w.command(target, "transfer", fields{"to": id.Draw(rt, "to"), "amount": amount})
	}
	if k := rapid.IntRange(0, 12).Draw(rt, "key"); k < 8 {
		r.Key = fmt.Sprint("k", k)
	}
	return r
}

// told is what clients know.
type told struct {
	answers map[string]Answer // by key: what the first definite answer was
	events  map[es.Position]string
	unknown bool // some outcome was unknown, so the store may hold more than was acknowledged
}

func (t *told) hear(rt *rapid.T, r Request, got Result) {
	if got.Err != nil {
		t.unknown = t.unknown || fault.KindOf(got.Err) == fault.Unknown
		return
	}
	a := got.Answer
	if r.Key != "" {
		replayed := a.Replayed
		a.Replayed = false
		if first, ok := t.answers[r.Key]; ok && (!replayed || fmt.Sprint(first) != fmt.Sprint(a)) {
			rt.Fatalf("key %s was answered %+v and then %+v (replayed %v)", r.Key, first, a, replayed)
		}
		t.answers[r.Key] = a
	}
	for _, e := range a.Events {
		t.events[e.Position] = fmt.Sprintf("%s v%d of %s", e.Type, e.Version, r.Command.Stream)
	}
}

func (t *told) check(rt *rapid.T, w *world) {
	states := map[es.StreamID]es.Folded{}
	keys := map[string]es.Position{}
	acknowledged, last := 0, time.Time{}
	feed := w.feed()
	for i := range feed {
		e := &feed[i]
		if e.Position != es.Position(i+1) {
			rt.Fatalf("position %d stands at place %d", e.Position, i+1)
		}
		if i > 0 && e.RecordedAt.Before(last) {
			rt.Fatalf("%s was recorded before the event before it", e.Position.EventID())
		}
		last = e.RecordedAt
		state := states[e.Stream]
		if err := w.engine.Registry.Fold(&state, e); err != nil {
			rt.Fatal(err)
		}
		states[e.Stream] = state
		if said, ok := t.events[e.Position]; ok {
			if is := fmt.Sprintf("%s v%d of %s", e.Type, e.Version, e.Stream); is != said {
				rt.Fatalf("position %d is %s; a client was told %s", e.Position, is, said)
			}
			acknowledged++
		} else if e.Type != "MoneyTransferredIn" && !t.unknown {
			rt.Fatalf("%s has an effect and nobody was told", e.Position.EventID())
		}
		if key := commandID(e); key != "" && e.Type != "MoneyTransferredIn" {
			if other, twice := keys[key]; twice {
				rt.Fatalf("key %s has the effects %d and %d", key, other, e.Position)
			}
			keys[key] = e.Position
		}
	}
	if acknowledged != len(t.events) {
		rt.Fatalf("%d events were acknowledged, %d of them are there", len(t.events), acknowledged)
	}
	for id, f := range states {
		if b := w.module.Ledger.Balance(f.State); b < 0 {
			rt.Fatalf("%s has the balance %d", id, b)
		}
	}
}

func commandID(e *es.Recorded) string {
	var m es.Metadata
	if err := json.Unmarshal(e.Metadata, &m); err != nil {
		panic(err)
	}
	return m.CommandID
}
