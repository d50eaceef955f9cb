package books

import (
	"maps"
	"strings"
)

// ledger is the state of all accounts, as simple as can be. It never changes: what changes it gives another one.
type ledger struct {
	accounts  map[string]account
	position  int64  // of the last event
	turn      int    // how many ops were taken
	corrected string // the ids of entries that were taken back, each with a comma behind it
}

type account struct {
	status                  string // "" if there is none
	balance, limit, version int64
}

// shows reports whether an account is as somebody saw it.
func (l ledger) shows(r *Reading) bool {
	a := l.accounts[r.Account]
	return a.version == r.Version && a.balance == r.Balance && (r.Status == "" || r.Status == a.status)
}

// answers reports whether the commands of an op are answered as their client was told, all taken in the turn of the op or one of them
// refused, and gives the ledger after them.
func (l ledger) answers(b *Books, op *Op) (bool, ledger) {
	taken, next := op.Commands[0].Became == Taken, l
	if taken && op.turn != l.turn {
		return false, l
	}
	next.turn++
	for i := range op.Commands {
		c := &op.Commands[i]
		after, ok := next.do(b, &c.Command)
		switch own := after.accounts[c.Account]; {
		case !ok:
			return !taken, l
		case taken && (own.version != c.Version || own.balance != c.Balance):
			return false, l
		}
		next = after
		next.position = max(next.position, c.Position)
	}
	return taken, next
}

// do gives the ledger after a command, unless the rules refuse it.
func (l ledger) do(b *Books, c *Command) (ledger, bool) {
	a := l.accounts[c.Account]
	if c.Expected != nil && a.version != *c.Expected || (a.status == "") != (c.Verb == "create") || a.status == "closed" {
		return l, false
	}
	switch c.Verb {
	case "create":
		return l.with(c.Account, account{"open", 0, c.Limit, 1})
	case "deposit":
		return l.move(c.Account, c.Amount)
	case "withdraw":
		return l.move(c.Account, -c.Amount)
	case "transfer":
		if c.To == c.Account {
			return l, false
		}
		return l.both(c.Account, -c.Amount, c.To)
	case "correct":
		return l.correct(b, c)
	case "set-overdraft-limit":
		a.limit = c.Limit
		return l.change(c.Account, a, a.balance >= -c.Limit)
	case "freeze":
		old := a.status
		a.status = "frozen"
		return l.change(c.Account, a, old == "open")
	case "unfreeze":
		old := a.status
		a.status = "open"
		return l.change(c.Account, a, old == "frozen")
	case "close":
		a.status = "closed"
		return l.change(c.Account, a, a.balance == 0)
	}
	return l, false
}

// with puts an account into the ledger.
func (l ledger) with(id string, a account) (ledger, bool) {
	next := l
	next.accounts = maps.Clone(l.accounts)
	if next.accounts == nil {
		next.accounts = map[string]account{}
	}
	next.accounts[id] = a
	return next, true
}

// change makes an account what it is after one more event, if the rules allow it.
func (l ledger) change(id string, a account, allowed bool) (ledger, bool) {
	if !allowed {
		return l, false
	}
	a.version++
	return l.with(id, a)
}

// move moves a balance.
func (l ledger) move(id string, by int64) (ledger, bool) {
	a := l.accounts[id]
	pays := by >= 0 || a.status == "open" && a.balance+by >= -a.limit
	a.balance += by
	return l.change(id, a, pays && a.status != "" && a.status != "closed")
}

// both moves a balance and another one by as much the other way.
func (l ledger) both(id string, by int64, other string) (ledger, bool) {
	next, ok := l.move(id, by)
	if !ok {
		return l, false
	}
	if next, ok = next.move(other, -by); !ok {
		return l, false
	}
	return next, true
}

// correct takes an entry back.
func (l ledger) correct(b *Books, c *Command) (next ledger, ok bool) {
	entry := b.event(c.Event)
	if entry == nil || entry.AggregateID != c.Account || entry.Position > l.position || entry.moves() == 0 || entry.EventType == "EntryCorrected" ||
		strings.Contains(l.corrected, entry.ID+",") {
		return l, false
	}
	if other := b.otherLeg(entry); other != nil {
		next, ok = l.both(c.Account, -entry.moves(), other.AggregateID)
		next.corrected += other.ID + ","
	} else {
		next, ok = l.move(c.Account, -entry.moves())
	}
	next.corrected += entry.ID + ","
	return next, ok
}
