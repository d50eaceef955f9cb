package account_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/test/faulttable"
	"daybook/test/spec"
)

const most = es.MaxAmount // 2^53-1

var (
	module   = account.Module(func(string) string { return "" })
	created  = account.AccountCreated{Owner: "Ada", OwnerName: "Ada", Currency: "EUR"}
	frozen   = account.AccountFrozen{Reason: "under review"}
	unfrozen = account.AccountUnfrozen{Reason: "all clear"}
	closed   = account.AccountClosed{Reason: "moved away"}
)

func deposited(amount int64) es.Event { return account.MoneyDeposited{Amount: amount} }
func withdrawn(amount int64) es.Event { return account.MoneyWithdrawn{Amount: amount} }
func limited(limit int64) es.Event    { return account.OverdraftLimitSet{Limit: limit} }

// account1 is what happened to acc-1, the account that all commands are sent to.
func account1(events ...es.Event) spec.Streams { return spec.Stream("acc-1", events...) }

func transferred(from, to, id string, amount int64) spec.Streams {
	return spec.Stream(from, account.MoneyTransferredOut{TransferID: id, To: to, Amount: amount}).
		And(to, account.MoneyTransferredIn{TransferID: id, From: from, Amount: amount})
}

func create() spec.Action {
	return spec.Command("create", "acc-1", spec.Fields{"owner": "Ada", "currency": "EUR"})
}
func deposit(n int64) spec.Action {
	return spec.Command("deposit", "acc-1", spec.Fields{"amount": n})
}
func withdraw(n int64) spec.Action {
	return spec.Command("withdraw", "acc-1", spec.Fields{"amount": n})
}
func transfer(to string, n int64) spec.Action {
	return spec.Command("transfer", "acc-1", spec.Fields{"to": to, "amount": n})
}
func setLimit(n int64) spec.Action {
	return spec.Command("set-overdraft-limit", "acc-1", spec.Fields{"limit": n})
}
func freeze() spec.Action {
	return spec.Command("freeze", "acc-1", spec.Fields{"reason": frozen.Reason})
}
func unfreeze() spec.Action {
	return spec.Command("unfreeze", "acc-1", spec.Fields{"reason": unfrozen.Reason})
}
func closeIt() spec.Action {
	return spec.Command("close", "acc-1", spec.Fields{"reason": closed.Reason})
}

func insufficient(balance, limit, requested int64) *fault.Fault {
	return account.ErrInsufficientFunds.With("balance", balance).With("limit", limit).With("requested", requested)
}

type sentence struct {
	says string
	spec.Case
}

func TestAccount(t *testing.T) {
	tell(t, oneAccount())
}

func TestTransfer(t *testing.T) {
	tell(t, twoAccounts())
}

func TestCorrection(t *testing.T) {
	tell(t, corrections())
}

func tell(t *testing.T, sentences []sentence) {
	for _, s := range sentences {
		t.Run(s.says, func(t *testing.T) { spec.Run(t, module, s.Case) })
	}
}

func TestEveryRefusalHasItsSentence(t *testing.T) {
	for _, refusal := range module.Refusals {
		refused := func(s sentence) bool { return s.Fails != nil && s.Fails.Code == refusal.Code }
		if !slices.ContainsFunc(slices.Concat(oneAccount(), twoAccounts(), corrections(), holders()), refused) {
			t.Errorf("no sentence ends in %s", refusal.Code)
		}
	}
}

