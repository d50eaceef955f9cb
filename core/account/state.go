package account

import "daybook/core/es"

// kept is an Account as snapshots keep it.
type kept struct {
	Owner, OwnerName, Currency, Status string
	Balance, OverdraftLimit            int64
	Corrected                          string
	Holders                            string // with line breaks between
}

// state says how snapshots keep an Account.
func state() es.StateType {
	return es.StateAs(1,
		func(a Account) kept {
			return kept{a.Owner, a.OwnerName, a.Currency, a.Status, a.Balance, a.OverdraftLimit, a.Corrected.text(), es.TextsValue(a.Holders).Str}
		},
		func(k kept) (Account, error) {
			corrected, err := parsePositions(k.Corrected)
			return Account{k.Owner, k.OwnerName, es.Value{Str: k.Holders}.Texts(), k.Currency, k.Status, k.Balance, k.OverdraftLimit, corrected}, err
		},
		es.StringField("owner", es.KindText, "Whose account it is.", func(k *kept) *string { return &k.Owner }),
		es.StringField("ownerName", es.KindText, "Whose account it is, for people.", func(k *kept) *string { return &k.OwnerName }),
		es.StringField("currency", es.KindCurrency, "What its amounts are counted in.", func(k *kept) *string { return &k.Currency }),
		es.StringField("status", es.KindWord, "What it may do.", func(k *kept) *string { return &k.Status }),
		es.IntField("balance", es.KindBalance, "In minor units.", func(k *kept) *int64 { return &k.Balance }),
		es.IntField("overdraftLimit", es.KindLimit, "How far below zero the balance may go.", func(k *kept) *int64 { return &k.OverdraftLimit }),
		es.StringField("corrected", es.KindWord, "Positions of the entries that were corrected.", func(k *kept) *string { return &k.Corrected }).Optional(),
		es.StringField("holders", es.KindWord, "Who may use it beside the owner.", func(k *kept) *string { return &k.Holders }).Optional(),
	)
}
