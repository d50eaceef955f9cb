package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

func TestABatch(t *testing.T) {
	faulttable.Covers(t, "F10", faulttable.Memory)
	t.Run("each command gets its own outcome, decided on those before it", func(t *testing.T) {
		w := newWorld(t)
		got := w.step(w.create("a"), w.deposit("a", 100), w.withdraw("a", 70), w.withdraw("a", 70), w.deposit("none", 1))
		want := []error{nil, nil, nil, account.ErrInsufficientFunds, account.ErrNotFound}
		for i := range got {
			wantErr(t, got[i].Err, want[i])
		}
		if a := got[2].Answer; a.Balance != 30 || a.Version != 3 || a.Position != 3 || len(a.Events) != 1 || a.Events[0] != (EventRef{"MoneyWithdrawn", 3, 3}) {
			t.Fatalf("the withdrawal answered %+v", a)
		}
		if n := len(w.feed()); n != 3 {
			t.Fatalf("%d events were written, want 3", n)
		}
	})
	t.Run("a transfer writes both legs, with one id, one time and neighbouring positions", func(t *testing.T) {
		w := newWorld(t)
		got := w.must(w.create("a"), w.create("b"), w.deposit("a", 100), w.command("a", "transfer", fields{"to": "b", "amount": 40}))
		events := w.feed()[3:]
		out, in := events[0], events[1]
		if out.Type != "MoneyTransferredOut" || in.Type != "MoneyTransferredIn" || !out.RecordedAt.Equal(in.RecordedAt) {
			t.Fatalf("the legs are %s and %s", out.JSON(), in.JSON())
		}
		if string(out.Data) != `{"transferId":"trf-4","to":"b","amount":40}` || string(in.Data) != `{"transferId":"trf-4","from":"a","amount":40}` {
			t.Fatalf("the legs hold %s and %s", out.Data, in.Data)
		}
		if a := got[3].Answer; a.Position != 5 || a.Version != 3 || a.Balance != 60 || len(a.Events) != 1 {
			t.Fatalf("the transfer answered %+v: its position must cover the other account's event", a)
		}
		if w.balance("a") != 60 || w.balance("b") != 40 {
			t.Fatalf("the balances are %d and %d", w.balance("a"), w.balance("b"))
		}
	})
	t.Run("an expected version that does not hold is refused and nothing is kept of it", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"))
		one, two := es.Version(1), es.Version(2)
		r := w.deposit("a", 5).keyed("k")
		r.Expected = &two
		wantErr(t, w.step(r)[0].Err, ErrVersionMismatch)
		r.Expected = &one
		if got := w.must(r)[0].Answer; got.Replayed || got.Version != 2 {
			t.Fatalf("got %+v", got)
		}
		r.Key = "too late"
		wantErr(t, w.step(r)[0].Err, ErrVersionMismatch)
	})
	t.Run("a dry run decides and writes nothing", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"))
		dry := w.deposit("a", 5).keyed("k")
		dry.DryRun = true
		got := w.must(dry, w.deposit("a", 7))
		if got[0].Answer.Balance != 5 || got[1].Answer.Balance != 7 || len(w.feed()) != 2 {
			t.Fatalf("got %+v and %d events", got, len(w.feed()))
		}
	})
	t.Run("what has not happened yet is refused and not kept", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"))
		r := w.command("a", "deposit", fields{"amount": 5, "effectiveAt": w.now.Add(time.Hour)}).keyed("k")
		wantErr(t, w.step(r)[0].Err, ErrEffectiveInFuture)
		w.setClock(w.now.Add(2 * time.Hour))
		w.must(r)
	})
	t.Run("a rule that panics fails its command alone", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"))
		broken := w.deposit("a", 1)
		broken.Command.Body = nil
		broken.Key = ""
		ok := w.deposit("a", 2)
		ct := *broken.Command.Type
		ct.Effective = func(any) time.Time { return time.Time{} }
		broken.Command.Type = &ct
		got := w.step(broken, ok)
		if fault.KindOf(got[0].Err) != fault.Internal || got[1].Err != nil {
			t.Fatalf("got %v and %v", got[0].Err, got[1].Err)
		}
	})
}