func oneAccount() []sentence {
	return []sentence{
		{"an account is created", spec.Case{When: create(), Then: account1(created)}},
		{"an account can be created with an overdraft limit", spec.Case{
			When: spec.Command("create", "acc-1", spec.Fields{"owner": "Ada", "currency": "EUR", "overdraftLimit": most}),
			Then: account1(account.AccountCreated{Owner: "Ada", OwnerName: "Ada", Currency: "EUR", OverdraftLimit: most})}},
		{"an account can be created with a reference to its owner and the owner's name", spec.Case{
			When: spec.Command("create", "acc-1", spec.Fields{"owner": "customer-7", "ownerName": "Ada", "currency": "EUR"}),
			Then: account1(account.AccountCreated{Owner: "customer-7", OwnerName: "Ada", Currency: "EUR"})}},
		{"an account is not created twice", spec.Case{Given: account1(created), When: create(), Fails: account.ErrExists}},
		{"a closed account is not created again", spec.Case{Given: account1(created, closed), When: create(), Fails: account.ErrExists}},
		{"a command's note goes into its event", spec.Case{Given: account1(created),
			When: spec.Command("deposit", "acc-1", spec.Fields{"amount": 5, "reference": "R-1", "description": "rent \"May\" ☀"}),
			Then: account1(account.MoneyDeposited{Amount: 5, Note: es.Note{Reference: "R-1", Description: "rent \"May\" ☀"}})}},

		{"a deposit is taken", spec.Case{Given: account1(created), When: deposit(1000), Then: account1(deposited(1000))}},
		{"a deposit to an unknown account is not found", spec.Case{When: deposit(1), Fails: account.ErrNotFound}},
		{"a deposit to a closed account is refused", spec.Case{Given: account1(created, closed), When: deposit(1), Fails: account.ErrClosed}},
		{"a deposit to a frozen account is taken", spec.Case{Given: account1(created, frozen), When: deposit(1), Then: account1(deposited(1))}},
		{"a deposit may fill the balance to 2^53-1", spec.Case{Given: account1(created, deposited(most-1)), When: deposit(1), Then: account1(deposited(1))}},
		{"a deposit of 2^53-1 is taken by an empty account", spec.Case{Given: account1(created), When: deposit(most), Then: account1(deposited(most))}},
		{"a deposit past 2^53-1 is refused with the figures", spec.Case{Given: account1(created, deposited(most)), When: deposit(1),
			Fails: account.ErrBalanceLimit.With("balance", most).With("requested", 1)}},
		{"the largest deposit on the largest balance is refused, not overflowed", spec.Case{
			Given: account1(created, deposited(most)), When: deposit(most), Fails: account.ErrBalanceLimit}},
		{"the largest deposit on the deepest debt leaves 0", spec.Case{
			Given: account1(created, limited(most), withdrawn(most)), When: deposit(most), Then: account1(deposited(most))}},

		{"a withdrawal is paid", spec.Case{Given: account1(created, deposited(1000)), When: withdraw(200), Then: account1(withdrawn(200))}},
		{"a withdrawal may empty the account", spec.Case{Given: account1(created, deposited(10)), When: withdraw(10), Then: account1(withdrawn(10))}},
		{"a withdrawal of one unit too many is refused with the figures", spec.Case{
			Given: account1(created, deposited(10)), When: withdraw(11), Fails: insufficient(10, 0, 11)}},
		{"a withdrawal may use the overdraft to its last unit", spec.Case{
			Given: account1(created, limited(5), deposited(10)), When: withdraw(15), Then: account1(withdrawn(15))}},
		{"a withdrawal past the overdraft limit is refused with the figures", spec.Case{
			Given: account1(created, limited(5), deposited(10)), When: withdraw(16), Fails: insufficient(10, 5, 16)}},
		{"the limit in force is the last one set", spec.Case{
			Given: account1(created, limited(50), limited(5)), When: withdraw(6), Fails: insufficient(0, 5, 6)}},
		{"the limit given at creation is in force", spec.Case{
			Given: account1(account.AccountCreated{Owner: "Ada", Currency: "EUR", OverdraftLimit: 7}), When: withdraw(8), Fails: insufficient(0, 7, 8)}},
		{"the deepest overdraft can be used to its last unit", spec.Case{
			Given: account1(created, limited(most)), When: withdraw(most), Then: account1(withdrawn(most))}},
		{"the largest withdrawal on the deepest debt is refused, not overflowed", spec.Case{
			Given: account1(created, limited(most), withdrawn(most)), When: withdraw(most), Fails: insufficient(-most, most, most)}},
		{"a withdrawal from an unknown account is not found", spec.Case{When: withdraw(1), Fails: account.ErrNotFound}},
		{"a withdrawal from a frozen account is refused", spec.Case{Given: account1(created, deposited(10), frozen), When: withdraw(1), Fails: account.ErrFrozen}},
		{"a withdrawal from a closed account is refused", spec.Case{Given: account1(created, closed), When: withdraw(1), Fails: account.ErrClosed}},
		{"an account that is unfrozen pays again", spec.Case{
			Given: account1(created, deposited(10), frozen, unfrozen), When: withdraw(1), Then: account1(withdrawn(1))}},

		{"an overdraft limit is set", spec.Case{Given: account1(created), When: setLimit(100), Then: account1(limited(100))}},
		{"an overdraft limit can be taken away", spec.Case{Given: account1(created, limited(100)), When: setLimit(0), Then: account1(limited(0))}},
		{"an overdraft limit may equal the debt", spec.Case{Given: account1(created, limited(9), withdrawn(7)), When: setLimit(7), Then: account1(limited(7))}},
		{"an overdraft limit below the debt is refused with the figures", spec.Case{Given: account1(created, limited(9), withdrawn(7)), When: setLimit(6),
			Fails: account.ErrLimitBelowDebt.With("balance", -7).With("requested", 6)}},
		{"an overdraft limit can be set on a frozen account", spec.Case{Given: account1(created, frozen), When: setLimit(1), Then: account1(limited(1))}},
		{"an overdraft limit of an unknown account is not found", spec.Case{When: setLimit(1), Fails: account.ErrNotFound}},
		{"an overdraft limit of a closed account is refused", spec.Case{Given: account1(created, closed), When: setLimit(1), Fails: account.ErrClosed}},

		{"an account is frozen", spec.Case{Given: account1(created), When: freeze(), Then: account1(frozen)}},
		{"a frozen account is not frozen again", spec.Case{Given: account1(created, frozen), When: freeze(), Fails: account.ErrAlreadyFrozen}},
		{"an unknown account cannot be frozen", spec.Case{When: freeze(), Fails: account.ErrNotFound}},
		{"a closed account cannot be frozen", spec.Case{Given: account1(created, closed), When: freeze(), Fails: account.ErrClosed}},
		{"an account can be frozen a second time", spec.Case{Given: account1(created, frozen, unfrozen), When: freeze(), Then: account1(frozen)}},
		{"a frozen account is unfrozen", spec.Case{Given: account1(created, frozen), When: unfreeze(), Then: account1(unfrozen)}},
		{"an open account cannot be unfrozen", spec.Case{Given: account1(created), When: unfreeze(), Fails: account.ErrNotFrozen}},
		{"an unknown account cannot be unfrozen", spec.Case{When: unfreeze(), Fails: account.ErrNotFound}},
		{"a closed account cannot be unfrozen", spec.Case{Given: account1(created, frozen, closed), When: unfreeze(), Fails: account.ErrClosed}},

		{"an empty account is closed", spec.Case{Given: account1(created, deposited(3), withdrawn(3)), When: closeIt(), Then: account1(closed)}},
		{"a frozen account is closed when it is empty", spec.Case{Given: account1(created, frozen), When: closeIt(), Then: account1(closed)}},
		{"an account with money is not closed", spec.Case{Given: account1(created, deposited(1)), When: closeIt(),
			Fails: account.ErrBalanceNotZero.With("balance", 1)}},
		{"an account with a debt is not closed", spec.Case{Given: account1(created, limited(1), withdrawn(1)), When: closeIt(),
			Fails: account.ErrBalanceNotZero.With("balance", -1)}},
		{"an unknown account cannot be closed", spec.Case{When: closeIt(), Fails: account.ErrNotFound}},
		{"a closed account cannot be closed again", spec.Case{Given: account1(created, closed), When: closeIt(), Fails: account.ErrClosed}},
	}
}

