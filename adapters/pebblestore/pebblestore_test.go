package pebblestore

import (
	"testing"

	"go.uber.org/goleak"

	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
)

// noLeaks fails a test that leaves goroutines behind. It is not in TestMain because a store that has failed leaves some,
// as it must.
func noLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
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
	faulttable.Covers(t, "F27", faulttable.Pebble)
	noLeaks(t)
	contract.Store(t, func(t *testing.T) ports.Store { return open(t, Options{Dir: t.TempDir(), NoSync: true, forgetStep: 7}) })
	contract.DurableStore(t, func(t *testing.T, dir string) ports.Store { return open(t, Options{Dir: dir, forgetStep: 7}) })
}
