package access

import (
	"context"
	"time"

	"daybook/core/fault"
)

// Faults of keys.
var (
	// ErrNoKey: no key has this prefix.
	ErrNoKey = fault.New(fault.NotFound, "key_not_found", "There is no key with this prefix.")
	// ErrKeyRefused: a key cannot be made, or changed, in this way.
	ErrKeyRefused = fault.New(fault.Invalid, "key_refused", "The key cannot be made like this.")
	// ErrKeyEnded: the key was revoked, or has expired.
	ErrKeyEnded = fault.New(fault.Conflict, "key_ended", "The key has ended already.")
)

// KeyPrefix begins every API key, so that one that was lost is recognised where it lies.
const KeyPrefix = "dbk_"

// Key is an API key as it may be shown: all but its secret.
type Key struct {
	Prefix   string // names the key; visible in the key itself
	Subject  string
	Roles    []Role
	Created  time.Time
	Expires  time.Time // zero: never
	Revoked  time.Time // zero: it was not
	Replaces string    // the prefix of the key that it was rotated from
	LastUsed time.Time // by the hour; zero: not that anybody knew
}

// Ended reports whether the key no longer lets anybody in.
func (k *Key) Ended(now time.Time) bool {
	return !k.Revoked.IsZero() || !k.Expires.IsZero() && !now.Before(k.Expires)
}

// NewKey says what a key is to be made for.
type NewKey struct {
	Subject string
	Roles   []Role
	Expires time.Time // zero: never
}

// Keyring makes and ends API keys. All methods may be called concurrently; who asks is taken from the context. Errors are faults: those of
// keys, or the store's.
type Keyring interface {
	// Create makes a key. The secret is the whole key as it is sent; it is given this once and kept nowhere.
	Create(ctx context.Context, n NewKey) (key Key, secret string, err error)
	// List gives all keys, also those that have ended, in the order in which they were made.
	List(ctx context.Context) ([]Key, error)
	// Rotate makes a key for the same subject and roles, for as long as the old one was made for, and lets the old one end after grace.
	Rotate(ctx context.Context, prefix string, grace time.Duration) (key Key, secret string, err error)
	// Revoke ends a key at once. To revoke one again changes nothing.
	Revoke(ctx context.Context, prefix string) (Key, error)
}

// ParseRole reads the name of a role.
func ParseRole(name string) (Role, bool) {
	switch r := Role(name); r {
	case Customer, Teller, Auditor, Operator:
		return r, true
	}
	return "", false
}

// Has reports whether the principal has one of the roles. A nil principal has none.
func (p *Principal) Has(roles ...Role) bool {
	if p == nil {
		return false
	}
	for _, own := range p.Roles {
		for _, r := range roles {
			if own == r {
				return true
			}
		}
	}
	return false
}
