package account

import (
	"cmp"

	"daybook/core/es"
	"daybook/core/fault"
)

// Refusals. Their codes are stable: clients switch on them.
var (
	ErrExists              = fault.New(fault.Conflict, "account_exists", "An account with this id exists already.")
	ErrNotFound            = fault.New(fault.NotFound, "account_not_found", "There is no account with this id.")
	ErrFrozen              = fault.New(fault.Rejected, "account_frozen", "The account is frozen: it takes money but pays none.")
	ErrClosed              = fault.New(fault.Rejected, "account_closed", "The account is closed.")
	ErrInsufficientFunds   = fault.New(fault.Rejected, "insufficient_funds", "The balance and the overdraft limit do not cover this amount.")
	ErrBalanceLimit        = fault.New(fault.Rejected, "balance_limit", "The balance would pass 9007199254740991 (2^53-1).")
	ErrUnknownCounterparty = fault.New(fault.Rejected, "unknown_counterparty", "There is no account to transfer to with this id.")
	ErrCounterpartyClosed  = fault.New(fault.Rejected, "counterparty_closed", "The account to transfer to is closed.")
	ErrCurrencyMismatch    = fault.New(fault.Rejected, "currency_mismatch", "The two accounts are not of one currency.")
	ErrSameAccount         = fault.New(fault.Rejected, "same_account", "An account cannot transfer to itself.")
	ErrNoEvent             = fault.New(fault.NotFound, "event_not_found", "The account has no event with this id.")
	ErrNotAnEntry          = fault.New(fault.Rejected, "not_an_entry", "Only an entry that moved the balance can be corrected.")
	ErrCorrectionIsFinal   = fault.New(fault.Rejected, "correction_is_final", "A correction cannot be corrected. Send the entry as it should be as a new command.")
	ErrAlreadyCorrected    = fault.New(fault.Rejected, "already_corrected", "The entry was corrected before.")
	ErrLimitBelowDebt      = fault.New(fault.Rejected, "limit_below_debt", "The account is overdrawn by more than this limit.")
	ErrAlreadyFrozen       = fault.New(fault.Rejected, "already_frozen", "The account is frozen already.")
	ErrNotFrozen           = fault.New(fault.Rejected, "not_frozen", "The account is not frozen.")
	ErrBalanceNotZero      = fault.New(fault.Rejected, "balance_not_zero", "Only an account with a balance of 0 can be closed.")
	ErrAlreadyHolder       = fault.New(fault.Rejected, "already_holder", "The account is theirs to use already.")
	ErrNotAHolder          = fault.New(fault.Rejected, "not_a_holder", "The account has no holder of this name.")
	ErrTooManyHolders      = fault.New(fault.Rejected, "too_many_holders", "An account has up to 100 holders.")
)

var refusals = []*fault.Fault{
	ErrExists, ErrNotFound, ErrFrozen, ErrClosed, ErrInsufficientFunds, ErrBalanceLimit, ErrUnknownCounterparty, ErrCounterpartyClosed,
	ErrCurrencyMismatch, ErrSameAccount, ErrNoEvent, ErrNotAnEntry, ErrCorrectionIsFinal, ErrAlreadyCorrected,
	ErrLimitBelowDebt, ErrAlreadyFrozen, ErrNotFrozen, ErrBalanceNotZero, ErrAlreadyHolder, ErrNotAHolder, ErrTooManyHolders,
}

// Commands.
type (
	create struct {
		Owner, OwnerName, Currency string
		OverdraftLimit             int64
		es.Common
	}
	deposit struct {
		Amount int64
		es.Common
	}
	withdraw struct {
		Amount int64
		es.Common
	}
	transfer struct {
		To     string
		Amount int64
		es.Common
	}
	correct struct {
		Event, Reason string
		es.Common
	}
	setOverdraftLimit struct {
		Limit int64
		es.Common
	}
	freeze struct {
		Reason string
		es.Common
	}
	unfreeze struct {
		Reason string
		es.Common
	}
	closing struct {
		Reason string
		es.Common
	}
	addHolder struct {
		Holder string
		es.Common
	}
	removeHolder struct {
		Holder string
		es.Common
	}
)

type decision = es.Decision[Account]

func decideCreate(d decision, c *create) ([]es.Emitted, error) {
	if d.Exists(0) {
		return nil, ErrExists
	}
	return es.Emit(AccountCreated{c.Owner, cmp.Or(c.OwnerName, c.Owner), c.Currency, c.OverdraftLimit, c.Note}), nil
}