func twoAccounts() []sentence {
	rich := account1(created, deposited(100))
	both := rich.And("acc-2", created)
	return []sentence{
		{"both legs are written under one transfer id", spec.Case{Given: both, When: transfer("acc-2", 30),
			Then: transferred("acc-1", "acc-2", "trf-4", 30)}},
		{"both legs carry the note", spec.Case{Given: both,
			When: spec.Command("transfer", "acc-1", spec.Fields{"to": "acc-2", "amount": 1, "reference": "R-1"}),
			Then: account1(account.MoneyTransferredOut{TransferID: "trf-4", To: "acc-2", Amount: 1, Note: es.Note{Reference: "R-1"}}).
				And("acc-2", account.MoneyTransferredIn{TransferID: "trf-4", From: "acc-1", Amount: 1, Note: es.Note{Reference: "R-1"}})}},
		{"the whole balance can be transferred", spec.Case{Given: both, When: transfer("acc-2", 100),
			Then: transferred("acc-1", "acc-2", "trf-4", 100)}},
		{"a transfer may use the overdraft to its last unit", spec.Case{
			Given: account1(created, limited(20)).And("acc-2", created), When: transfer("acc-2", 20),
			Then: transferred("acc-1", "acc-2", "trf-4", 20)}},
		{"a transfer of one unit too many is refused with the figures", spec.Case{Given: both, When: transfer("acc-2", 101),
			Fails: insufficient(100, 0, 101)}},
		{"a transfer from an unknown account is not found", spec.Case{Given: spec.Stream("acc-2", created), When: transfer("acc-2", 1), Fails: account.ErrNotFound}},
		{"a transfer from an unknown account to itself is not found", spec.Case{When: transfer("acc-1", 1), Fails: account.ErrNotFound}},
		{"a transfer from a frozen account is refused", spec.Case{
			Given: account1(created, deposited(9), frozen).And("acc-2", created), When: transfer("acc-2", 1), Fails: account.ErrFrozen}},
		{"a transfer from a closed account is refused", spec.Case{
			Given: account1(created, closed).And("acc-2", created), When: transfer("acc-2", 1), Fails: account.ErrClosed}},
		{"a transfer to the account itself is refused", spec.Case{Given: rich, When: transfer("acc-1", 1), Fails: account.ErrSameAccount}},
		{"a transfer to an unknown account is refused", spec.Case{Given: rich, When: transfer("acc-2", 1), Fails: account.ErrUnknownCounterparty}},
		{"a transfer to a closed account is refused", spec.Case{
			Given: rich.And("acc-2", created, closed), When: transfer("acc-2", 1), Fails: account.ErrCounterpartyClosed}},
		{"a transfer to a frozen account is paid", spec.Case{Given: rich.And("acc-2", created, frozen), When: transfer("acc-2", 1),
			Then: transferred("acc-1", "acc-2", "trf-5", 1)}},
		{"a transfer to an account of another currency is refused", spec.Case{
			Given: rich.And("acc-2", account.AccountCreated{Owner: "Bob", Currency: "USD"}), When: transfer("acc-2", 1), Fails: account.ErrCurrencyMismatch}},
		{"a transfer may fill the other balance to 2^53-1", spec.Case{Given: rich.And("acc-2", created, deposited(most-5)), When: transfer("acc-2", 5),
			Then: transferred("acc-1", "acc-2", "trf-5", 5)}},
		{"a transfer past 2^53-1 is refused and neither leg is written", spec.Case{
			Given: rich.And("acc-2", created, deposited(most-5)), When: transfer("acc-2", 6), Fails: account.ErrBalanceLimit}},
		{"a transfer moves the deepest overdraft into an account as deep in debt", spec.Case{
			Given: account1(created, limited(most)).And("acc-2", created, limited(most), withdrawn(most)), When: transfer("acc-2", most),
			Then: transferred("acc-1", "acc-2", "trf-6", most)}},
	}
}

