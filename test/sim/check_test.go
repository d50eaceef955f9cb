package sim

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/books"
)

// quiet reports whether the views, the bus and the reactor have come to where the store is.
func (w *world) quiet() bool {
	head := w.head()
	if len(w.bus.told) < int(head) || len(w.reacted) < int(head) {
		return false
	}
	for _, v := range w.shown() {
		if p, err := v.Progress(context.Background()); err != nil || p.Checkpoint != head || !p.Open {
			return false
		}
	}
	return true
}

// shown are all views that somebody fills, as they are.
func (w *world) shown() (all []ports.Views) {
	for _, p := range w.processes {
		switch {
		case p.bare:
		case w.views != nil:
			return []ports.Views{w.views}
		default:
			all = append(all, p.life.engine.Views)
		}
	}
	return all
}

// check holds everything against everything, once all is quiet.
func (w *world) check() {
	w.books = w.ledger()
	told := map[string]books.Told{}
	for _, c := range w.clients {
		for _, o := range c.orders {
			for _, t := range o.told {
				told[t.Key] = t
			}
		}
	}
	w.books.CheckAnswers(told, w.wrong)
	if w.lanes {
		w.clients[0].checkLane()
	}
	w.checkViews()
	w.checkOrder("the bus was given", w.bus.places())
	w.checkOrder("the reactor was shown", w.reacted)
	w.checkHistory()
	if w.past != nil {
		w.checkEffective()
	}
	verify := engine.Verification{History: engine.StoreHistory{Store: w.whole()}}
	if err := verify.Run(context.Background()); err != nil {
		w.wrong("verify: %v", err)
	}
}

// places are the positions of the events that the bus was given, each where it came for the first time.
func (b *bus) places() (all []es.Position) {
	seen := map[string]bool{}
	for _, id := range b.taken {
		if p, err := es.ParseEventID(id); err == nil && !seen[id] {
			seen[id] = true
			all = append(all, p)
		}
	}
	return all
}

// checkOrder checks that what came for the first time came in order, and that nothing is missing.
func (w *world) checkOrder(what string, all []es.Position) {
	for i, p := range all {
		if p != es.Position(i+1) {
			w.wrong("%s %s after %d others", what, p.EventID(), i)
			return
		}
	}
	if len(all) != int(w.head()) {
		w.wrong("%s %d events of %d", what, len(all), w.head())
	}
}

// checkViews holds each view against the books, and all that views have ever shown.
func (w *world) checkViews() {
	for _, v := range w.shown() {
		page, err := v.List(context.Background(), registry().Modules[0].Name, ports.Query{Limit: 100})
		if err != nil || len(page.Documents) != len(w.books.Accounts) {
			w.wrong("a view shows %d accounts of %d (%v)", len(page.Documents), len(w.books.Accounts), err)
		}
		for _, d := range page.Documents {
			if last := w.books.Accounts[d.ID]; last == nil || d.Version != es.Version(last.Version) {
				w.wrong("a view shows version %d of %s instead of %+v", d.Version, d.ID, last)
			}
			w.checkDocument(d)
		}
	}
	for _, c := range w.clients {
		for _, d := range c.shown {
			w.checkDocument(d)
		}
	}
}

// checkDocument holds one document against the books at its version.
func (w *world) checkDocument(d es.Document) {
	history := w.books.History[d.ID]
	if d.Version == 0 || int(d.Version) > len(history) {
		w.wrong("a view shows version %d of %s, which has %d", d.Version, d.ID, len(history))
		return
	}
	var got books.Account
	if err := json.Unmarshal(registry().Modules[0].View.AppendJSON(nil, d.Values), &got); err != nil || got != history[d.Version-1] {
		w.wrong("a view shows\n%+v instead of\n%+v (%v)", got, history[d.Version-1], err)
	}
}

// checkHistory reads every account at every version, with snapshots and without.
func (w *world) checkHistory() {
	m := registry().Modules[0]
	for _, every := range []int{0, 3} {
		e := engine.New(engine.Options{Anonymous: access.Local, Registry: registry(), Store: w.whole(), Observer: &observer{process: w.processes[0]}, Now: time.Now, SnapshotEvery: every})
		for id, history := range w.books.History {
			for i, want := range history {
				if w.past != nil && i%23 > 0 && i < len(history)-1 { // there are many
					continue
				}
				f, err := e.StateAt(context.Background(), m, id, engine.Until{Version: es.Version(want.Version)})
				if err != nil || m.Ledger.Balance(f.State) != want.Balance || f.Version != es.Version(want.Version) {
					w.wrong("version %d of %s, with snapshots every %d, is %+v instead of %+v (%v)", want.Version, id, every, f, want, err)
				}
			}
		}
	}
}

// linear checks that the history is linearizable. It is done outside the bubble, where time is real.
func (w *world) linear() {
	var history []books.Op
	for _, c := range w.clients {
		history = append(history, c.readings...)
		for _, o := range c.orders {
			op := books.Op{Called: o.called, Answered: o.answered, Commands: o.told}
			if o.became() == books.Maybe {
				op.Answered = books.Forever
			}
			history = append(history, op)
		}
	}
	slices.SortStableFunc(history, func(a, b books.Op) int { return int(a.Called - b.Called) })
	w.books.CheckHistory(history, w.wrong)
}