func decideDeposit(d decision, c *deposit) ([]es.Emitted, error) {
	if err := receives(d, c.Amount); err != nil {
		return nil, err
	}
	return es.Emit(MoneyDeposited{c.Amount, c.Note}), nil
}

func decideWithdraw(d decision, c *withdraw) ([]es.Emitted, error) {
	if err := pays(d, c.Amount); err != nil {
		return nil, err
	}
	return es.Emit(MoneyWithdrawn{c.Amount, c.Note}), nil
}

// decideTransfer is one decision over both accounts: both legs are written, or neither.
func decideTransfer(d decision, c *transfer) ([]es.Emitted, error) {
	if d.Exists(0) && d.Streams[0] == d.Streams[1] {
		return nil, ErrSameAccount
	}
	if err := pays(d, c.Amount); err != nil {
		return nil, err
	}
	from, to := d.State(0), d.State(1)
	switch {
	case !d.Exists(1):
		return nil, ErrUnknownCounterparty
	case to.Status == Closed:
		return nil, es.About(1, ErrCounterpartyClosed)
	case from.Currency != to.Currency:
		return nil, ErrCurrencyMismatch.Say("The account is kept in %s and the other one in %s.", from.Currency, to.Currency)
	case to.Balance > es.MaxAmount-c.Amount:
		return nil, es.About(1, ErrBalanceLimit.Say("The balance of the other account would pass 9007199254740991 (2^53-1).").With("requested", c.Amount))
	}
	id := "trf-" + d.At.Position.EventID()[len("evt-"):]
	return []es.Emitted{
		{Stream: 0, Event: MoneyTransferredOut{id, c.To, c.Amount, c.Note}},
		{Stream: 1, Event: MoneyTransferredIn{id, string(d.Streams[0]), c.Amount, c.Note}},
	}, nil
}

func decideSetOverdraftLimit(d decision, c *setOverdraftLimit) ([]es.Emitted, error) {
	a, err := takes(d, 0)
	if err != nil {
		return nil, err
	}
	if a.Balance < -c.Limit {
		return nil, ErrLimitBelowDebt.With("balance", a.Balance).With("requested", c.Limit)
	}
	return es.Emit(OverdraftLimitSet{c.Limit, c.Note}), nil
}

func decideFreeze(d decision, c *freeze) ([]es.Emitted, error) {
	a, err := takes(d, 0)
	if err != nil {
		return nil, err
	}
	if a.Status == Frozen {
		return nil, ErrAlreadyFrozen
	}
	return es.Emit(AccountFrozen{c.Reason, c.Note}), nil
}

func decideUnfreeze(d decision, c *unfreeze) ([]es.Emitted, error) {
	a, err := takes(d, 0)
	if err != nil {
		return nil, err
	}
	if a.Status != Frozen {
		return nil, ErrNotFrozen
	}
	return es.Emit(AccountUnfrozen{c.Reason, c.Note}), nil
}

func decideClose(d decision, c *closing) ([]es.Emitted, error) {
	a, err := takes(d, 0)
	if err != nil {
		return nil, err
	}
	if a.Balance != 0 {
		return nil, ErrBalanceNotZero.With("balance", a.Balance)
	}
	return es.Emit(AccountClosed{c.Reason, c.Note}), nil
}

// takes gives account i, which must exist and not be closed.
func takes(d decision, i int) (Account, error) {
	a := d.State(i)
	switch {
	case !d.Exists(i):
		return a, ErrNotFound
	case a.Status == Closed:
		return a, ErrClosed
	}
	return a, nil
}

// receives checks that the account the command was sent to may take amount in.
func receives(d decision, amount int64) error {
	a, err := takes(d, 0)
	switch {
	case err != nil:
		return err
	case a.Balance > es.MaxAmount-amount:
		return ErrBalanceLimit.With("balance", a.Balance).With("requested", amount)
	}
	return nil
}

// pays checks that the account the command was sent to may pay out amount.
func pays(d decision, amount int64) error {
	a, err := takes(d, 0)
	switch {
	case err != nil:
		return err
	case a.Status == Frozen:
		return ErrFrozen
	case a.Balance < amount-a.OverdraftLimit: // no overflow: both are within ±(2^53-1)
		return ErrInsufficientFunds.With("balance", a.Balance).With("limit", a.OverdraftLimit).With("requested", amount)
	}
	return nil
}
