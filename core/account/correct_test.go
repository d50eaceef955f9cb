package account_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/test/spec"
)

func correct(event string) spec.Action {
	return spec.Command("correct", "acc-1", spec.Fields{"event": event, "reason": "a mistake"})
}

func corrected(event string, amount int64) es.Event {
	return account.EntryCorrected{Corrects: event, Amount: amount, Reason: "a mistake"}
}

// reversed is both legs of a transfer between acc-1 and acc-2 taken back: own is the event of acc-1.
func reversed(own, other, transfer string, amount int64) spec.Streams {
	return account1(account.EntryCorrected{Corrects: own, Amount: amount, TransferID: transfer, Reason: "a mistake"}).
		And("acc-2", account.EntryCorrected{Corrects: other, Amount: -amount, TransferID: transfer, Reason: "a mistake"})
}

func corrections() []sentence {
	paid := account1(created, deposited(100)) // evt-1 and evt-2
	sent := spec.Stream("acc-2", created).And("acc-1", created, deposited(100)).
		And("acc-1", account.MoneyTransferredOut{TransferID: "trf-4", To: "acc-2", Amount: 60}).
		And("acc-2", account.MoneyTransferredIn{TransferID: "trf-4", From: "acc-1", Amount: 60}) // evt-4 and evt-5
	got := account1(created).And("acc-2", created, deposited(100)).
		And("acc-2", account.MoneyTransferredOut{TransferID: "trf-4", To: "acc-1", Amount: 60}).
		And("acc-1", account.MoneyTransferredIn{TransferID: "trf-4", From: "acc-2", Amount: 60})
	full := spec.Stream("acc-2", created, deposited(60)).And("acc-1", created).
		And("acc-2", account.MoneyTransferredOut{TransferID: "trf-4", To: "acc-1", Amount: 60}).
		And("acc-1", account.MoneyTransferredIn{TransferID: "trf-4", From: "acc-2", Amount: 60}).
		And("acc-2", deposited(most))
	return []sentence{
		{"a deposit is taken back", spec.Case{Given: paid, When: correct("evt-2"), Then: account1(corrected("evt-2", -100))}},
		{"a withdrawal is given back", spec.Case{Given: paid.And("acc-1", withdrawn(30)), When: correct("evt-3"), Then: account1(corrected("evt-3", 30))}},
		{"a correction carries the note", spec.Case{Given: paid,
			When: spec.Command("correct", "acc-1", spec.Fields{"event": "evt-2", "reason": "typo", "reference": "R-1", "description": "see R-1"}),
			Then: account1(account.EntryCorrected{Corrects: "evt-2", Amount: -100, Reason: "typo", Note: es.Note{Reference: "R-1", Description: "see R-1"}})}},
		{"an entry that is not the last one is corrected", spec.Case{Given: paid.And("acc-1", deposited(5), withdrawn(5)), When: correct("evt-2"),
			Then: account1(corrected("evt-2", -100))}},
		{"an unknown account has no entry to correct", spec.Case{When: correct("evt-1"), Fails: account.ErrNotFound}},
		{"an event that was never written cannot be corrected", spec.Case{Given: paid, When: correct("evt-3"), Fails: account.ErrNoEvent}},
		{"an event of another account cannot be corrected", spec.Case{Given: paid.And("acc-2", created, deposited(1)), When: correct("evt-4"), Fails: account.ErrNoEvent}},
		{"an event that moved no money cannot be corrected", spec.Case{Given: paid, When: correct("evt-1"), Fails: account.ErrNotAnEntry}},
		{"an entry is corrected once", spec.Case{Given: paid.And("acc-1", corrected("evt-2", -100)), When: correct("evt-2"), Fails: account.ErrAlreadyCorrected}},
		{"a correction is not corrected", spec.Case{Given: paid.And("acc-1", corrected("evt-2", -100)), When: correct("evt-3"), Fails: account.ErrCorrectionIsFinal}},
		{"another entry of the same amount can still be corrected", spec.Case{
			Given: paid.And("acc-1", deposited(100), corrected("evt-2", -100)), When: correct("evt-3"), Then: account1(corrected("evt-3", -100))}},
		{"a deposit that was spent is not taken back", spec.Case{Given: paid.And("acc-1", withdrawn(1)), When: correct("evt-2"), Fails: insufficient(99, 0, 100)}},
		{"a deposit that was spent is taken back from the overdraft", spec.Case{
			Given: paid.And("acc-1", limited(1), withdrawn(1)), When: correct("evt-2"), Then: account1(corrected("evt-2", -100))}},
		{"a deposit is not taken back from a frozen account", spec.Case{Given: paid.And("acc-1", frozen), When: correct("evt-2"), Fails: account.ErrFrozen}},
		{"a withdrawal is given back to a frozen account", spec.Case{
			Given: paid.And("acc-1", withdrawn(30), frozen), When: correct("evt-3"), Then: account1(corrected("evt-3", 30))}},
		{"an entry of a closed account is not corrected", spec.Case{
			Given: paid.And("acc-1", withdrawn(100), closed), When: correct("evt-3"), Fails: account.ErrClosed}},
		{"a withdrawal is not given back past 2^53-1", spec.Case{
			Given: paid.And("acc-1", withdrawn(100), deposited(most-99)), When: correct("evt-3"), Fails: account.ErrBalanceLimit}},

		{"both legs of a transfer are taken back by who paid it", spec.Case{Given: sent, When: correct("evt-4"), Then: reversed("evt-4", "evt-5", "trf-4", 60)}},
		{"both legs of a transfer are taken back by who got it", spec.Case{Given: got, When: correct("evt-5"), Then: reversed("evt-5", "evt-4", "trf-4", -60)}},
		{"the other leg cannot be corrected by itself afterwards", spec.Case{
			Given: got.And("acc-2", account.EntryCorrected{Corrects: "evt-4", Amount: 60, TransferID: "trf-4", Reason: "a mistake"}).
				And("acc-1", account.EntryCorrected{Corrects: "evt-5", Amount: -60, TransferID: "trf-4", Reason: "a mistake"}),
			When: correct("evt-5"), Fails: account.ErrAlreadyCorrected}},
		{"the leg of another account is not corrected here", spec.Case{Given: sent, When: correct("evt-5"), Fails: account.ErrNoEvent}},
		{"money that the other account has spent is not taken back from it", spec.Case{Given: sent.And("acc-2", withdrawn(1)), When: correct("evt-4"),
			Fails: account.ErrInsufficientFunds.With("requested", 60)}},
		{"money that the other account has spent is taken back from its overdraft", spec.Case{
			Given: sent.And("acc-2", limited(1), withdrawn(1)), When: correct("evt-4"), Then: reversed("evt-4", "evt-5", "trf-4", 60)}},
		{"money is not taken back from a frozen other account", spec.Case{Given: sent.And("acc-2", frozen), When: correct("evt-4"), Fails: account.ErrFrozen}},
		{"money is given back to a frozen other account", spec.Case{Given: got.And("acc-2", frozen), When: correct("evt-5"),
			Then: reversed("evt-5", "evt-4", "trf-4", -60)}},
		{"money that was got and spent is not given back", spec.Case{Given: got.And("acc-1", withdrawn(1)), When: correct("evt-5"), Fails: insufficient(59, 0, 60)}},
		{"a transfer with an account that is closed by now is not corrected", spec.Case{
			Given: sent.And("acc-2", withdrawn(60), closed), When: correct("evt-4"), Fails: account.ErrCounterpartyClosed}},
		{"money is not given back past 2^53-1", spec.Case{Given: full, When: correct("evt-5"), Fails: account.ErrBalanceLimit.With("requested", 60)}},
	}
}

func TestPositionsAreASetThatIsAValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set account.Positions
		var all []es.Position
		before := []account.Positions{set}
		for _, n := range rapid.SliceOf(rapid.Uint64Range(1, 300)).Draw(t, "positions") {
			set = set.With(es.Position(n))
			all = append(all, es.Position(n))
			before = append(before, set)
		}
		for count, set := range before { // each is as it was, whatever was added to it later
			for p := range es.Position(301) {
				if got, want := set.Has(p), slices.Contains(all[:count], p); got != want {
					t.Fatalf("after %v: has %d is %v", all[:count], p, got)
				}
			}
			if len(set) > 8 { // 2^8 is more than were added
				t.Fatalf("%d positions are kept in %d runs", count, len(set))
			}
		}
	})
}
