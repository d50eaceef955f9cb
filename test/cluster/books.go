package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Event is one as the API shows it.
type Event struct {
	ID          string
	AggregateID string
	EventType   string
	Version     int64
	Position    int64
	RecordedAt  time.Time
	Data        struct {
		Owner, Currency, TransferID, To, From string
		Amount, OverdraftLimit                int64
	}
	Metadata struct{ CommandID string }
}

// Account is one as the API shows it.
type Account struct {
	ID, Owner, Currency, Status                string
	Balance, OverdraftLimit, Version, Position int64
	CreatedAt, UpdatedAt                       time.Time
}

// Books are all events, and what the test itself makes of them.
type Books struct {
	Events    []Event
	Head      int64
	Accounts  map[string]*Account
	Balances  map[string][]int64 // by account, after each of its versions; the first is that of version 1
	ByCommand map[string][]*Event
}

// ReadBooks reads the whole store through a process, and fails the test where positions or versions have a gap, recorded times
// do not rise, or a transfer has one leg.
func ReadBooks(t testing.TB, base string) *Books {
	t.Helper()
	b := &Books{Accounts: map[string]*Account{}, Balances: map[string][]int64{}, ByCommand: map[string][]*Event{}}
	for after := "0"; after != ""; {
		var page struct {
			Items []Event
			Next  string
		}
		if err := Get(t.Context(), base+"/v1/events?limit=1000&after="+after, &page); err != nil {
			t.Fatal(err)
		}
		b.Events = append(b.Events, page.Items...)
		after = page.Next
	}
	var before Event
	for i := range b.Events {
		e := &b.Events[i]
		if e.Position != b.Head+1 || e.ID != fmt.Sprintf("evt-%d", e.Position) {
			t.Fatalf("after position %d comes %s at %d", b.Head, e.ID, e.Position)
		}
		if e.RecordedAt.Before(before.RecordedAt) || e.RecordedAt.Equal(before.RecordedAt) && e.Metadata.CommandID != before.Metadata.CommandID {
			t.Errorf("position %d was recorded at %v, after %v", e.Position, e.RecordedAt, before.RecordedAt)
		}
		b.Head, before = e.Position, *e
		b.ByCommand[e.Metadata.CommandID] = append(b.ByCommand[e.Metadata.CommandID], e)
		b.post(t, e)
	}
	b.conserve(t)
	return b
}

// post folds one event.
func (b *Books) post(t testing.TB, e *Event) {
	t.Helper()
	a := b.Accounts[e.AggregateID]
	if a == nil {
		a = &Account{ID: e.AggregateID, Owner: e.Data.Owner, Currency: e.Data.Currency, Status: "open", OverdraftLimit: e.Data.OverdraftLimit, CreatedAt: e.RecordedAt}
		b.Accounts[a.ID] = a
	}
	if e.Version != a.Version+1 || (e.EventType == "AccountCreated") != (e.Version == 1) {
		t.Errorf("position %d: version %d of %s is %s, after version %d", e.Position, e.Version, a.ID, e.EventType, a.Version)
	}
	switch e.EventType {
	case "MoneyDeposited", "MoneyTransferredIn", "EntryCorrected":
		a.Balance += e.Data.Amount
	case "MoneyWithdrawn", "MoneyTransferredOut":
		a.Balance -= e.Data.Amount
	}
	if a.Balance < -a.OverdraftLimit {
		t.Errorf("position %d takes %s to %d", e.Position, a.ID, a.Balance)
	}
	a.Version, a.Position, a.UpdatedAt = e.Version, e.Position, e.RecordedAt
	b.Balances[a.ID] = append(b.Balances[a.ID], a.Balance)
}

// conserve checks that what a transfer takes is what it gives.
func (b *Books) conserve(t testing.TB) {
	t.Helper()
	open := map[string]*Event{}
	for i := range b.Events {
		e := &b.Events[i]
		switch e.EventType {
		case "MoneyTransferredOut":
			open[e.Data.TransferID] = e
		case "MoneyTransferredIn":
			out := open[e.Data.TransferID]
			if out == nil || out.Data.Amount != e.Data.Amount || out.Data.To != e.AggregateID || e.Data.From != out.AggregateID {
				t.Errorf("position %d is no leg of a transfer: %+v", e.Position, e)
			}
			delete(open, e.Data.TransferID)
		}
	}
	for id, e := range open {
		t.Errorf("transfer %s has no second leg: %+v", id, e)
	}
}

