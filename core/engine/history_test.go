package engine

import (
	"context"
	"testing"
	"time"

	"daybook/core/account"
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
