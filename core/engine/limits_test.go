package engine

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
)

// TestLimitsOfCustomersAreThoseOfANaiveModel sends random commands of customers and tellers, over random days, through two engines on one store,
// with and without what is in memory or in snapshots, and holds every answer against a list of what was paid out.
func TestLimitsOfCustomersAreThoseOfANaiveModel(t *testing.T) {
	const perCommand, perDay = 60, 100
	rapid.Check(t, func(rt *rapid.T) {
		limited := func(o *Options) {
			o.Limits, o.CacheSize, o.SnapshotEvery = Limits{Command: perCommand, Day: perDay}, 1, 3
		}
		w := newWorld(t, limited)
		engines := []*Engine{w.engine, w.again(limited)}
		w.must(w.command("a", "create", fields{"owner": "ada", "currency": "EUR", "overdraftLimit": 1 << 40}), w.create("b"),
			w.command("a", "add-holder", fields{"holder": "hal"}))
		paid := map[int64]int64{} // by ada and hal, out of a, on each day
		askers := map[string]*access.Principal{
			"ada": customer("ada"), "hal": customer("hal"), "tina": {Subject: "tina", Roles: []access.Role{access.Teller}},
			"ada as a teller": {Subject: "ada", Roles: []access.Role{access.Teller}},
		}
		for range rapid.IntRange(1, 25).Draw(rt, "commands") {
			w.setClock(w.clock().Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "hours")) * time.Hour))
			name := rapid.SampledFrom([]string{"ada", "hal", "tina", "ada as a teller"}).Draw(rt, "who")
			w.asking = askers[name]
			amount := rapid.IntRange(1, 80).Draw(rt, "amount")
			r := map[string]Request{
				"withdraw": w.withdraw("a", amount), "deposit": w.deposit("a", amount), "deposit elsewhere": w.deposit("b", amount),
				"transfer": w.command("a", "transfer", fields{"to": "b", "amount": amount}),
			}[rapid.SampledFrom([]string{"withdraw", "withdraw", "transfer", "deposit", "deposit elsewhere"}).Draw(rt, "command")]
			before := w.clock()
			got := w.stepOf(engines[rapid.IntRange(0, 1).Draw(rt, "engine")], r)[0]
			day, customers := es.DayOf(before), name == "ada" || name == "hal"
			out := r.Command.Stream == "a" && r.Command.Type.Name != "deposit"
			var want error
			switch left := perDay - paid[day]; {
			case customers && amount > perCommand:
				want = ErrCommandLimit
			case customers && out && int64(amount) > left:
				want = ErrDayLimit
				if told := detail(got.Err, "left"); told != max(left, 0) {
					rt.Fatalf("%d is said to be left, not %d", told, max(left, 0))
				}
			}
			if !errors.Is(got.Err, want) {
				rt.Fatalf("%s %s %d: got %v, want %v; %v was paid out", name, r.Command.Type.Name, amount, got.Err, want, paid)
			}
			if want == nil && out && name != "tina" {
				paid[day] += int64(amount)
			}
		}
	})
}

func detail(err error, name string) int64 {
	for _, d := range fault.Of(err).Details {
		if d.Name == name {
			return d.Value
		}
	}
	return -1
}

func TestCommandsOfOneBatchShareTheLimitOfTheDay(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Limits.Day = 10 })
	w.must(w.command("a", "create", fields{"owner": "ada", "currency": "EUR"}), w.deposit("a", 100))
	w.asking = customer("ada")
	results := w.step(w.withdraw("a", 6), w.withdraw("a", 6), w.withdraw("a", 4), w.withdraw("a", 1))
	for i, want := range []error{nil, ErrDayLimit, nil, ErrDayLimit} {
		if !errors.Is(results[i].Err, want) {
			t.Errorf("command %d: %v", i, results[i].Err)
		}
	}
	w.setClock(time.Date(2025, 10, 29, 0, 0, 0, 0, time.UTC))
	w.must(w.withdraw("a", 10))
}

func TestLimitsJudgeNothingThatHasHappened(t *testing.T) {
	w := newWorld(t)
	w.must(w.command("a", "create", fields{"owner": "ada", "currency": "EUR"}), w.deposit("a", 100))
	w.asking = customer("ada")
	w.must(w.withdraw("a", 90))
	w.engine = w.again(func(o *Options) { o.Limits.Day = 50 }) // a lower limit than what is gone already
	if got := w.step(w.withdraw("a", 1))[0].Err; !errors.Is(got, ErrDayLimit) || detail(got, "left") != 0 {
		t.Errorf("got %v", got)
	}
	if got := w.balance("a"); got != 10 {
		t.Errorf("the balance is %d", got)
	}
}

func TestWhatIsSpentSurvivesASnapshotAndIsNotForgedByMetadata(t *testing.T) {
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		t.Fatal(err)
	}
	f, at := es.Folded{}, time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)
	fold := func(e es.Event, metadata string) {
		rec := es.Recorded{Stream: "a", Version: f.Version + 1, Position: f.Position + 1, Type: e.EventType(), Schema: 1, RecordedAt: at, Metadata: []byte(metadata), Hash: es.Hash{1}}
		if err := registry.FoldDecoded(&f, &rec, e); err != nil {
			t.Fatal(err)
		}
	}
	fold(account.AccountCreated{Owner: `a"d`, Currency: "EUR"}, `{"principal":"x"}`)
	for _, metadata := range []string{`{"principal":"a"}`, `{"principal":"a\"da"}`, `{"principal":"x","commandId":"\"principal\":\"a\\\"d\""}`, `{}`, ``} {
		fold(account.MoneyWithdrawn{Amount: 5}, metadata)
	}
	if f.Spent != (es.Spent{}) {
		t.Errorf("somebody else's is counted: %+v", f.Spent)
	}
	fold(account.MoneyWithdrawn{Amount: 7}, fmt.Sprintf(`{"principal":%q}`, `a"d`))
	if f.Spent.On(es.DayOf(at)) != 7 || f.Spent.On(es.DayOf(at)+1) != 0 {
		t.Errorf("got %+v", f.Spent)
	}
	kept, err := registry.AppendSnapshot(nil, &f)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := registry.ParseSnapshot("a", kept); err != nil || again.Spent != f.Spent {
		t.Errorf("got %+v, %v", again.Spent, err)
	}
}
