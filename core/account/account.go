// Package account is the account module: an account is created once, takes deposits and incoming transfers, pays
// withdrawals and outgoing transfers down to its overdraft limit, can be frozen and is closed when it is empty. Its owner may name
// holders. An entry that was wrong is not changed: it is corrected once, by one that takes it back.
// It is pure: rules look at states, a command and a moment, and answer events or a fault. No I/O, no clock.
package account

import (
	"slices"

	"daybook/core/es"
)

// Status of an account.
const (
	Open   = "open"
	Frozen = "frozen" // takes money, pays nothing
	Closed = "closed" // takes and pays nothing, for ever
)

// Account is the state of one account. The zero Account does not exist yet.
type Account struct {
	Owner          string   // the subject of a principal, or any name
	OwnerName      string   // for people
	Holders        []string // who may use it beside the owner; never changed in place
	Currency       string
	Status         string
	Balance        int64 // minor units; negative down to -OverdraftLimit
	OverdraftLimit int64 // minor units
	Corrected      Positions
}

// Events. Their fields below are the stored shape: a change of one is a new schema with an upcaster (docs/events.md).
type (
	// AccountCreated brings an account into being.
	AccountCreated struct {
		Owner, OwnerName, Currency string
		OverdraftLimit             int64
		es.Note
	}
	// MoneyDeposited is money paid in.
	MoneyDeposited struct {
		Amount int64
		es.Note
	}
	// MoneyWithdrawn is money paid out.
	MoneyWithdrawn struct {
		Amount int64
		es.Note
	}
	// MoneyTransferredOut is the paying leg of a transfer.
	MoneyTransferredOut struct {
		TransferID, To string
		Amount         int64
		es.Note
	}
	// MoneyTransferredIn is the receiving leg of a transfer.
	MoneyTransferredIn struct {
		TransferID, From string
		Amount           int64
		es.Note
	}
	// EntryCorrected takes an earlier entry of the account back. Of a transfer both legs are, each by an event of its account.
	EntryCorrected struct {
		Corrects   string // the entry's event id
		Amount     int64  // by how much it moves the balance: the entry's amount with the other sign
		TransferID string // of the transfer, if the entry was a leg of one
		Reason     string
		es.Note
	}
	// OverdraftLimitSet says how far below zero the balance may go from here on.
	OverdraftLimitSet struct {
		Limit int64
		es.Note
	}
	// AccountFrozen stops all paying out.
	AccountFrozen struct {
		Reason string
		es.Note
	}
	// AccountUnfrozen ends a freeze.
	AccountUnfrozen struct {
		Reason string
		es.Note
	}
	// AccountClosed ends the account.
	AccountClosed struct {
		Reason string
		es.Note
	}
	// HolderAdded lets somebody use the account beside its owner.
	HolderAdded struct {
		Holder string
		es.Note
	}
	// HolderRemoved takes that back.
	HolderRemoved struct {
		Holder string
		es.Note
	}
)

// EventType and its like give the names on the wire, for ever.
func (AccountCreated) EventType() string      { return "AccountCreated" }
func (MoneyDeposited) EventType() string      { return "MoneyDeposited" }
func (MoneyWithdrawn) EventType() string      { return "MoneyWithdrawn" }
func (MoneyTransferredOut) EventType() string { return "MoneyTransferredOut" }
func (MoneyTransferredIn) EventType() string  { return "MoneyTransferredIn" }
func (EntryCorrected) EventType() string      { return "EntryCorrected" }
func (OverdraftLimitSet) EventType() string   { return "OverdraftLimitSet" }
func (AccountFrozen) EventType() string       { return "AccountFrozen" }
func (AccountUnfrozen) EventType() string     { return "AccountUnfrozen" }
func (AccountClosed) EventType() string       { return "AccountClosed" }
func (HolderAdded) EventType() string         { return "HolderAdded" }
func (HolderRemoved) EventType() string       { return "HolderRemoved" }

// apply adds one event to the state. It never says no: what was decided is not judged again.
func apply(a Account, e es.Event) Account {
	change, _ := amount(e)
	a.Balance += change
	switch e := e.(type) {
	case AccountCreated:
		a.Owner, a.OwnerName, a.Currency, a.OverdraftLimit, a.Status = e.Owner, e.OwnerName, e.Currency, e.OverdraftLimit, Open
	case EntryCorrected:
		if p, err := es.ParseEventID(e.Corrects); err == nil {
			a.Corrected = a.Corrected.With(p)
		}
	case OverdraftLimitSet:
		a.OverdraftLimit = e.Limit
	case AccountFrozen:
		a.Status = Frozen
	case AccountUnfrozen:
		a.Status = Open
	case AccountClosed:
		a.Status = Closed
	case HolderAdded:
		a.Holders = append(slices.Clip(a.Holders), e.Holder)
	case HolderRemoved:
		a.Holders = slices.DeleteFunc(slices.Clone(a.Holders), func(h string) bool { return h == e.Holder })
	}
	return a
}

// amount is by how much an event moves the balance.
func amount(e es.Event) (change int64, moves bool) {
	switch e := e.(type) {
	case MoneyDeposited:
		return e.Amount, true
	case MoneyTransferredIn:
		return e.Amount, true
	case MoneyWithdrawn:
		return -e.Amount, true
	case MoneyTransferredOut:
		return -e.Amount, true
	case EntryCorrected:
		return e.Amount, true
	}
	return 0, false
}
