package account

import "daybook/core/es"

// state is an Account as snapshots keep it.
func state() es.StateType {
	return es.StateOf(1,
		es.StringField("owner", es.KindText, "Whose account it is.", func(a *Account) *string { return &a.Owner }),
		es.StringField("currency", es.KindCurrency, "What its amounts are counted in.", func(a *Account) *string { return &a.Currency }),
		es.StringField("status", es.KindWord, "What it may do.", func(a *Account) *string { return &a.Status }),
		es.IntField("balance", es.KindBalance, "In minor units.", func(a *Account) *int64 { return &a.Balance }),
		es.IntField("overdraftLimit", es.KindLimit, "How far below zero the balance may go.", func(a *Account) *int64 { return &a.OverdraftLimit }),
	)
}