func TestRecordedTimeRisesWhateverTheClockDoes(t *testing.T) {
	faulttable.Covers(t, "F41", faulttable.Memory)
	w := newWorld(t)
	w.must(w.create("a"), w.deposit("a", 1))
	w.setClock(w.now.Add(-time.Hour))
	w.must(w.deposit("a", 2), w.deposit("a", 3))
	w.engine = w.again()
	w.setClock(time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC))
	w.must(w.deposit("a", 4))
	last := time.Time{}
	for _, e := range w.feed() {
		if !e.RecordedAt.After(last) {
			t.Fatalf("%s was recorded at %s, after %s", e.Position.EventID(), e.RecordedAt, last)
		}
		last = e.RecordedAt
	}
}

func TestARetry(t *testing.T) {
	faulttable.Covers(t, "F46", faulttable.Memory)
	t.Run("gets the first answer again: in the same batch, later, and after a restart", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"))
		r := w.deposit("a", 5).keyed("k")
		first := w.must(r, r)
		again := w.must(w.deposit("a", 50), r)
		w.engine = w.again()
		restarted := w.must(r)
		want := first[0].Answer
		want.Replayed = true
		for _, got := range []Answer{first[1].Answer, again[1].Answer, restarted[0].Answer} {
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		if w.balance("a") != 55 {
			t.Errorf("the balance is %d: the deposit took effect more than once", w.balance("a"))
		}
	})
	t.Run("of a refusal gets the refusal again, with its figures, though it would be accepted now", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"))
		r := w.withdraw("a", 5).keyed("k")
		wantErr(t, w.step(r)[0].Err, account.ErrInsufficientFunds)
		w.must(w.deposit("a", 10))
		w.engine = w.again()
		got := w.step(r)[0]
		wantErr(t, got.Err, account.ErrInsufficientFunds)
		if d := fault.Of(got.Err).Details; len(d) != 3 || d[2] != (fault.Detail{Name: "requested", Value: 5}) || !got.Answer.Replayed {
			t.Fatalf("got %+v, replayed %v", d, got.Answer.Replayed)
		}
	})
	t.Run("with other content is refused and leaves the first answer as it was", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.create("b"))
		w.must(w.deposit("a", 5).keyed("k"))
		for _, other := range []Request{w.deposit("a", 6), w.deposit("b", 5), w.withdraw("a", 5), w.command("a", "deposit", fields{"amount": 5, "reference": "x"})} {
			wantErr(t, w.step(other.keyed("k"))[0].Err, ErrKeyMismatch)
		}
		if got := w.must(w.deposit("a", 5).keyed("k"))[0].Answer; !got.Replayed || got.Balance != 5 {
			t.Fatalf("got %+v", got)
		}
	})
	t.Run("of another principal is another command", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"))
		w.must(w.deposit("a", 5).keyed("k"))
		w.asking = &access.Principal{Subject: "eve", Roles: []access.Role{access.Teller}}
		w.must(w.deposit("a", 5).keyed("k"))
		if w.balance("a") != 10 {
			t.Fatalf("the balance is %d", w.balance("a"))
		}
	})
}

