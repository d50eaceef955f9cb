package engine

import (
	"context"
	"sync"
	"testing"
	"time"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

func (w *world) correct(id, event string) Request {
	return w.command(id, "correct", fields{"event": event, "reason": "a mistake"})
}

func TestACorrection(t *testing.T) {
	faulttable.Covers(t, "F64", faulttable.Memory)
	ctx := context.Background()
	t.Run("takes an entry back when it happened, and is known from when it was recorded", func(t *testing.T) {
		w := newWorld(t)
		start := w.clock()
		w.must(w.create("a"), w.command("a", "deposit", fields{"amount": 70, "effectiveAt": start.AddDate(0, -1, 0)}), w.deposit("a", 5))
		w.setClock(start.Add(time.Hour))
		answer := w.must(w.correct("a", "evt-2"))[0].Answer
		if answer.Balance != 5 || len(answer.Events) != 1 || answer.Events[0] != (EventRef{"EntryCorrected", 4, 4}) {
			t.Errorf("answered %+v", answer)
		}
		for name, c := range map[string]struct {
			effective, known time.Time
			want             int64
		}{
			"then, as known now":          {start.AddDate(0, 0, -1), start.Add(time.Hour), 0},
			"then, as known then":         {start.AddDate(0, 0, -1), start.Add(time.Minute), 70},
			"now, as known now":           {start.Add(time.Hour), start.Add(time.Hour), 5},
			"before it, as known now":     {start.AddDate(0, -2, 0), start.Add(time.Hour), 0},
			"now, as known before it was": {start.Add(time.Hour), start.Add(time.Minute), 75},
		} {
			if got, err := w.engine.BalanceEffective(ctx, w.module, "a", c.effective, Until{At: c.known}); got.Balance != c.want || err != nil {
				t.Errorf("%s: %d, %v; want %d", name, got.Balance, err, c.want)
			}
		}
	})
	t.Run("happens when the client says, if the client says", func(t *testing.T) {
		w := newWorld(t)
		at := w.clock().AddDate(-1, 0, 0)
		r := w.correct("a", "evt-2")
		*r.Command.Type.Slot(r.Command.Body, 2).(*time.Time) = at
		w.must(w.create("a"), w.deposit("a", 7))
		w.must(r)
		if got := w.feed()[2]; !got.EffectiveAt.Equal(at) {
			t.Errorf("it is effective at %v, want %v", got.EffectiveAt, at)
		}
	})
	t.Run("of a transfer moves both accounts in one write, whichever of them asks", func(t *testing.T) {
		for id, event := range map[string]string{"a": "evt-4", "b": "evt-5"} {
			w := newWorld(t)
			w.must(w.create("a"), w.create("b"), w.deposit("a", 100), w.command("a", "transfer", fields{"to": "b", "amount": 30}))
			answer := w.must(w.correct(id, event))[0].Answer
			if w.balance("a") != 100 || w.balance("b") != 0 || answer.Position != 7 {
				t.Errorf("asked by %s: the balances are %d and %d, the last position %d", id, w.balance("a"), w.balance("b"), answer.Position)
			}
			feed := w.feed()
			if !feed[5].RecordedAt.Equal(feed[6].RecordedAt) || !feed[5].EffectiveAt.Equal(feed[3].EffectiveAt) {
				t.Errorf("asked by %s: recorded at %v and %v", id, feed[5].RecordedAt, feed[6].RecordedAt)
			}
			for of, event := range map[string]string{"a": "evt-4", "b": "evt-5"} {
				wantErr(t, w.step(w.correct(of, event))[0].Err, account.ErrAlreadyCorrected)
			}
		}
	})
	t.Run("is done once, by one of two who ask at once, in one batch or in several", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 7))
		results := w.step(w.correct("a", "evt-2"), w.correct("a", "evt-2"))
		if results[0].Err != nil {
			t.Error(results[0].Err)
		}
		wantErr(t, results[1].Err, account.ErrAlreadyCorrected)
		wantErr(t, w.step(w.correct("a", "evt-2"))[0].Err, account.ErrAlreadyCorrected)
		wantErr(t, w.stepOf(w.again(), w.correct("a", "evt-2"))[0].Err, account.ErrAlreadyCorrected)
		wantErr(t, w.step(w.correct("a", "evt-3"))[0].Err, account.ErrCorrectionIsFinal)
	})
	t.Run("gets its first answer again under its key", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 7))
		first := w.must(w.correct("a", "evt-2").keyed("k"))[0].Answer
		again := w.stepOf(w.again(), w.correct("a", "evt-2").keyed("k"))[0]
		if again.Err != nil || !again.Answer.Replayed || again.Answer.Position != first.Position {
			t.Errorf("got %+v", again)
		}
		wantErr(t, w.step(w.correct("a", "evt-1").keyed("k"))[0].Err, ErrKeyMismatch)
		wantErr(t, w.step(w.correct("a", "evt-99").keyed("none"))[0].Err, account.ErrNoEvent)
		if r := w.step(w.correct("a", "evt-99").keyed("none"))[0]; !r.Answer.Replayed {
			t.Errorf("the refusal was not kept: %+v", r)
		}
	})
	t.Run("that is tried out writes nothing", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 7))
		r := w.correct("a", "evt-2")
		r.DryRun = true
		for range 2 {
			if got := w.must(r)[0].Answer; got.Balance != 0 || got.Version != 3 {
				t.Errorf("got %+v", got)
			}
		}
		if w.balance("a") != 7 {
			t.Errorf("the balance is %d", w.balance("a"))
		}
	})
	t.Run("that is taken back with its atomic request can be made again", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 7))
		atomic := w.ticket(true, w.correct("a", "evt-2"), w.withdraw("a", 1))
		jobs := atomic.jobs
		w.engine.sequencer.step(context.Background(), []*Ticket{atomic})
		wantErr(t, jobs[0].result.Err, ErrAtomicRefused)
		w.must(w.correct("a", "evt-2"))
	})
	t.Run("finds its entry at any time, and says so when the store cannot be read", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 7))
		w.store.setFeed(ports.ErrStoreUnavailable)
		r := w.correct("a", "evt-2").keyed("k")
		wantErr(t, w.step(r)[0].Err, ports.ErrStoreUnavailable)
		w.store.setFeed(nil)
		w.must(r)
	})
	t.Run("of an entry that the store has lost is not decided", func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 7))
		ticket := w.ticket(false, w.correct("a", "evt-2"))
		job := &ticket.jobs[0]
		job.referred.Recorded = &es.Recorded{Stream: "a", Version: 9, Position: 9}
		w.engine.sequencer.step(ctx, []*Ticket{ticket})
		wantErr(t, job.result.Err, ports.ErrStoreUnavailable)
	})
}

