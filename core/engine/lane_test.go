package engine

import (
	"context"
	"errors"
	"testing"

	"daybook/core/ports"
	"daybook/test/faulttable"
)

// A lane as a subscription uses it: what is refused comes again, in the order of the first time.
func TestALaneKeepsTheOrderWhenACommandHasToComeAgain(t *testing.T) {
	faulttable.Covers(t, "F35", faulttable.Memory)
	w := newWorld(t)
	w.must(w.create("a"))
	lane := w.engine.Lane()
	requests := []Request{w.deposit("a", 1).keyed("1"), w.withdraw("a", 1).keyed("2"), w.deposit("a", 2).keyed("3"), w.withdraw("a", 2).keyed("4")}
	submit := func(i int) *Ticket {
		ticket, err := lane.Submit(t.Context(), requests[i])
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	answer := func(i int, ticket *Ticket, want error) {
		t.Helper()
		results, err := ticket.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := results[0].Err; !errors.Is(got, want) || (want == nil) != (got == nil) {
			t.Errorf("command %d: got %v, want %v", i+1, got, want)
		}
	}
	step := func(n int) {
		batch := make([]*Ticket, n)
		for i := range batch {
			batch[i] = <-w.engine.sequencer.queue
		}
		w.engine.sequencer.step(context.Background(), batch)
	}

	one, two, three, four := submit(0), submit(1), submit(2), submit(3)
	w.store.set(nil, ports.ErrStoreUnavailable, nil)
	step(2) // the first batch cannot be written
	answer(0, one, ports.ErrStoreUnavailable)
	answer(1, two, ports.ErrStoreUnavailable)
	w.store.set(nil, nil, nil)
	step(2) // the next one could, but would come before
	answer(2, three, ErrBehindFailure)
	answer(3, four, ErrBehindFailure)
	if got := w.balance("a"); got != 0 {
		t.Errorf("the balance is %d: a command passed one that failed", got)
	}

	again := []*Ticket{submit(0), submit(1), submit(2), submit(3)}
	step(4)
	for i, ticket := range again {
		answer(i, ticket, nil)
	}
	var got []string
	for _, e := range w.feed()[1:] {
		got = append(got, e.Type)
	}
	if want := "MoneyDeposited MoneyWithdrawn MoneyDeposited MoneyWithdrawn"; joined(got) != want {
		t.Errorf("the events are %s, want %s", joined(got), want)
	}
}

func TestARefusalByTheRulesHoldsUpNoLane(t *testing.T) {
	w := newWorld(t)
	w.must(w.create("a"))
	lane := w.engine.Lane()
	for i, r := range []Request{w.withdraw("a", 1).keyed("1"), w.deposit("a", 1).keyed("2")} {
		ticket, err := lane.Submit(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		w.engine.sequencer.step(context.Background(), []*Ticket{<-w.engine.sequencer.queue})
		results, err := ticket.Wait(t.Context())
		if err != nil || (results[0].Err == nil) != (i == 1) {
			t.Errorf("command %d: %v, %v", i+1, results, err)
		}
	}
}
