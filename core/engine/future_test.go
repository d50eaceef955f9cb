package engine

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// later appends an event to the stream as a later build would.
func (w *world) later(id string, expected es.Version, eventType string, schema int, data string) {
	w.t.Helper()
	_, err := ports.Append(context.Background(), w.store, w.clock(), w.module.Stream(id), expected, es.Recorded{
		Type: eventType, Schema: schema, Data: []byte(data), Metadata: []byte(`{"principal":"local"}`),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestAnEventOfALaterBuild: what would misread it stops and says which build is needed; all else goes on, and nothing is lost.
func TestAnEventOfALaterBuild(t *testing.T) {
	faulttable.Covers(t, "F60", faulttable.Memory)
	ctx := context.Background()
	for sentence, later := range map[string]struct {
		eventType string
		schema    int
		says      string
	}{
		"a later schema":   {"MoneyDeposited", 7, "evt-4 is MoneyDeposited of schema 7 and this build reads it up to schema 1; run a build that knows schema 7 of MoneyDeposited"},
		"an unknown event": {"InterestPaid", 1, "evt-4 is InterestPaid of schema 1 and this build does not know this type; run a build that knows schema 1 of InterestPaid"},
	} {
		const data = `{"cents":"10"}`
		begin := func(t *testing.T) *world {
			t.Helper()
			w := newWorld(t)
			w.must(w.create("a"), w.create("b"), w.deposit("a", 7))
			w.later("a", 2, later.eventType, later.schema, data)
			return w
		}
		unreadable := func(t *testing.T, err error) {
			t.Helper()
			if f := fault.Of(err); f.Code != ErrLaterBuild.Code || f.Kind != fault.Unavailable || !strings.Contains(f.Msg, later.says) {
				t.Errorf("got %v, want words with %q", err, later.says)
			}
		}
		t.Run(sentence+" refuses commands on its account, and no others", func(t *testing.T) {
			w := begin(t)
			cold := w.again()
			for _, e := range []*Engine{w.engine, cold} { // one has the account in memory, as it was before
				results := w.stepOf(e, w.deposit("a", 1).keyed("k"), w.command("b", "transfer", fields{"to": "a", "amount": 1}),
					w.correct("a", "evt-3"), w.correct("a", "evt-4"), w.deposit("b", 1))
				for _, r := range results[:4] {
					unreadable(t, r.Err)
				}
				if results[4].Err != nil {
					t.Error(results[4].Err)
				}
			}
			if n := len(w.feed()); n != 6 {
				t.Errorf("there are %d events, want the 4 before and 2 deposits", n)
			}
		})
		t.Run(sentence+" parks its account's view, and no other", func(t *testing.T) {
			w := begin(t)
			w.startProjector()
			w.must(w.deposit("b", 5))
			w.catchUp()
			_, err := w.viewBalance("a")
			wantErr(t, err, ports.ErrViewParked)
			if got, err := w.viewBalance("b"); got != 5 || err != nil {
				t.Errorf("the other account shows %d, %v", got, err)
			}
			status, err := w.engine.Status(ctx)
			if err != nil || status.ParkedCount != 1 || !strings.Contains(status.Parked[0].Reason, later.says) {
				t.Errorf("parked are %+v, %v", status.Parked, err)
			}
		})
		t.Run(sentence+" is shown as stored, and its account up to the version before it", func(t *testing.T) {
			w := begin(t)
			for _, u := range []Until{{Version: 2}, {Position: 3}, {At: w.feed()[2].RecordedAt}} {
				if f, err := w.engine.StateAt(ctx, w.module, "a", u); err != nil || w.module.Ledger.Balance(f.State) != 7 {
					t.Errorf("%+v: %+v, %v", u, f, err)
				}
			}
			_, err := w.engine.StateAt(ctx, w.module, "a", Until{})
			unreadable(t, err)
			_, err = w.engine.StateAt(ctx, w.module, "a", Until{Version: 3})
			unreadable(t, err)
			_, err = w.engine.Statement(ctx, w.module, "a", Period{})
			unreadable(t, err)
			events, _, err := w.engine.Stream(ctx, w.module, "a", 2, 9)
			one, errOne := w.engine.Event(ctx, 4)
			if err != nil || errOne != nil || len(events) != 1 || string(events[0].Data) != data || string(one.Data) != data || one.Schema != later.schema {
				t.Errorf("got %+v, %+v, %v, %v", events, one, err, errOne)
			}
		})
		t.Run(sentence+" goes out to the bus and to reactors", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, bus := begin(t), &keepingBus{}
				var reacted []string
				e := w.again(func(o *Options) {
					o.Bus = bus
					o.Reactors = []Reactor{{Name: "notes", React: func(_ context.Context, e *es.Recorded) error {
						reacted = append(reacted, string(e.Data))
						return nil
					}}}
				})
				ctx, stop := context.WithCancel(context.Background())
				ended := make(chan struct{}, 2)
				go func() { e.RunRelay(ctx); ended <- struct{}{} }()
				go func() { e.RunReactors(ctx); ended <- struct{}{} }()
				time.Sleep(time.Minute) // of the bubble's clock
				stop()
				<-ended
				<-ended
				if len(bus.bodies) != 4 || !strings.Contains(bus.bodies[3], `"data":`+data) || len(reacted) != 4 || !slices.Contains(reacted, data) {
					t.Errorf("published %v, shown %v", bus.bodies, reacted)
				}
			})
		})
	}
	t.Run("is shown by the views once the build that knows it writes them, also where the one before had taken them over", func(t *testing.T) {
		w := newWorld(t)
		older := w.engine
		newer := w.again(func(o *Options) { o.Registry, o.Views = laterRegistry(t), older.Views })
		takesOver := func(e *Engine) {
			t.Helper()
			w.engine, w.module, e.projector.open = e, e.Registry.Modules[0], false
			w.catchUp()
		}
		parked := func() {
			t.Helper()
			takesOver(older)
			_, err := w.viewBalance("a")
			wantErr(t, err, ports.ErrViewParked)
			if got, err := w.viewBalance("b"); got != 0 || err != nil {
				t.Errorf("the other account shows %d, %v", got, err)
			}
		}
		shown := func(want int64) {
			t.Helper()
			takesOver(newer)
			if got, err := w.viewBalance("a"); got != want || err != nil {
				t.Errorf("the view shows %d, %v, want %d", got, err, want)
			}
			if status, err := newer.Status(ctx); err != nil || status.ParkedCount != 0 {
				t.Errorf("parked are %+v, %v", status.Parked, err)
			}
		}
		w.must(w.create("a"), w.create("b"), w.deposit("a", 7))
		w.later("a", 2, "MoneyDeposited", 2, `{"cents":3}`)
		parked()
		shown(10)
		w.must(w.deposit("a", 1))
		parked() // though the views have its document of the version before
		shown(11)
	})
	t.Run("is read by the build that knows it, with all that was there before", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 7))
		w.later("a", 2, "MoneyDeposited", 2, `{"cents":3}`)
		unreadable := w.step(w.deposit("a", 1))[0].Err
		wantErr(t, unreadable, ErrLaterBuild)
		newer := w.again(func(o *Options) { o.Registry = laterRegistry(t) })
		w.module = newer.Registry.Modules[0]
		w.engine = newer
		if got := w.must(w.deposit("a", 1))[0].Answer; got.Balance != 11 {
			t.Errorf("got %+v", got)
		}
	})
}

// keepingBus keeps the bodies that are published.
type keepingBus struct {
	silentBus
	bodies []string
}

func (b *keepingBus) Publish(_ context.Context, _ string, messages ...ports.Message) error {
	for _, m := range messages {
		b.bodies = append(b.bodies, string(m.Body))
	}
	return nil
}

// laterRegistry is that of a build that calls the amount of a deposit cents since schema 2.
func laterRegistry(t *testing.T) *es.Registry {
	t.Helper()
	m := *newWorld(t).module
	m.Events = slices.Clone(m.Events)
	at := slices.IndexFunc(m.Events, func(e es.EventType) bool { return e.Name == "MoneyDeposited" })
	m.Events[at] = es.EventOf("Money was paid in.",
		es.IntField("cents", es.KindAmount, "How much.", func(e *account.MoneyDeposited) *int64 { return &e.Amount }),
	).Upcast(es.CopyMember("amount", "cents"))
	r, err := es.NewRegistry(m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
