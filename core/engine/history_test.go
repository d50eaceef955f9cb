package engine

import (
	"context"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
)

func TestTheStateOfThePast(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	at := func(seconds int) time.Time { return time.Date(2025, 10, 28, 9, 0, seconds, 0, time.UTC) }
	for i, r := range []Request{w.create("a"), w.deposit("a", 10), w.create("b"), w.deposit("a", 5)} {
		w.setClock(at(10 * i))
		w.must(r)
	}
	balance := func(u Until) (int64, error) {
		f, err := w.engine.StateAt(ctx, w.module, "a", u)
		return w.module.Ledger.Balance(f.State), err
	}
	for name, c := range map[string]struct {
		until Until
		want  int64
		err   error
	}{
		"now":                                {Until{}, 15, nil},
		"at the moment of an event":          {Until{At: at(10)}, 10, nil},
		"just before an event":               {Until{At: at(30).Add(-time.Microsecond)}, 10, nil},
		"long after":                         {Until{At: at(3000)}, 15, nil},
		"before it existed":                  {Until{At: at(0).Add(-time.Microsecond)}, 0, account.ErrNotFound},
		"at a version":                       {Until{Version: 2}, 10, nil},
		"at a version it never had":          {Until{Version: 4}, 0, ErrNoVersion},
		"at a position of another stream":    {Until{Position: 3}, 10, nil},
		"at a position the store never had":  {Until{Position: 5}, 0, ErrPositionAhead},
		"at the position of its first event": {Until{Position: 1}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := balance(c.until)
			wantErr(t, err, c.err)
			if err == nil && got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
	if _, err := w.engine.StateAt(ctx, w.module, "none", Until{}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an unknown account is %v", err)
	}
}

// TestTwoTimes compares balances by effective and recorded time, and statements over any split of time, with a sum over
// all entries.
func TestTwoTimes(t *testing.T) {
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		start := w.clock()
		w.must(w.create("a"), w.deposit("a", 1000))
		for range rapid.IntRange(0, 20).Draw(rt, "entries") {
			w.setClock(w.clock().Add(time.Duration(rapid.IntRange(0, 100).Draw(rt, "wait")) * time.Minute))
			f := fields{"amount": rapid.IntRange(1, 30).Draw(rt, "amount")}
			if back := rapid.IntRange(-1, 500).Draw(rt, "back"); back >= 0 {
				f["effectiveAt"] = w.clock().Add(-time.Duration(back) * time.Minute)
			}
			w.must(w.command("a", rapid.SampledFrom([]string{"deposit", "withdraw"}).Draw(rt, "command"), f))
		}
		moment := func(name string) time.Time {
			return start.Add(time.Duration(rapid.IntRange(-600, 2200).Draw(rt, name)) * time.Minute)
		}
		effective, known := moment("effective"), moment("known")
		if known.Before(start) {
			known = w.clock()
		}
		sum := func(from, to time.Time) (n int64) { // [from, to) as known then
			feed := w.feed()
			for i := range feed {
				ev, err := w.engine.Registry.Decode(&feed[i])
				if err != nil {
					rt.Fatal(err)
				}
				amount, _ := w.module.Ledger.Amount(ev)
				if at := feed[i].EffectiveAt; !feed[i].RecordedAt.After(known) && !at.Before(from) && at.Before(to) {
					n += amount
				}
			}
			return n
		}
		got, currency, err := w.engine.BalanceEffective(ctx, w.module, "a", effective, Until{At: known})
		if want := sum(time.Time{}, effective.Add(1)); err != nil || got != want || currency != "EUR" {
			rt.Fatalf("the balance effective at %s as known at %s is %d %s (%v), want %d", effective, known, got, currency, err, want)
		}
		a, b := moment("from"), moment("to")
		if b.Before(a) {
			a, b = b, a
		}
		s, err := w.engine.Statement(ctx, w.module, "a", a, b, Until{At: known})
		if err != nil || s.Opening != sum(time.Time{}, a) || s.Closing != s.Opening+sum(a, b) {
			rt.Fatalf("the statement of [%s, %s) goes from %d to %d (%v), want %d and %d more", a, b, s.Opening, s.Closing, err, sum(time.Time{}, a), sum(a, b))
		}
		balance, last := s.Opening, es.Recorded{}
		for _, e := range s.Entries {
			balance += e.Amount
			r := e.Recorded
			if e.Balance != balance || r.EffectiveAt.Before(last.EffectiveAt) || r.EffectiveAt.Equal(last.EffectiveAt) && r.Version < last.Version {
				rt.Fatalf("the entry of %s is out of order or has the balance %d, want %d", r.Position.EventID(), e.Balance, balance)
			}
			last = *r
		}
		if balance != s.Closing {
			rt.Fatalf("the entries end at %d and the statement at %d", balance, s.Closing)
		}
		next, err := w.engine.Statement(ctx, w.module, "a", b, time.Time{}, Until{At: known})
		if err != nil || next.Opening != s.Closing {
			rt.Fatalf("the next period opens with %d (%v), this one closes with %d", next.Opening, err, s.Closing)
		}
	})
}

func TestTheFeedOfOneType(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.must(w.create("a"))
	for range 2500 {
		w.must(w.deposit("a", 1))
	}
	w.must(w.withdraw("a", 1))
	events, next, more, err := w.engine.Feed(ctx, 0, 10, "MoneyWithdrawn")
	if err != nil || len(events) != 1 || events[0].Position != 2502 || next != 2502 || more {
		t.Fatalf("got %d events, next %d, more %v, %v", len(events), next, more, err)
	}
	events, next, more, err = w.engine.Feed(ctx, 5, 3, "")
	if err != nil || len(events) != 3 || events[0].Position != 6 || next != 8 || !more {
		t.Fatalf("got %d events, next %d, more %v, %v", len(events), next, more, err)
	}
}
