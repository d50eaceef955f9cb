package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// naive is the model of two axes of time: a list of all movements.
type naive []naiveEntry

type naiveEntry struct {
	effective, recorded time.Time
	version             es.Version
	position            es.Position
	amount              int64
}

// naiveOf lists what moved an account's balance, from the feed alone.
func naiveOf(rt *rapid.T, w *world, id string) (all naive, versions []es.Recorded) {
	feed := w.feed()
	for i := range feed {
		r := &feed[i]
		if r.Stream != w.module.Stream(id) {
			continue
		}
		versions = append(versions, *r)
		ev, err := w.engine.Registry.Decode(r)
		if err != nil {
			rt.Fatal(err)
		}
		if amount, moves := w.module.Ledger.Amount(ev); moves {
			all = append(all, naiveEntry{r.EffectiveAt, r.RecordedAt, r.Version, r.Position, amount})
		}
	}
	return all, versions
}

// known is the part of the model that was recorded by then, in effective order.
func (n naive) known(u Until) (out naive) {
	for _, e := range n {
		if (u.At.IsZero() || !e.recorded.After(u.At)) && (u.Version == 0 || e.version <= u.Version) && (u.Position == 0 || e.position <= u.Position) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b naiveEntry) int { return a.effective.Compare(b.effective) })
	return out
}

// sum is what had happened before a moment.
func (n naive) sum(before time.Time) (sum int64) {
	for _, e := range n {
		if e.effective.Before(before) {
			sum += e.amount
		}
	}
	return sum
}

// randomHistory gives two accounts random deposits, withdrawals, transfers and corrections, many of them back-dated or of equal times.
func randomHistory(rt *rapid.T, w *world, most int) {
	w.must(w.create("a"), w.create("b"), w.deposit("a", 1000), w.deposit("b", 1000))
	for range rapid.IntRange(0, most).Draw(rt, "entries") {
		w.setClock(w.clock().Add(time.Duration(rapid.IntRange(0, 20).Draw(rt, "wait")) * time.Minute))
		id := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "account")
		f := fields{}
		if back := rapid.IntRange(-1, 60).Draw(rt, "back"); back >= 0 {
			f["effectiveAt"] = w.clock().Add(-time.Duration(back) * 10 * time.Minute).Truncate(10 * time.Minute)
		}
		name := rapid.SampledFrom([]string{"deposit", "deposit", "withdraw", "transfer", "correct", "set-overdraft-limit"}).Draw(rt, "command")
		switch name {
		case "correct":
			f["event"] = es.Position(rapid.IntRange(1, len(w.feed())).Draw(rt, "event")).EventID()
			f["reason"] = "wrong"
		case "set-overdraft-limit":
			f["limit"] = 1000
		case "transfer":
			f["to"] = map[string]string{"a": "b", "b": "a"}[id]
			fallthrough
		default:
			f["amount"] = rapid.IntRange(1, 30).Draw(rt, "amount")
		}
		w.step(w.command(id, name, f)) // refused ones change nothing
	}
}

// TestTwoAxesOfTime holds balances, entries and statements, as of any moment and as known at any time, version and position,
// against the naive model: with nothing in memory or kept, with everything kept, and with what is kept damaged.
func TestTwoAxesOfTime(t *testing.T) {
	faulttable.Covers(t, "F42", faulttable.Memory)
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		s := &keptStore{Store: w.store.Store, kept: map[es.Position]ports.Snapshot{}}
		all := &allKept{Store: s}
		w.store.Store = all
		randomHistory(rt, w, 60)
		model, versions := naiveOf(rt, w, "a")
		size := rapid.IntRange(1, 8).Draw(rt, "block")
		small := func(o *Options) {
			o.SnapshotEvery, o.BlockSize = rapid.SampledFrom([]int{0, 3, 5}).Draw(rt, "snapshots"), size
		}
		engines := map[string]*Engine{"cold": w.again(small)}
		check := func(name string) {
			e := engines[name]
			for range 4 {
				checkTwoAxes(ctx, rt, w, e, model, versions)
			}
			w.keepSnapshots(e)
		}
		check("cold")
		check("cold") // which is warm now
		engines["kept"] = w.again(small)
		check("kept")
		for i := range all.kept {
			n := all.kept[i]
			if len(n.Body) > 0 && rapid.Bool().Draw(rt, "damage") {
				n.Body = slices.Clone(n.Body)
				at := rapid.IntRange(0, len(n.Body)-1).Draw(rt, "at")
				if rapid.Bool().Draw(rt, "truncate") {
					n.Body = n.Body[:at]
				} else {
					n.Body[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "bits"))
				}
				if err := s.Store.SaveSnapshots(ctx, []ports.Snapshot{n}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		engines["damaged"] = w.again(small)
		check("damaged")
	})
}

