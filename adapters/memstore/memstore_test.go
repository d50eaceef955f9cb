package memstore_test

import (
	"testing"
	"time"

	"daybook/adapters/memstore"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
)

func TestContract(t *testing.T) {
	contract.Store(t, func(*testing.T) ports.Store { return memstore.New() })
}

func TestARefusalIsForgottenOnceItWasKeptForLongEnough(t *testing.T) {
	faulttable.Covers(t, "F48", faulttable.Memory)
	s := memstore.New()
	keep := func(key string, at time.Time) {
		u, err := s.Begin(t.Context(), ports.Needs{})
		if err == nil {
			err = u.Commit(t.Context(), ports.Batch{Outcomes: []ports.Outcome{{Key: key, Refusal: true, RecordedAt: at}}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	start := time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)
	keep("old", start)
	keep("new", start.Add(ports.RefusalsKept+time.Microsecond))
	for key, known := range map[string]bool{"old": false, "new": true} {
		if o, err := s.Outcome(t.Context(), key); err != nil || (o != nil) != known {
			t.Errorf("%q: got %v, %v", key, o, err)
		}
	}
}
