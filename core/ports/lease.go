package ports

import (
	"sync"
	"time"

	"daybook/core/fault"
)

// Faults of leases.
var (
	// ErrLeaseHeld: another holder has the lease, and it has not run out.
	ErrLeaseHeld = fault.New(fault.Conflict, "lease_held", "Another process does this work at the moment.")
	// ErrLeaseLost: the lease has passed to another holder since.
	ErrLeaseLost = fault.New(fault.Conflict, "lease_lost", "Another process has taken over this work.")
)

// Token is the fencing token of a lease: every new holder gets a higher one. What the work writes carries the token, and a
// lower one than was seen before is refused: whoever lost a lease without noticing can change nothing. Zero means no lease.
type Token uint64

// LocalLeases are the leases of a store that one process alone can use. The zero value is ready; all methods may be called
// concurrently. Tokens follow the clock, so that they also rise from one life of the process to the next.
type LocalLeases struct {
	mu   sync.Mutex
	held map[string]localLease
}

type localLease struct {
	token  Token
	holder string
	until  time.Time
}

// Lease is Store's Lease, at now.
func (l *LocalLeases) Lease(name, holder string, now time.Time, ttl time.Duration) (Token, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]localLease{}
	}
	lease := l.held[name]
	switch running := now.Before(lease.until); {
	case running && lease.holder != holder:
		return 0, ErrLeaseHeld
	case !running || lease.token == 0:
		lease.token = max(lease.token+1, Token(now.UnixMicro()))
	}
	lease.holder, lease.until = holder, now.Add(ttl)
	l.held[name] = lease
	return lease.token, nil
}

// Release is Store's Release.
func (l *LocalLeases) Release(name string, token Token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lease := l.held[name]; lease.token == token {
		lease.until = time.Time{}
		l.held[name] = lease
	}
}

// Check is ErrLeaseLost if the lease of the name has had a higher token.
func (l *LocalLeases) Check(name string, token Token) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if token < l.held[name].token {
		return ErrLeaseLost
	}
	return nil
}