// allKept notes all that is kept, states and blocks.
type allKept struct {
	ports.Store
	kept []ports.Snapshot
}

func (s *allKept) SaveSnapshots(ctx context.Context, all []ports.Snapshot) error {
	s.kept = append(s.kept, all...)
	return s.Store.SaveSnapshots(ctx, all)
}

// checkTwoAxes asks at random.
func checkTwoAxes(ctx context.Context, rt *rapid.T, w *world, e *Engine, model naive, versions []es.Recorded) {
	last := &versions[len(versions)-1]
	moment := func(name string) time.Time {
		return versions[0].RecordedAt.Truncate(10 * time.Minute).Add(time.Duration(rapid.IntRange(-62, 140).Draw(rt, name)) * 10 * time.Minute)
	}
	var u Until
	at := &versions[rapid.IntRange(0, len(versions)-1).Draw(rt, "known")]
	switch rapid.IntRange(0, 3).Draw(rt, "axis") {
	case 0:
		u.At = at.RecordedAt.Add(time.Duration(rapid.IntRange(0, 1).Draw(rt, "after")) * time.Second)
	case 1:
		u.Version = at.Version
	case 2:
		u.Position = min(at.Position+es.Position(rapid.IntRange(0, 2).Draw(rt, "further")), last.Position)
	}
	known := model.known(u)
	effective := moment("effective")
	got, err := e.BalanceEffective(ctx, w.module, "a", effective, u)
	if want := known.sum(effective.Add(1)); err != nil || got.Balance != want || got.Currency != "EUR" {
		rt.Fatalf("the balance effective at %s as known at %+v is %d %s (%v), want %d", effective, u, got.Balance, got.Currency, err, want)
	}
	from, to := moment("from"), moment("to")
	if to.Before(from) {
		from, to = to, from
	}
	var want naive
	for _, n := range known {
		if !n.effective.Before(from) && n.effective.Before(to) {
			want = append(want, n)
		}
	}
	balance := known.sum(from)
	p := Period{From: from, To: to, Known: u}
	for pages := 0; ; pages++ {
		s, err := e.Statement(ctx, w.module, "a", p)
		if err != nil || s.Opening != known.sum(from) || s.Closing != known.sum(to) {
			rt.Fatalf("the statement of [%s, %s) as known at %+v goes from %d to %d (%v), want %d to %d", from, to, u, s.Opening, s.Closing, err, known.sum(from), known.sum(to))
		}
		limit := rapid.IntRange(1, 40).Draw(rt, "limit")
		entries, err := s.Next(ctx, limit)
		if err != nil || s.More() != (len(want) > limit) || len(entries) != min(limit, len(want)) {
			rt.Fatalf("page %d has %d of %d entries (%v), and more is %v", pages, len(entries), len(want), err, s.More())
		}
		for i := range entries {
			balance += want[i].amount
			if en := &entries[i]; en.Recorded.Version != want[i].version || en.Amount != want[i].amount || en.Balance != balance {
				rt.Fatalf("entry %s moves %d to %d, want version %d, which moves %d to %d", en.Recorded.Position.EventID(), en.Amount, en.Balance, want[i].version, want[i].amount, balance)
			}
		}
		if want = want[len(entries):]; !s.More() {
			break
		}
		place := entries[len(entries)-1].Place()
		p.After, p.Known = &place, Until{Version: s.Known.Version}
	}
	next, err := e.Statement(ctx, w.module, "a", Period{From: to, Known: u})
	if err != nil || next.Opening != balance {
		rt.Fatalf("the next period opens with %d (%v), this one closes with %d", next.Opening, err, balance)
	}
}

