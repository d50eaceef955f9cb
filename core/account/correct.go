package account

import "daybook/core/es"

// decideCorrect takes an entry back by one that moves as much the other way. Both legs of a transfer are taken back, or neither;
// either account may ask for it.
func decideCorrect(d decision, c *correct) ([]es.Emitted, error) {
	a, err := takes(d, 0)
	if err != nil {
		return nil, err
	}
	entry := d.Referred
	change, err := correctable(a, entry)
	if err != nil {
		return nil, err
	}
	if change > 0 {
		err = pays(d, change)
	} else {
		err = receives(d, -change)
	}
	if err != nil {
		return nil, err
	}
	other, transferred := otherLeg(entry)
	here := EntryCorrected{c.Event, -change, other.transferID, c.Reason, c.Note}
	if !transferred {
		return es.Emit(here), nil
	}
	if err := followsBack(d, change); err != nil {
		return nil, err
	}
	there := EntryCorrected{other.event.EventID(), change, other.transferID, c.Reason, c.Note}
	return []es.Emitted{{Stream: 0, Event: here}, {Stream: 1, Event: there}}, nil
}

// correctable gives by how much an entry moved the balance, if it may be taken back.
func correctable(a Account, entry *es.Referred) (change int64, err error) {
	if entry == nil {
		return 0, ErrNoEvent
	}
	change, moved := amount(entry.Event)
	_, final := entry.Event.(EntryCorrected)
	switch {
	case final:
		return 0, ErrCorrectionIsFinal
	case !moved:
		return 0, ErrNotAnEntry.Say("%s is %s: only an entry that moved the balance can be corrected.", entry.Position.EventID(), entry.Type)
	case a.Corrected.Has(entry.Position):
		return 0, ErrAlreadyCorrected
	}
	return change, nil
}

// leg is the other side of a transfer.
type leg struct {
	account    string
	transferID string
	event      es.Position
}

// otherLeg finds the other leg of the transfer that an event is one leg of. One decision wrote both, the paying one first, and
// what one decision writes has positions without a gap.
func otherLeg(r *es.Referred) (leg, bool) {
	switch e := r.Event.(type) {
	case MoneyTransferredOut:
		return leg{e.To, e.TransferID, r.Position + 1}, true
	case MoneyTransferredIn:
		return leg{e.From, e.TransferID, r.Position - 1}, true
	}
	return leg{}, false
}

// counterparty names the other account whose balance the correction of an entry moves.
func counterparty(r *es.Referred) []string {
	if other, ok := otherLeg(r); ok {
		return []string{other.account}
	}
	return nil
}

// followsBack checks that the balance of a transfer's other account may be moved by change.
func followsBack(d decision, change int64) error {
	other := d.State(1)
	switch {
	case !d.Exists(1):
		return ErrUnknownCounterparty.Say("The other account of the transfer does not exist.")
	case other.Status == Closed:
		return ErrCounterpartyClosed.Say("The other account of the transfer is closed.")
	case change > 0 && other.Balance > es.MaxAmount-change:
		return ErrBalanceLimit.Say("The balance of the other account would pass 9007199254740991 (2^53-1).").With("requested", change)
	case change < 0 && other.Status == Frozen:
		return ErrFrozen.Say("The other account of the transfer is frozen: it takes money but pays none.")
	case change < 0 && other.Balance < -change-other.OverdraftLimit: // no overflow: both are within ±(2^53-1)
		return ErrInsufficientFunds.Say("The balance and the overdraft limit of the other account do not cover this amount.").With("requested", -change)
	}
	return nil
}
