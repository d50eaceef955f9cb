package es_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"daybook/core/account"
	"daybook/core/es"
)

func accounts(t testing.TB, change ...func(*es.Module)) *es.Registry {
	t.Helper()
	m := account.Module(func(string) string { return "" })
	for _, f := range change {
		f(&m)
	}
	r, err := es.NewRegistry(m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func folded() es.Folded {
	began := time.Date(2025, 10, 28, 9, 0, 0, 123456000, time.UTC)
	return es.Folded{
		Stream: "acc-101", Version: 100, Position: 70_000, Hash: es.Hash{1, 2, 31: 255}, CreatedAt: began, UpdatedAt: began.Add(time.Hour),
		State: account.Account{Owner: "Ada \"漢字\" \\ Lovelace", Currency: "EUR", Status: account.Frozen, Balance: -es.MaxAmount, OverdraftLimit: es.MaxAmount},
	}
}

func snapshot(t testing.TB, r *es.Registry, f es.Folded) []byte {
	t.Helper()
	b, err := r.AppendSnapshot(nil, &f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestASnapshotComesBackAsItWas(t *testing.T) {
	r := accounts(t)
	got, err := r.ParseSnapshot("acc-101", snapshot(t, r, folded()))
	if err != nil || !reflect.DeepEqual(got, folded()) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestASnapshotThatIsNotAsItWasWrittenIsRefused(t *testing.T) {
	r := accounts(t)
	b := snapshot(t, r, folded())
	refused := func(what string, b []byte) {
		t.Helper()
		if f, err := r.ParseSnapshot("acc-101", b); err == nil || f.State != nil {
			t.Errorf("%s was taken for %+v", what, f)
		}
	}
	for i := range b {
		refused(fmt.Sprint("one cut off at byte ", i), b[:i])
		for bit := range 8 {
			changed := append([]byte(nil), b...)
			changed[i] ^= 1 << bit
			refused(fmt.Sprint("one with a flipped bit in byte ", i), changed)
		}
	}
	refused("one with a byte too many", append(b, 0))
	other := folded()
	other.Stream = "acc-102"
	refused("that of another stream", snapshot(t, r, other))
	for _, f := range []es.Folded{
		{Stream: "acc-101", Position: 5, Hash: es.Hash{1}, State: account.Account{}},
		{Stream: "acc-101", Version: 5, Position: 4, Hash: es.Hash{1}, State: account.Account{}},
		{Stream: "acc-101", Version: 4, Position: 5, State: account.Account{}},
	} {
		refused("one of no version that can be", snapshot(t, r, f))
	}
}

func TestASnapshotOfAnotherShapeIsToldFromOneThatIsDamaged(t *testing.T) {
	state := func(meaning int, balance string) func(*es.Module) {
		return func(m *es.Module) {
			m.State = keptAs(meaning, balance)
		}
	}
	r := accounts(t, state(1, "balance"))
	if _, err := r.ParseSnapshot("acc-101", snapshot(t, accounts(t, state(1, "balance")), folded())); err != nil {
		t.Errorf("the same declaration has another shape: %v", err)
	}
	for what, other := range map[string]*es.Registry{
		"with another meaning": accounts(t, state(2, "balance")),
		"with another field":   accounts(t, state(1, "saldo")),
		"with another schema of some event": accounts(t, func(m *es.Module) {
			state(1, "balance")(m)
			m.Events = append([]es.EventType{}, m.Events...)
			m.Events[1] = m.Events[1].Upcast(func(b []byte) ([]byte, error) { return b, nil })
		}),
		"of a build that lacks one event": accounts(t, func(m *es.Module) { state(1, "balance")(m); m.Events = m.Events[1:] }),
		"of a module with another name":   accounts(t, func(m *es.Module) { state(1, "balance")(m); m.Name = "konten" }),
	} {
		if _, err := r.ParseSnapshot("acc-101", snapshot(t, other, folded())); !errors.Is(err, es.ErrSnapshotShape) {
			t.Errorf("a snapshot %s: %v", what, err)
		}
	}
	later := snapshot(t, r, folded())
	later[0]++
	if _, err := r.ParseSnapshot("acc-101", later); !errors.Is(err, es.ErrSnapshotShape) {
		t.Errorf("a snapshot of a later form: %v", err)
	}
}

func TestAStateWithAMemberThatIsNotDeclaredIsNotKept(t *testing.T) {
	r := accounts(t, func(m *es.Module) {
		m.State = es.StateAs(1, keep, back, es.StringField("owner", es.KindText, "", func(k *keptAccount) *string { return &k.Owner }))
	})
	f := folded()
	if b, err := r.AppendSnapshot(nil, &f); err == nil || len(b) > 0 {
		t.Errorf("it was kept as %q", b)
	}
	r = accounts(t, func(m *es.Module) { m.State = es.StateType{} })
	if _, err := r.AppendSnapshot(nil, &f); err == nil || r.KeepsSnapshots("acc-101") {
		t.Error("a module that declares no state keeps it")
	}
}

// keptAccount is an account as the tests keep it.
type keptAccount struct {
	Owner, OwnerName, Currency, Status string
	Balance, OverdraftLimit            int64
}

func keep(a account.Account) keptAccount {
	return keptAccount{a.Owner, a.OwnerName, a.Currency, a.Status, a.Balance, a.OverdraftLimit}
}

func back(k keptAccount) (account.Account, error) {
	return account.Account{Owner: k.Owner, OwnerName: k.OwnerName, Currency: k.Currency, Status: k.Status, Balance: k.Balance, OverdraftLimit: k.OverdraftLimit}, nil
}

// keptAs declares it, with a name for the balance.
func keptAs(meaning int, balance string) es.StateType {
	return es.StateAs(meaning, keep, back,
		es.StringField("owner", es.KindText, "", func(k *keptAccount) *string { return &k.Owner }),
		es.StringField("ownerName", es.KindText, "", func(k *keptAccount) *string { return &k.OwnerName }),
		es.StringField("currency", es.KindCurrency, "", func(k *keptAccount) *string { return &k.Currency }),
		es.StringField("status", es.KindWord, "", func(k *keptAccount) *string { return &k.Status }),
		es.IntField(balance, es.KindBalance, "", func(k *keptAccount) *int64 { return &k.Balance }),
		es.IntField("overdraftLimit", es.KindLimit, "", func(k *keptAccount) *int64 { return &k.OverdraftLimit }),
	)
}