func TestOfManyWhoCorrectOneEntryAtOnceOneDoes(t *testing.T) {
	w := newWorld(t)
	other := w.again()
	ctx, stop := context.WithCancel(context.Background())
	var running, asking sync.WaitGroup
	for _, e := range []*Engine{w.engine, other} {
		running.Go(func() { e.RunCommands(ctx) })
	}
	for _, r := range []Request{w.create("a"), w.create("b"), w.deposit("a", 100), w.command("a", "transfer", fields{"to": "b", "amount": 30})} {
		if _, err := w.engine.Execute(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	errs := make([]error, 40)
	for i := range errs {
		e, r := w.engine, w.correct("a", "evt-4")
		if i%2 == 1 {
			e = other
		}
		if i%4 > 1 {
			r = w.correct("b", "evt-5")
		}
		asking.Go(func() { _, errs[i] = e.Execute(ctx, r) })
	}
	asking.Wait()
	stop()
	running.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case fault.Of(err).Code != account.ErrAlreadyCorrected.Code:
			t.Error(err)
		}
	}
	if done != 1 || w.balance("a") != 100 || w.balance("b") != 0 || len(w.feed()) != 7 {
		t.Errorf("%d corrections were made; the balances are %d and %d", done, w.balance("a"), w.balance("b"))
	}
}