// CheckAnswers holds what clients were told against the books: what was taken is there once, where they were told and with the
// balance they were told; of all else there is nothing; and nobody else has written.
func (b *Books) CheckAnswers(t testing.TB, finals map[string]Final) {
	t.Helper()
	counts := map[string]int{}
	for key, f := range finals {
		events := b.ByCommand[key]
		counts[f.Answer.Kind()]++
		if !f.Answer.Taken() {
			if len(events) > 0 {
				t.Errorf("%s %s was answered %s, and is at position %d", key, f.Path(), f.Answer.Body, events[0].Position)
			}
			continue
		}
		if problem := b.disagree(&f, events); problem != "" {
			t.Errorf("%s %s was answered %s: %s", key, f.Path(), f.Answer.Body, problem)
		}
	}
	for key, events := range b.ByCommand {
		if _, sent := finals[key]; !sent {
			t.Errorf("position %d has the command %q, which nobody sent", events[0].Position, key)
		}
	}
	t.Logf("%d events of %d commands: %v", len(b.Events), len(finals), counts)
}

// disagree says where an answer and the events of its command differ.
func (b *Books) disagree(f *Final, events []*Event) string {
	want := 1
	if f.Verb == "transfer" {
		want = 2
	}
	a := f.Answer
	if len(events) != want {
		return fmt.Sprintf("it has %d events", len(events))
	}
	if last := events[want-1].Position; last != a.Position || last != events[0].Position+int64(want-1) {
		return fmt.Sprintf("its events are at %d to %d", events[0].Position, last)
	}
	own := events[0]
	if own.AggregateID != f.Account || own.Version != a.Version || f.Verb != "create" && own.Data.Amount != f.Amount {
		return fmt.Sprintf("its event is %+v", *own)
	}
	for _, e := range a.Events { // answers to messages do not name them
		if e.Version != own.Version || e.Position != own.Position || e.EventType != own.EventType {
			return fmt.Sprintf("its event is %+v", *own)
		}
	}
	if balance := b.Balances[f.Account][a.Version-1]; balance != a.Balance {
		return fmt.Sprintf("the balance after version %d is %d", a.Version, balance)
	}
	return ""
}

// CheckReplays sends some commands again, with their keys, and checks that what was decided is answered as it was the first time.
func CheckReplays(t testing.TB, base string, finals map[string]Final) {
	t.Helper()
	left := 100
	for key, f := range finals {
		if !f.Answer.Taken() && !f.Answer.Refused() {
			continue
		}
		again := Post(t.Context(), base, f.Path(), f.Data(), key)
		if !again.Replayed || again.Status != f.Answer.Status || again.Taken() && again.Body != f.Answer.Body {
			t.Errorf("%s was answered\n%d %s and later\n%d %s (%v)", key, f.Answer.Status, f.Answer.Body, again.Status, again.Body, again.Err)
		}
		if left--; left == 0 {
			return
		}
	}
}

// CheckViews holds the views that a process answers from against the books, item by item, once they are up to date.
func (b *Books) CheckViews(t testing.TB, base string, limit time.Duration) {
	t.Helper()
	var items []Account
	Within(t, limit, "the views of "+base+" are up to date", func(ctx context.Context) error {
		items = nil
		for cursor := ""; ; {
			var page struct {
				Items []Account
				Next  string
			}
			if err := Get(ctx, fmt.Sprintf("%s/v1/accounts?limit=1000&minPosition=%d%s", base, b.Head, cursor), &page); err != nil {
				return err
			}
			if items = append(items, page.Items...); page.Next == "" {
				return nil
			}
			cursor = "&cursor=" + page.Next
		}
	})
	if len(items) != len(b.Accounts) {
		t.Errorf("%s shows %d accounts of %d", base, len(items), len(b.Accounts))
	}
	for _, got := range items {
		want := b.Accounts[got.ID]
		if want == nil || got != *want {
			t.Errorf("%s shows\n%+v instead of\n%+v", base, got, want)
			continue
		}
		var one Account
		if err := Get(t.Context(), fmt.Sprintf("%s/v1/accounts/%s?minPosition=%d", base, got.ID, b.Head), &one); err != nil || one != *want {
			t.Errorf("%s shows %+v instead of %+v (%v)", base, one, want, err)
		}
	}
}
