package pebblestore

import (
	"testing"

	"go.uber.org/goleak"

	"daybook/core/ports"
	"daybook/test/contract"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("daybook/adapters/pebblestore.(*failstop).halt"))
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	if o.Logf == nil {
		o.Logf = t.Logf
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	contract.Store(t, func(t *testing.T) ports.Store { return open(t, Options{Dir: t.TempDir(), NoSync: true}) })
	contract.DurableStore(t, func(t *testing.T, dir string) ports.Store { return open(t, Options{Dir: dir}) })
}
