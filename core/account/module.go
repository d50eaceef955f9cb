package account

import (
	"time"

	"daybook/core/access"
	"daybook/core/es"
)

// Module declares the account module. currency says what is wrong with a currency code; "" means that it is known.
func Module(currency func(code string) (problem string)) es.Module {
	return es.Module{
		Name: "accounts", Noun: "account",
		Commands: commands(currency),
		Events:   events,
		View:     view,
		Refusals: refusals,
		Ledger: &es.Ledger{
			Balance:  func(state any) int64 { a, _ := state.(Account); return a.Balance },
			Currency: func(state any) string { a, _ := state.(Account); return a.Currency },
			Amount:   amount,
		},
		Apply:  es.Applying(apply),
		State:  state(),
		Owners: func(state any) (string, []string) { a, _ := state.(Account); return a.Owner, a.Holders },
	}
}

func commands(currency func(string) string) []es.CommandType {
	return []es.CommandType{
		es.Rule("create", "Create an account.", decideCreate,
			es.StringField("owner", es.KindText, "Whose account it is: the subject of a principal, who may use it; or any other name.", func(c *create) *string { return &c.Owner }),
			es.StringField("ownerName", es.KindText, "The owner's name, for people; what owner says when missing.", func(c *create) *string { return &c.OwnerName }).Optional(),
			es.StringField("currency", es.KindCurrency, "ISO 4217 code, or a unit of the configuration.", func(c *create) *string { return &c.Currency }).Checked(currency),
			es.IntField("overdraftLimit", es.KindLimit, "How far below zero the balance may go; 0 when missing.", func(c *create) *int64 { return &c.OverdraftLimit }).Optional().For(access.Govern),
		).For(access.Create).Emits("AccountCreated"),
		es.Rule("deposit", "Pay money in.", decideDeposit,
			paid(func(c *deposit) *int64 { return &c.Amount }),
		).For(access.PayIn).Emits("MoneyDeposited"),
		es.Rule("withdraw", "Pay money out.", decideWithdraw,
			paid(func(c *withdraw) *int64 { return &c.Amount }),
		).For(access.Use).Emits("MoneyWithdrawn"),
		es.Naming(es.Rule("transfer", "Pay money to another account: both legs are written, or neither.", decideTransfer,
			es.StringField("to", es.KindID, "The account that receives it.", func(c *transfer) *string { return &c.To }),
			paid(func(c *transfer) *int64 { return &c.Amount }),
		).For(access.Use).Emits("MoneyTransferredOut", "MoneyTransferredIn"), func(c *transfer) []string { return []string{c.To} }),
		es.Referring(es.Rule("correct", "Take an earlier entry back, once: what it moved is moved the other way, of a transfer on both accounts.", decideCorrect,
			es.StringField("event", es.KindID, "The id of the entry's event, such as evt-17.", func(c *correct) *string { return &c.Event }).Checked(eventID),
			reason(func(c *correct) *string { return &c.Reason }),
		).For(access.Govern).Emits("EntryCorrected"), func(c *correct) string { return c.Event }, counterparty),
		es.Rule("set-overdraft-limit", "Set how far below zero the balance may go.", decideSetOverdraftLimit,
			es.IntField("limit", es.KindLimit, "The new limit, in minor units.", func(c *setOverdraftLimit) *int64 { return &c.Limit }),
		).For(access.Govern).Emits("OverdraftLimitSet"),
		es.Rule("freeze", "Stop all paying out.", decideFreeze,
			reason(func(c *freeze) *string { return &c.Reason }),
		).For(access.Govern).Emits("AccountFrozen"),
		es.Rule("unfreeze", "End a freeze.", decideUnfreeze,
			reason(func(c *unfreeze) *string { return &c.Reason }),
		).For(access.Govern).Emits("AccountUnfrozen"),
		es.Rule("close", "Close the account, for ever.", decideClose,
			reason(func(c *closing) *string { return &c.Reason }),
		).For(access.Use).Emits("AccountClosed"),
		es.Rule("add-holder", "Let somebody use the account beside its owner.", decideAddHolder,
			holder(func(c *addHolder) *string { return &c.Holder }),
		).For(access.Entrust).Emits("HolderAdded"),
		es.Rule("remove-holder", "Take that back.", decideRemoveHolder,
			holder(func(c *removeHolder) *string { return &c.Holder }),
		).For(access.Entrust).Emits("HolderRemoved"),
	}
}

