package account_test

import (
	"errors"
	"fmt"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/test/faulttable"
	"daybook/test/spec"
)

// model is an account as a child would keep it: numbers that cannot overflow, and no event.
type model struct {
	exists, frozen, closed bool
	currency               string
	balance, limit         *big.Int
}

func (m *model) live() bool { return m.exists && !m.closed }

func (m *model) canPay(n *big.Int) bool {
	left := new(big.Int).Sub(m.balance, n)
	return m.live() && !m.frozen && left.Cmp(new(big.Int).Neg(m.limit)) >= 0
}

func (m *model) canTake(n *big.Int) bool {
	return m.live() && new(big.Int).Add(m.balance, n).Cmp(big.NewInt(most)) <= 0
}

func (m *model) move(n *big.Int) { m.balance.Add(m.balance, n) }

// book runs each command twice: by the rules and by the model.
type book struct {
	history *spec.History
	models  map[string]*model
	paidIn  *big.Int // by deposits, less withdrawals
	entries []*entry
	written int // events
}

// entry is what may be corrected: by how much it moved which account.
type entry struct {
	event, id string
	moved     *big.Int
	other     *entry // leg of the transfer
	corrected bool
}

var ids = []string{"acc-1", "acc-2", "acc-3"}

func (b *book) do(t *rapid.T, id, command string, fields spec.Fields, want bool) bool {
	action := spec.Command(command, id, fields)
	got, err := b.history.Do(action)
	var refusal *fault.Fault
	if err != nil && !errors.As(err, &refusal) {
		t.Fatalf("%s failed and was not refused: %v", action, err)
	}
	if accepted := err == nil; accepted != want {
		t.Fatalf("%s: accepted is %v (%v), the model says %v", action, accepted, err, want)
	}
	b.written += len(got)
	return want
}

// note keeps an entry as the last of so many that were just written.
func (b *book) note(id string, moved *big.Int, fromLast int) *entry {
	e := &entry{event: fmt.Sprintf("evt-%d", b.written-fromLast), id: id, moved: moved}
	b.entries = append(b.entries, e)
	return e
}

// canMove reports whether the balance may be moved by n, up or down.
func (m *model) canMove(n *big.Int) bool {
	if n.Sign() < 0 {
		return m.canPay(new(big.Int).Neg(n))
	}
	return m.canTake(n)
}

// correct asks for the correction of any entry, through any account.
func (b *book) correct(t *rapid.T) {
	id := rapid.SampledFrom(ids).Draw(t, "account")
	if len(b.entries) == 0 {
		b.do(t, id, "correct", spec.Fields{"event": "evt-1", "reason": "a reason"}, false)
		return
	}
	e := rapid.SampledFrom(b.entries).Draw(t, "entry")
	legs := []*entry{e}
	if e.other != nil {
		legs = append(legs, e.other)
	}
	can := e.id == id && !e.corrected
	for _, leg := range legs {
		can = can && b.models[leg.id].canMove(new(big.Int).Neg(leg.moved))
	}
	if !b.do(t, id, "correct", spec.Fields{"event": e.event, "reason": "a reason"}, can) {
		return
	}
	for _, leg := range legs {
		leg.corrected = true
		b.models[leg.id].move(new(big.Int).Neg(leg.moved))
	}
	if e.other == nil {
		b.paidIn.Sub(b.paidIn, e.moved)
	}
}