func TestAnAtomicRequest(t *testing.T) {
	w := newWorld(t)
	w.must(w.create("a"), w.create("b"))
	run := func(atomic bool, r ...Request) []Result {
		ticket := w.ticket(atomic, r...)
		w.engine.sequencer.step(context.Background(), []*Ticket{w.ticket(false, w.deposit("b", 1)), ticket, w.ticket(false, w.deposit("b", 1))})
		results, err := ticket.Wait(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	got := run(true, w.deposit("a", 10).keyed("1"), w.deposit("b", 10), w.withdraw("a", 11).keyed("2"), w.deposit("a", 1))
	for i, want := range []error{ErrAtomicRefused, ErrAtomicRefused, account.ErrInsufficientFunds, ErrAtomicRefused} {
		wantErr(t, got[i].Err, want)
	}
	if w.balance("a") != 0 || w.balance("b") != 2 {
		t.Fatalf("the balances are %d and %d: the refused request had an effect, or its neighbours had none", w.balance("a"), w.balance("b"))
	}
	got = run(true, w.deposit("a", 10).keyed("1"), w.withdraw("a", 10).keyed("2"))
	if got[0].Err != nil || got[1].Err != nil || got[0].Answer.Replayed || w.balance("a") != 0 || w.balance("b") != 4 {
		t.Fatalf("got %+v: keys of a refused request must be free", got)
	}
}

func TestWhenTheStoreFails(t *testing.T) {
	faulttable.Covers(t, "F49", faulttable.Memory)
	t.Run("before anything was written, nothing happened and a retry works", func(t *testing.T) {
		for name, set := range map[string]func(*faultyStore){
			"begin":  func(s *faultyStore) { s.set(ports.ErrStoreUnavailable, nil, nil) },
			"commit": func(s *faultyStore) { s.set(nil, ports.ErrStoreFull, nil) },
		} {
			w := newWorld(t)
			w.must(w.create("a"))
			set(w.store)
			r := w.deposit("a", 5).keyed("k")
			if got := w.step(r)[0]; fault.KindOf(got.Err) != fault.Unavailable {
				t.Fatalf("%s: got %v", name, got.Err)
			}
			w.store.set(nil, nil, nil)
			if got := w.must(r)[0].Answer; got.Replayed || got.Balance != 5 || got.Version != 2 {
				t.Fatalf("%s: got %+v: the state in memory was ahead of the store", name, got)
			}
		}
	})
	t.Run("while writing, those that wrote get unknown, those that did not get what is true, and a retry settles it", func(t *testing.T) {
		for _, durable := range []bool{false, true} {
			w := newWorld(t)
			w.must(w.create("a"), w.create("b"))
			w.must(w.deposit("b", 3).keyed("old"))
			if durable {
				w.store.set(nil, nil, ports.ErrOutcomeUnknown)
			} else {
				w.store.set(nil, ports.ErrOutcomeUnknown, nil)
			}
			r := w.deposit("a", 5).keyed("k")
			got := w.step(r, w.withdraw("b", 9), w.withdraw("a", 9), w.deposit("b", 3).keyed("old"), w.withdraw("b", 99).keyed("no"))
			kinds := []fault.Kind{fault.Unknown, fault.Rejected, fault.Unavailable, 99, fault.Unavailable}
			for i, want := range kinds {
				if i == 3 {
					if got[i].Err != nil || !got[i].Answer.Replayed {
						t.Errorf("a replay of something durable got %+v", got[i])
					}
				} else if kind := fault.KindOf(got[i].Err); kind != want {
					t.Errorf("request %d got %v (%s), want %s", i, got[i].Err, kind, want)
				}
			}
			w.store.set(nil, nil, nil)
			if again := w.must(r)[0].Answer; again.Replayed != durable || again.Balance != 5 || w.balance("a") != 5 {
				t.Fatalf("the retry got %+v with balance %d", again, w.balance("a"))
			}
		}
	})
}

func TestTwoProcessesOnOneStore(t *testing.T) {
	faulttable.Covers(t, "F12", faulttable.Memory)
	w := newWorld(t)
	second := w.again()
	w.must(w.create("a"), w.create("b"), w.deposit("a", 1000))
	for i := range 20 {
		e := w.engine
		if i%3 == 0 {
			e = second
		}
		r := w.command("a", "transfer", fields{"to": "b", "amount": 10})
		if i%2 == 1 {
			r = w.command("b", "transfer", fields{"to": "a", "amount": 5})
		}
		if got := w.stepOf(e, r)[0]; got.Err != nil {
			t.Fatal(got.Err)
		}
	}
	if a, b := w.balance("a"), w.balance("b"); a != 1000-100+50 || b != 50 {
		t.Fatalf("the balances are %d and %d", a, b)
	}
	key := w.deposit("a", 1).keyed("k")
	w.must(key)
	if got := w.stepOf(second, key)[0]; got.Err != nil || !got.Answer.Replayed {
		t.Fatalf("the second process does not know the first one's key: %+v", got)
	}
}

func TestStatesAreBounded(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.CacheSize = 8 })
	for i := range 100 {
		id := fmt.Sprint("a", i)
		w.must(w.create(id), w.deposit(id, i+1))
	}
	if n := w.engine.sequencer.states.Held(); n > 8 {
		t.Fatalf("%d states are kept, want at most 8", n)
	}
	for i := range 100 {
		if got := w.must(w.deposit(fmt.Sprint("a", i), 1))[0].Answer; got.Balance != int64(i+2) || got.Version != 3 {
			t.Fatalf("account %d answered %+v", i, got)
		}
	}
}

