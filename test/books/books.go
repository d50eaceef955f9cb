// Package books is what tests hold a ledger against, whatever they did to it: the events of the whole store, what follows from them,
// and what clients were told. It knows nothing of how events were read or commands sent, so the simulation and the tests of the real
// program use it alike. The numbers in brackets are those of the invariants at cluster.Check.
package books

import (
	"fmt"
	"slices"
	"time"
)

// Wrong is told what does not hold, as by testing.TB.Errorf.
type Wrong func(format string, args ...any)

// Event is one as the API shows it, and as it is stored.
type Event struct {
	ID          string
	AggregateID string
	EventType   string
	Version     int64
	Position    int64
	RecordedAt  time.Time
	Timestamp   time.Time // when it happened in the world
	Data        struct {
		Owner, Currency, TransferID, To, From, Corrects string
		Amount, OverdraftLimit, Limit                   int64
	}
	Metadata struct{ CommandID string }
}

// moves is by how much the event moves its account's balance.
func (e *Event) moves() int64 {
	switch e.EventType {
	case "MoneyDeposited", "MoneyTransferredIn", "EntryCorrected":
		return e.Data.Amount
	case "MoneyWithdrawn", "MoneyTransferredOut":
		return -e.Data.Amount
	}
	return 0
}

// Account is one as the API shows it.
type Account struct {
	ID, Owner, Currency, Status                string
	Balance, OverdraftLimit, Version, Position int64
	CreatedAt, UpdatedAt                       time.Time
}

// Books are all events, and what the test itself makes of them.
type Books struct {
	After     int64 // the position that the first event comes after
	Events    []Event
	Head      int64
	Accounts  map[string]*Account
	History   map[string][]Account // by account, after each of its versions; the first is that of version 1
	ByCommand map[string][]*Event
}

// Open makes books of the events of a whole store. It is told wrong where positions or versions have a gap, recorded times do not
// rise, a balance passes its limit, or what one account gives another does not take (I5, I6, I10).
func Open(events []Event, wrong Wrong) *Books { return OpenAfter(0, events, wrong) }

// OpenAfter makes books of the events that a store holds after a position. None is of an account that was there before.
func OpenAfter(position int64, events []Event, wrong Wrong) *Books {
	b := &Books{After: position, Head: position, Events: events, Accounts: map[string]*Account{}, History: map[string][]Account{}, ByCommand: map[string][]*Event{}}
	var before Event
	for i := range b.Events {
		e := &b.Events[i]
		if e.Position != b.Head+1 || e.ID != fmt.Sprintf("evt-%d", e.Position) {
			wrong("after position %d comes %s at %d", b.Head, e.ID, e.Position)
			return b
		}
		if e.RecordedAt.Before(before.RecordedAt) || e.RecordedAt.Equal(before.RecordedAt) && e.Metadata.CommandID != before.Metadata.CommandID {
			wrong("position %d was recorded at %v, after %v", e.Position, e.RecordedAt, before.RecordedAt)
		}
		b.Head, before = e.Position, *e
		b.ByCommand[e.Metadata.CommandID] = append(b.ByCommand[e.Metadata.CommandID], e)
		b.post(e, wrong)
	}
	b.conserve(wrong)
	b.corrections(wrong)
	return b
}

// post folds one event.
func (b *Books) post(e *Event, wrong Wrong) {
	a := b.Accounts[e.AggregateID]
	if a == nil {
		a = &Account{ID: e.AggregateID, Owner: e.Data.Owner, Currency: e.Data.Currency, Status: "open", OverdraftLimit: e.Data.OverdraftLimit, CreatedAt: e.RecordedAt}
		b.Accounts[a.ID] = a
	}
	if e.Version != a.Version+1 || (e.EventType == "AccountCreated") != (e.Version == 1) {
		wrong("position %d: version %d of %s is %s, after version %d", e.Position, e.Version, a.ID, e.EventType, a.Version)
	}
	if a.Status == "closed" {
		wrong("position %d: %s follows the end of %s", e.Position, e.EventType, a.ID)
	}
	a.Balance += e.moves()
	switch e.EventType {
	case "OverdraftLimitSet":
		a.OverdraftLimit = e.Data.Limit
	case "AccountFrozen":
		a.Status = "frozen"
	case "AccountUnfrozen":
		a.Status = "open"
	case "AccountClosed":
		a.Status = "closed"
	}
	if a.Balance < -a.OverdraftLimit {
		wrong("position %d takes %s to %d", e.Position, a.ID, a.Balance)
	}
	a.Version, a.Position, a.UpdatedAt = e.Version, e.Position, e.RecordedAt
	b.History[a.ID] = append(b.History[a.ID], *a)
}

// conserve checks that what a transfer takes is what it gives.
func (b *Books) conserve(wrong Wrong) {
	open := map[string]*Event{}
	for i := range b.Events {
		e := &b.Events[i]
		switch e.EventType {
		case "MoneyTransferredOut":
			open[e.Data.TransferID] = e
		case "MoneyTransferredIn":
			out := open[e.Data.TransferID]
			if out == nil || out.Data.Amount != e.Data.Amount || out.Data.To != e.AggregateID || e.Data.From != out.AggregateID {
				wrong("position %d is no leg of a transfer: %+v", e.Position, e)
			}
			delete(open, e.Data.TransferID)
		}
	}
	for id, e := range open {
		wrong("transfer %s has no second leg: %+v", id, e)
	}
}

// corrections checks that an entry is taken back once, by its own account, whole, and as of when it happened; both legs of a transfer,
// or neither.
func (b *Books) corrections(wrong Wrong) {
	by := map[string]*Event{}
	for i := range b.Events {
		e := &b.Events[i]
		if e.EventType != "EntryCorrected" {
			continue
		}
		entry := b.event(e.Data.Corrects)
		if entry == nil || entry.AggregateID != e.AggregateID || entry.Position >= e.Position || entry.moves() != -e.Data.Amount ||
			!entry.Timestamp.Equal(e.Timestamp) || by[entry.ID] != nil {
			wrong("position %d corrects nothing: %+v", e.Position, e)
			continue
		}
		by[entry.ID] = e
	}
	for id, e := range by {
		other := b.otherLeg(b.event(id))
		if back := (*Event)(nil); other != nil {
			if back = by[other.ID]; back == nil || back.Metadata.CommandID != e.Metadata.CommandID {
				wrong("position %d takes one leg of a transfer back alone: %+v", e.Position, e)
			}
		}
	}
}

// Effective is the balance of an account by what had happened in the world at a moment, of what was known at one of its versions.
func (b *Books) Effective(account string, at time.Time, known int64) (balance int64) {
	for i := range b.Events {
		if e := &b.Events[i]; e.AggregateID == account && e.Version <= known && !e.Timestamp.After(at) {
			balance += e.moves()
		}
	}
	return balance
}

// event finds an event by its id; nil if there is none.
func (b *Books) event(id string) *Event {
	i := slices.IndexFunc(b.Events, func(e Event) bool { return e.ID == id })
	if i < 0 {
		return nil
	}
	return &b.Events[i]
}

// otherLeg is the other event of the transfer that e is one leg of; nil if it is none.
func (b *Books) otherLeg(e *Event) *Event {
	switch e.EventType {
	case "MoneyTransferredOut":
		return &b.Events[e.Position-b.After]
	case "MoneyTransferredIn":
		return &b.Events[e.Position-b.After-2]
	}
	return nil
}