func TestAccountsAgreeWithANaiveModel(t *testing.T) {
	faulttable.Covers(t, "F43", faulttable.Memory)
	amounts := rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, most), rapid.SampledFrom([]int64{1, most - 1, most}))
	limits := rapid.OneOf(rapid.Int64Range(0, 20), rapid.SampledFrom([]int64{0, most - 1, most}))
	currencies := rapid.SampledFrom([]string{"EUR", "EUR", "EUR", "USD"})
	rapid.Check(t, func(t *rapid.T) {
		history, err := spec.NewHistory(module)
		if err != nil {
			t.Fatal(err)
		}
		b := &book{history: history, models: map[string]*model{}, paidIn: new(big.Int)}
		for _, id := range ids {
			b.models[id] = &model{balance: new(big.Int), limit: new(big.Int)}
		}
		one := func(t *rapid.T) (string, *model) {
			id := rapid.SampledFrom(ids).Draw(t, "account")
			return id, b.models[id]
		}
		amount := func(t *rapid.T) (int64, *big.Int) {
			n := amounts.Draw(t, "amount")
			return n, big.NewInt(n)
		}
		because := spec.Fields{"reason": "a reason"}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				id, m := one(t)
				currency, limit := currencies.Draw(t, "currency"), limits.Draw(t, "limit")
				if b.do(t, id, "create", spec.Fields{"owner": "Ada", "currency": currency, "overdraftLimit": limit}, !m.exists) {
					m.exists, m.currency = true, currency
					m.limit.SetInt64(limit)
				}
			},
			"deposit": func(t *rapid.T) {
				id, m := one(t)
				n, sum := amount(t)
				if b.do(t, id, "deposit", spec.Fields{"amount": n}, m.canTake(sum)) {
					m.move(sum)
					b.paidIn.Add(b.paidIn, sum)
					b.note(id, sum, 0)
				}
			},
			"withdraw": func(t *rapid.T) {
				id, m := one(t)
				n, sum := amount(t)
				if b.do(t, id, "withdraw", spec.Fields{"amount": n}, m.canPay(sum)) {
					m.move(new(big.Int).Neg(sum))
					b.paidIn.Sub(b.paidIn, sum)
					b.note(id, new(big.Int).Neg(sum), 0)
				}
			},
			"transfer": func(t *rapid.T) {
				id, from := one(t)
				other, to := one(t)
				n, sum := amount(t)
				can := id != other && from.canPay(sum) && to.canTake(sum) && from.currency == to.currency
				if b.do(t, id, "transfer", spec.Fields{"to": other, "amount": n}, can) {
					from.move(new(big.Int).Neg(sum))
					to.move(sum)
					out, in := b.note(id, new(big.Int).Neg(sum), 1), b.note(other, sum, 0)
					out.other, in.other = in, out
				}
			},
			"correct": b.correct,
			"set-overdraft-limit": func(t *rapid.T) {
				id, m := one(t)
				limit := limits.Draw(t, "limit")
				covers := new(big.Int).Add(m.balance, big.NewInt(limit)).Sign() >= 0
				if b.do(t, id, "set-overdraft-limit", spec.Fields{"limit": limit}, m.live() && covers) {
					m.limit.SetInt64(limit)
				}
			},
			"freeze": func(t *rapid.T) {
				id, m := one(t)
				m.frozen = b.do(t, id, "freeze", because, m.live() && !m.frozen) || m.frozen
			},
			"unfreeze": func(t *rapid.T) {
				id, m := one(t)
				m.frozen = !b.do(t, id, "unfreeze", because, m.live() && m.frozen) && m.frozen
			},
			"close": func(t *rapid.T) {
				id, m := one(t)
				m.closed = b.do(t, id, "close", because, m.live() && m.balance.Sign() == 0) || m.closed
			},
			"": b.holds,
		})
	})
}

// holds is what is true after every command, whatever it was.
func (b *book) holds(t *rapid.T) {
	total := new(big.Int)
	for id, m := range b.models {
		a, _ := b.history.State(id).(account.Account)
		if a.Balance != m.balance.Int64() || !m.balance.IsInt64() || a.OverdraftLimit != m.limit.Int64() {
			t.Fatalf("%s has %d and the limit %d, the model %s and %s", id, a.Balance, a.OverdraftLimit, m.balance, m.limit)
		}
		if a.Balance < -a.OverdraftLimit || a.Balance > most {
			t.Fatalf("%s has %d, outside of -%d and 2^53-1", id, a.Balance, a.OverdraftLimit)
		}
		total.Add(total, m.balance)
	}
	if total.Cmp(b.paidIn) != 0 {
		t.Fatalf("all balances are %s, paid in were %s: transfers do not sum to zero", total, b.paidIn)
	}
}

func TestApplyTakesEventsInAnyOrder(t *testing.T) {
	n := rapid.Int64Range(1, most)
	events := rapid.OneOf(
		rapid.Map(n, deposited), rapid.Map(n, withdrawn), rapid.Map(n, limited),
		rapid.Map(n, func(n int64) es.Event {
			return account.MoneyTransferredIn{TransferID: "trf-1", From: "acc-2", Amount: n}
		}),
		rapid.Map(n, func(n int64) es.Event {
			return account.MoneyTransferredOut{TransferID: "trf-1", To: "acc-2", Amount: n}
		}),
		rapid.Map(n, func(n int64) es.Event { return corrected("evt-1", -n) }),
		rapid.SampledFrom([]es.Event{created, frozen, unfrozen, closed, account.EntryCorrected{Corrects: "no event", Amount: 1, Reason: "none"}}),
	)
	rapid.Check(t, func(t *rapid.T) {
		history, err := spec.NewHistory(module)
		if err != nil {
			t.Fatal(err)
		}
		var moved int64
		for _, e := range rapid.SliceOf(events).Draw(t, "events") {
			change, _ := module.Ledger.Amount(e)
			moved += change
			if err := history.Append("acc-1", e); err != nil {
				t.Fatalf("%s: %v", e.EventType(), err)
			}
		}
		if got := module.Ledger.Balance(history.State("acc-1")); got != moved {
			t.Fatalf("the balance is %d, the events moved %d", got, moved)
		}
	})
}