func TestModule(t *testing.T) { spec.Declared(t, module) }

func TestCurrencyIsCheckedByTheFunctionTheModuleIsGiven(t *testing.T) {
	m := account.Module(func(code string) string {
		if code == "KWH" {
			return ""
		}
		return "must be KWH"
	})
	create := m.Command("create")
	for i := range create.Fields {
		if f := &create.Fields[i]; f.Kind == es.KindCurrency && (f.CheckString("KWH") != "" || f.CheckString("EUR") != "must be KWH") {
			t.Errorf("%s: KWH gives %q, EUR gives %q", f.Name, f.CheckString("KWH"), f.CheckString("EUR"))
		}
	}
}

func TestAnAccountCreatedBeforeOwnersHadNamesIsReadWithItsOwnerAsTheName(t *testing.T) {
	registry, err := es.NewRegistry(module)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		owner := rapid.OneOf(rapid.String(), rapid.Just(`"ownerName":"x"}`), rapid.Just(`\",}`)).Draw(t, "owner")
		note := es.Note{Reference: rapid.String().Draw(t, "reference")}
		data := append(es.AppendString([]byte(`{"owner":`), owner), `,"currency":"EUR","overdraftLimit":7`...)
		if note.Reference != "" {
			data = es.AppendString(append(data, `,"reference":`...), note.Reference)
		}
		data = append(data, '}')
		stored := string(data)
		got, err := registry.Decode(&es.Recorded{Type: "AccountCreated", Schema: 1, Position: 1, Data: data})
		want := account.AccountCreated{Owner: owner, OwnerName: owner, Currency: "EUR", OverdraftLimit: 7, Note: note}
		if err != nil || got != want || string(data) != stored {
			t.Fatalf("%s is read as %+v, %v", stored, got, err)
		}
	})
}

func TestStoredEventsKeepTheirForm(t *testing.T) {
	faulttable.Covers(t, "F59", faulttable.Memory)
	note := es.Note{Reference: "R-2025/17", Description: "Für \"Ada\" & Söhne ☀"}
	spec.Golden(t, module, "testdata/events",
		account.AccountCreated{Owner: "customer-7", OwnerName: "Ada Lovelace", Currency: "EUR", OverdraftLimit: 50000, Note: note},
		account.MoneyDeposited{Amount: 1, Note: note},
		account.MoneyWithdrawn{Amount: most, Note: note},
		account.MoneyTransferredOut{TransferID: "trf-17", To: "acc-2", Amount: 250, Note: note},
		account.MoneyTransferredIn{TransferID: "trf-17", From: "acc-1", Amount: 250, Note: note},
		account.EntryCorrected{Corrects: "evt-9", Amount: -250, TransferID: "trf-9", Reason: "sent twice", Note: note},
		account.OverdraftLimitSet{Limit: 0, Note: note},
		account.AccountFrozen{Reason: "under review", Note: note},
		account.AccountUnfrozen{Reason: "all clear", Note: note},
		account.AccountClosed{Reason: "moved away", Note: note},
		account.HolderAdded{Holder: "customer-8", Note: note},
		account.HolderRemoved{Holder: "customer-8", Note: note},
	)
}
