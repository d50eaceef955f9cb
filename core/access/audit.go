package access

import (
	"context"
	"time"
)

// Entry is one line of the audit log: who asked for what, and what came of it.
type Entry struct {
	Position  uint64    // in the access ledger; given by the log
	At        time.Time // when it was written; given by the log
	Subject   string    // who asked; empty where nobody said who they are
	Action    string    // such as POST /v1/admin/rebuild, or KeyCreated
	Target    string    // what it was about: the path, the prefix of a key
	Outcome   string    // begun, done, or the code of the refusal
	RequestID string
	Address   string // the peer that sent it, without its port
	Detail    string // more, for people: why a credential did not hold. Never a secret.
	Reason    string // why, in the words of who asked
}

// Outcomes of entries that are no refusals.
const (
	Begun  = "begun" // a privileged action that is now tried
	Looked = "read"  // somebody who is Watched is now answered
	Done   = "done"
)

// AuditLog is the log of what was refused and of what privileged people did. All methods may be called concurrently.
type AuditLog interface {
	// Record writes the entry durably, with others that wait, before it returns; its error, a fault, means that it may be missing.
	Record(ctx context.Context, e Entry) error
	// Note writes the entry soon and never waits: when too many are waiting already it is dropped, and counted.
	Note(e Entry)
	// Entries gives up to limit entries after the position, oldest first; since, unless it is zero, leaves out those written before.
	Entries(ctx context.Context, after uint64, since time.Time, limit int) ([]Entry, error)
	// Head is the position of the last entry; zero in an empty log.
	Head(ctx context.Context) (uint64, error)
}

type requestKey struct{}

// WithRequest gives a context that knows the id of the request, for the metadata of what is done in it.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestID is the id of the request; "" where there is none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

type reasonKey struct{}

// WithReason gives a context that knows why something is asked for, in the words of who asks.
func WithReason(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, reasonKey{}, reason)
}

// Reason is why something is asked for; "" where nobody said.
func Reason(ctx context.Context) string {
	reason, _ := ctx.Value(reasonKey{}).(string)
	return reason
}