var events = []es.EventType{
	es.EventOf("The account came into being.",
		es.StringField("owner", es.KindText, "Whose account it is.", func(e *AccountCreated) *string { return &e.Owner }),
		es.StringField("ownerName", es.KindText, "The owner's name, for people; since schema 2.", func(e *AccountCreated) *string { return &e.OwnerName }),
		es.StringField("currency", es.KindCurrency, "What its amounts are counted in.", func(e *AccountCreated) *string { return &e.Currency }),
		es.IntField("overdraftLimit", es.KindLimit, "How far below zero the balance may go.", func(e *AccountCreated) *int64 { return &e.OverdraftLimit }),
	).Upcast(es.CopyMember("owner", "ownerName")),
	es.EventOf("Money was paid in.", paid(func(e *MoneyDeposited) *int64 { return &e.Amount })),
	es.EventOf("Money was paid out.", paid(func(e *MoneyWithdrawn) *int64 { return &e.Amount })),
	es.EventOf("Money was paid to another account.",
		transferID(func(e *MoneyTransferredOut) *string { return &e.TransferID }),
		es.StringField("to", es.KindID, "The account that received it.", func(e *MoneyTransferredOut) *string { return &e.To }),
		paid(func(e *MoneyTransferredOut) *int64 { return &e.Amount }),
	),
	es.EventOf("Money came from another account.",
		transferID(func(e *MoneyTransferredIn) *string { return &e.TransferID }),
		es.StringField("from", es.KindID, "The account that paid it.", func(e *MoneyTransferredIn) *string { return &e.From }),
		paid(func(e *MoneyTransferredIn) *int64 { return &e.Amount }),
	),
	es.EventOf("An earlier entry was taken back.",
		es.StringField("corrects", es.KindID, "The event id of the entry.", func(e *EntryCorrected) *string { return &e.Corrects }),
		es.IntField("amount", es.KindBalance, "By how much it moves the balance, in minor units: the entry's amount with the other sign.", func(e *EntryCorrected) *int64 { return &e.Amount }),
		transferID(func(e *EntryCorrected) *string { return &e.TransferID }).Optional(),
		reason(func(e *EntryCorrected) *string { return &e.Reason }),
	),
	es.EventOf("The overdraft limit was set.",
		es.IntField("limit", es.KindLimit, "How far below zero the balance may go.", func(e *OverdraftLimitSet) *int64 { return &e.Limit }),
	),
	es.EventOf("All paying out was stopped.", reason(func(e *AccountFrozen) *string { return &e.Reason })),
	es.EventOf("A freeze ended.", reason(func(e *AccountUnfrozen) *string { return &e.Reason })),
	es.EventOf("The account was closed.", reason(func(e *AccountClosed) *string { return &e.Reason })),
	es.EventOf("Somebody may use the account beside its owner.", holder(func(e *HolderAdded) *string { return &e.Holder })),
	es.EventOf("Somebody may no longer use the account.", holder(func(e *HolderRemoved) *string { return &e.Holder })),
}

func paid[T any](at func(*T) *int64) es.Field[T] {
	return es.IntField("amount", es.KindAmount, "How much, in minor units.", at)
}

func reason[T any](at func(*T) *string) es.Field[T] {
	return es.StringField("reason", es.KindText, "Why, for people.", at)
}

func holder[T any](at func(*T) *string) es.Field[T] {
	return es.StringField("holder", es.KindText, "Who: the subject of a principal, as in owner.", at)
}

func eventID(id string) (problem string) {
	if _, err := es.ParseEventID(id); err != nil {
		return "must be the id of an event, like evt-17"
	}
	return ""
}

func transferID[T any](at func(*T) *string) es.Field[T] {
	return es.StringField("transferId", es.KindText, "What both legs of the transfer share.", at)
}

var view = es.View{
	Fields: []es.ViewField{
		{Spec: es.Spec{Name: "id", Kind: es.KindID, Doc: "The id the client chose."}, Sorted: true, Search: true},
		{Spec: es.Spec{Name: "owner", Kind: es.KindText, Doc: "Whose account it is."}, Lookup: es.Equal, Search: true},
		{Spec: es.Spec{Name: "ownerName", Kind: es.KindText, Doc: "The owner's name, for people."}},
		{Spec: es.Spec{Name: "currency", Kind: es.KindCurrency, Doc: "What its amounts are counted in."}, Lookup: es.Equal},
		{Spec: es.Spec{Name: "status", Kind: es.KindWord, Words: []string{Open, Frozen, Closed}, Doc: "What it may do."}, Lookup: es.Equal},
		{Spec: es.Spec{Name: "balance", Kind: es.KindBalance, Doc: "In minor units."}, Lookup: es.Between, Sorted: true},
		{Spec: es.Spec{Name: "overdraftLimit", Kind: es.KindLimit, Doc: "How far below zero the balance may go."}},
		{Spec: es.Spec{Name: "holders", Kind: es.KindTexts, Doc: "Who may use it beside the owner, in the order they were named."}},
		{Spec: es.Spec{Name: "version", Kind: es.KindNumber, Doc: "How many events it has."}},
		{Spec: es.Spec{Name: "position", Kind: es.KindNumber, Doc: "Of its last event."}},
		{Spec: es.Spec{Name: "createdAt", Kind: es.KindTime, Doc: "When its first event was recorded."}, Sorted: true},
		{Spec: es.Spec{Name: "updatedAt", Kind: es.KindTime, Doc: "When its last event was recorded."}},
	},
	Values: func(id string, f *es.Folded) []es.Value {
		a, _ := f.State.(Account)
		text := func(s string) es.Value { return es.Value{Str: s} }
		number := func(n int64) es.Value { return es.Value{Int: n} }
		moment := func(t time.Time) es.Value { return es.TimeValue(t) }
		return []es.Value{
			text(id), text(a.Owner), text(a.OwnerName), text(a.Currency), text(a.Status), number(a.Balance), number(a.OverdraftLimit), es.TextsValue(a.Holders),
			number(int64(f.Version)), number(int64(f.Position)), moment(f.CreatedAt), moment(f.UpdatedAt),
		}
	},
}