func TestTheQueue(t *testing.T) {
	faulttable.Covers(t, "F25", faulttable.Memory)
	t.Run("is bounded: more commands are refused at once, or wait if they can", func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.QueueSize = 1 })
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := w.engine.Submit(ctx, false, w.create("a")); err != nil {
			t.Fatal(err)
		}
		_, err := w.engine.Execute(ctx, w.create("b"))
		wantErr(t, err, ErrOverloaded)
		cancel()
		_, err = w.engine.Submit(ctx, false, w.create("c"))
		wantErr(t, err, context.Canceled)
	})
	t.Run("answers what was accepted when the process stops, and refuses what comes later", func(t *testing.T) {
		w := newWorld(t)
		first, err := w.engine.Submit(context.Background(), false, w.create("a"))
		if err != nil {
			t.Fatal(err)
		}
		stopped, stop := context.WithCancel(context.Background())
		stop()
		w.engine.RunCommands(stopped)
		if got, err := first.Wait(context.Background()); err != nil || got[0].Err != nil {
			t.Fatalf("got %v, %v", got, err)
		}
		_, err = w.engine.Execute(context.Background(), w.create("b"))
		wantErr(t, err, ErrStopping)
	})
	t.Run("drops a command whose client has left before it was begun", func(t *testing.T) {
		w := newWorld(t)
		gone := w.ticket(false, w.create("a"))
		ctx, leave := context.WithCancel(context.Background())
		gone.ctx = ctx
		leave()
		stays := w.ticket(false, w.create("b"))
		w.engine.sequencer.step(context.Background(), []*Ticket{gone, stays})
		if events := w.feed(); len(events) != 1 || events[0].Stream != "b" {
			t.Fatalf("got %d events", len(events))
		}
		for _, waiting := range []context.Context{ctx, context.Background()} { // and tells so whoever still waits
			results, err := gone.Wait(waiting)
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, results[0].Err, ErrClientLeft)
		}
	})
}

func TestAStreamThatCannotBeReadFailsItsOwnCommandsAlone(t *testing.T) {
	w := newWorld(t)
	w.must(w.create("a"), w.create("b"))
	if _, err := ports.Append(context.Background(), w.store, w.now, "a", 1, es.Recorded{Type: "AccountTeleported", Schema: 1, Data: []byte(`{}`), Metadata: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	w.engine = w.again()
	got := w.step(w.deposit("a", 1), w.deposit("b", 1))
	wantErr(t, got[0].Err, ErrLaterBuild)
	if got[1].Err != nil || !errors.Is(got[0].Err, es.ErrUnreadable) {
		t.Fatalf("got %v and %v", got[0].Err, got[1].Err)
	}
}

func TestARefusalIsDecidedAgainForWhoAsks(t *testing.T) {
	w := newWorld(t)
	w.must(w.create("a"))
	again := func(r Request) Request { r.Again = true; return r }
	withdrawal := w.withdraw("a", 5).keyed("k")
	if r := w.step(withdrawal)[0]; r.Err == nil {
		t.Fatal("there was money")
	}
	w.must(w.deposit("a", 9))
	if r := w.step(withdrawal)[0]; r.Err == nil || !r.Answer.Replayed {
		t.Errorf("a retry is decided anew: %+v", r)
	}
	if r := w.step(again(w.withdraw("a", 6).keyed("k")))[0]; !errors.Is(r.Err, ErrKeyMismatch) {
		t.Errorf("another command under the key: %v", r.Err)
	}
	w.must(again(withdrawal))
	for _, r := range w.step(again(withdrawal), withdrawal) {
		if r.Err != nil || !r.Answer.Replayed || r.Answer.Balance != 4 {
			t.Errorf("once it has succeeded: %+v", r)
		}
	}
}

func TestAStoreThatHasGoneBackIsNoticedAndNothingRestsOnWhatIsLost(t *testing.T) {
	w, standby := newWorld(t), newWorld(t)
	for _, each := range []*world{w, standby} {
		each.must(each.create("a"), each.deposit("a", 5))
	}
	w.must(w.deposit("a", 90), w.deposit("a", 900)) // which the standby never got
	w.store.Store = standby.store.Store
	if r := w.step(w.withdraw("a", 500))[0]; !errors.Is(r.Err, ports.ErrStoreUnavailable) {
		t.Fatalf("a withdrawal of what is lost: %+v", r)
	}
	if r := w.step(w.withdraw("a", 500))[0]; r.Err == nil || r.Err.Error() == "" || errors.Is(r.Err, ports.ErrStoreUnavailable) {
		t.Errorf("the same again: %+v", r)
	}
	if r := w.must(w.withdraw("a", 5))[0]; r.Answer.Version != 3 || r.Answer.Position != 3 || r.Answer.Balance != 0 {
		t.Errorf("a withdrawal of what is there: %+v", r)
	}
}
