package contract

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/core/ports"
)

func leaseCases() []storeCase {
	return []storeCase{
		{"a lease is given to one holder, who keeps its token when it prolongs", oneHolder},
		{"a lease that was released or has run out goes to the next holder, with a higher token", nextHolder},
		{"of several who try at once, one gets the lease", leaseRace},
		{"a checkpoint is not moved with a token lower than its lease has had", fencedCheckpoint},
		{"to release with an old token changes nothing", oldRelease},
		{"leases of different names do not meet", leaseNames},
	}
}

// long is a lease that does not run out while a case runs.
const long = time.Hour

func lease(t *testing.T, s ports.Store, name, holder string, ttl time.Duration) ports.Token {
	t.Helper()
	token, err := s.Lease(t.Context(), name, holder, ttl)
	if err != nil {
		t.Fatalf("lease %q for %s: %v", name, holder, err)
	}
	if token == 0 {
		t.Fatalf("lease %q for %s has no token", name, holder)
	}
	return token
}

func held(t *testing.T, s ports.Store, name, holder string) {
	t.Helper()
	_, err := s.Lease(t.Context(), name, holder, long)
	wantIs(t, "the lease for "+holder, err, ports.ErrLeaseHeld)
}

func release(t *testing.T, s ports.Store, name string, token ports.Token) {
	t.Helper()
	if err := s.Release(t.Context(), name, token); err != nil {
		t.Fatalf("release %q: %v", name, err)
	}
}

func oneHolder(t *testing.T, s ports.Store) {
	first := lease(t, s, "work", "a", long)
	held(t, s, "work", "b")
	if again := lease(t, s, "work", "a", long); again != first {
		t.Errorf("prolonged, the token is %d, want %d", again, first)
	}
}

func nextHolder(t *testing.T, s ports.Store) {
	last := lease(t, s, "work", "a", long)
	release(t, s, "work", last)
	for i := range 3 {
		token := lease(t, s, "work", fmt.Sprint("b", i), time.Nanosecond) // has run out by the next call
		if token <= last {
			t.Errorf("the token is %d after %d", token, last)
		}
		last = token
	}
	if token := lease(t, s, "work", "b2", long); token <= last {
		t.Errorf("a lease that had run out is prolonged: its token is %d after %d", token, last)
	}
}

func leaseRace(t *testing.T, s ports.Store) {
	var holders sync.WaitGroup
	var won atomic.Int32
	for i := range 8 {
		holders.Go(func() {
			switch _, err := s.Lease(t.Context(), "work", fmt.Sprint(i), long); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, ports.ErrLeaseHeld):
				t.Errorf("holder %d: %v", i, err)
			}
		})
	}
	holders.Wait()
	if n := won.Load(); n != 1 {
		t.Errorf("%d holders got the lease", n)
	}
}

func fencedCheckpoint(t *testing.T, s ports.Store) {
	first := lease(t, s, "work", "a", long)
	if err := s.SaveCheckpoint(t.Context(), "work", first, 10); err != nil {
		t.Fatal(err)
	}
	release(t, s, "work", first)
	second := lease(t, s, "work", "b", long)
	for _, stale := range []ports.Token{0, first} {
		wantIs(t, fmt.Sprint("a checkpoint with token ", stale), s.SaveCheckpoint(t.Context(), "work", stale, 20), ports.ErrLeaseLost)
	}
	if p := checkpoint(t, s, "work"); p != 10 {
		t.Errorf("the checkpoint is %d, want 10", p)
	}
	if err := s.SaveCheckpoint(t.Context(), "work", second, 30); err != nil {
		t.Fatal(err)
	}
	if p := checkpoint(t, s, "work"); p != 30 {
		t.Errorf("the checkpoint is %d, want 30", p)
	}
}

func oldRelease(t *testing.T, s ports.Store) {
	first := lease(t, s, "work", "a", long)
	release(t, s, "work", first)
	second := lease(t, s, "work", "b", long)
	release(t, s, "work", first)
	held(t, s, "work", "c")
	release(t, s, "work", second)
	lease(t, s, "work", "c", long)
}

func leaseNames(t *testing.T, s ports.Store) {
	lease(t, s, "one", "a", long)
	lease(t, s, "two", "b", long)
	if err := s.SaveCheckpoint(t.Context(), "three", 0, 5); err != nil {
		t.Errorf("a checkpoint without a lease: %v", err)
	}
}
