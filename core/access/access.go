// Package access says who asks and what they may do: principals, roles, operations, and the one policy that joins them. Whoever lets
// somebody in (HTTP, messages) puts a principal into the context; the engine asks the policy before it does anything. Standard
// library only; no I/O, no clock, and nothing of accounts lives here.
package access

import (
	"context"

	"daybook/core/fault"
)

// Faults of access.
var (
	// ErrUnauthenticated: nobody says who asks, or what they show does not hold.
	ErrUnauthenticated = fault.New(fault.Denied, "unauthenticated", "Say who you are: send an API key or a token in the header Authorization, as Bearer.")
	// ErrForbidden: the principal's roles do not allow the operation at all. Of one account that is another's, the answer is that there is none.
	ErrForbidden = fault.New(fault.Denied, "forbidden", "Your roles do not allow this.")
)

// Role is what a principal may be. The zero Role is none.
type Role string

// The roles.
const (
	Customer Role = "customer" // uses the accounts they own or hold
	Teller   Role = "teller"   // gives commands on all accounts, and reads them
	Auditor  Role = "auditor"  // reads everything and changes nothing
	Operator Role = "operator" // runs the process: rebuilds, dead letters, archive, keys; sees no account
)

// Roles are all of them.
var Roles = []Role{Customer, Teller, Auditor, Operator}

// Principal is who asks.
type Principal struct {
	Subject string // what names them for ever: the owner of accounts, the principal in events
	Roles   []Role
}

// Local is who asks where nobody is asked who they are, which is on loopback alone: everything is theirs.
var Local = &Principal{Subject: "local", Roles: []Role{Teller, Auditor, Operator}} //nolint:gochecknoglobals // a constant that Go has no word for

type key struct{}

// As gives a context in which the principal asks.
func As(ctx context.Context, p *Principal) context.Context { return context.WithValue(ctx, key{}, p) }

// Of is who asks; nil if nobody said, which may do nothing.
func Of(ctx context.Context) *Principal {
	p, _ := ctx.Value(key{}).(*Principal)
	return p
}