func TestBlocksAreReadOnceAndKept(t *testing.T) {
	ctx := context.Background()
	w, s := newLongWorld(t, 100)
	small := func(o *Options) { o.SnapshotEvery, o.BlockSize = every, 4 }
	ask := func(e *Engine, back int) (read int) {
		t.Helper()
		before := s.read
		got, err := e.BalanceEffective(ctx, w.module, "a", w.clock().Add(time.Hour), Until{Version: es.Version(100 - back)})
		if want := int64(99 - back); err != nil || got.Balance != want {
			t.Fatalf("got %d, %v, want %d", got.Balance, err, want)
		}
		return s.read - before
	}
	first := w.again(small)
	if n := ask(first, 0); n < 100 {
		t.Fatalf("at first %d events are read", n)
	}
	w.keepSnapshots(first)
	if n := ask(first, 1); n > 3*every {
		t.Errorf("then %d events are read", n)
	}
	if n := ask(w.again(small), 0); n > 4*every {
		t.Errorf("after a restart %d events are read", n)
	}
	if len(w.observed.failed) != 0 {
		t.Errorf("%v", w.observed.failed)
	}
	w.step(w.create("b"))
	for _, id := range []string{"none", ""} {
		if _, err := first.BalanceEffective(ctx, w.module, id, w.clock(), Until{}); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown account is %v", err)
		}
	}
	_, err := first.Statement(ctx, w.module, "a", Period{Known: Until{At: w.clock().Add(-time.Hour)}})
	wantErr(t, err, account.ErrNotFound)
}

func TestAStatementReadsItsEntriesAsTheyAreAskedFor(t *testing.T) {
	ctx := context.Background()
	w, s := newLongWorld(t, 1000)
	small := w.again(func(o *Options) { o.SnapshotEvery, o.BlockSize = every, 16 })
	if _, err := small.BalanceEffective(ctx, w.module, "a", w.clock(), Until{}); err != nil {
		t.Fatal(err)
	}
	before := s.read
	st, err := small.Statement(ctx, w.module, "a", Period{})
	if err != nil {
		t.Fatal(err)
	}
	if begun := s.read - before; begun > 4*every {
		t.Errorf("to begin, %d events are read", begun)
	}
	for given := 0; given < 999; given += 27 {
		before := s.read
		page, err := st.Next(ctx, 27)
		if err != nil || len(page) != 27 || s.read-before != 27 || page[26].Balance != int64(given+27) || st.More() != (given+27 < 999) {
			t.Fatalf("after %d entries there are %d (%v) out of %d events", given, len(page), err, s.read-before)
		}
	}
	if page, err := st.Next(ctx, 1); len(page) != 0 || err != nil {
		t.Errorf("behind the last entry there is %v, %v", page, err)
	}
}

// TestBlocksOfAnotherStore puts the blocks of one store into another, whose account of the same id has another history.
func TestBlocksOfAnotherStore(t *testing.T) {
	ctx := context.Background()
	small := func(o *Options) { o.SnapshotEvery, o.BlockSize = every, 4 }
	old, foreign := newWorld(t), &allKept{}
	foreign.Store, old.store.Store = old.store.Store, foreign
	old.must(old.create("a"))
	for range 80 {
		old.must(old.deposit("a", 7))
	}
	made := old.again(small)
	if _, err := made.BalanceEffective(ctx, old.module, "a", old.clock().Add(time.Hour), Until{}); err != nil {
		t.Fatal(err)
	}
	old.keepSnapshots(made)
	w := newWorld(t)
	w.setClock(w.clock().Add(time.Second))
	w.must(w.create("a"))
	for range 80 {
		w.must(w.deposit("a", 1))
	}
	if err := w.store.SaveSnapshots(ctx, foreign.kept); err != nil || len(foreign.kept) < 20 {
		t.Fatal(len(foreign.kept), err)
	}
	got, err := w.again(small).BalanceEffective(ctx, w.module, "a", w.clock().Add(time.Hour), Until{})
	if err != nil || got.Balance != 80 {
		t.Fatalf("got %d, %v", got.Balance, err)
	}
	if told := strings.Join(w.observed.failed, "\n"); !strings.Contains(told, fmt.Sprint("a", blocksName)) || !strings.Contains(told, fmt.Sprint("a", summariesName)) {
		t.Errorf("nobody was told: %s", told)
	}
}
