// Package fault names the few kinds of failure a caller can act on, and carries what a person needs to mend one: a stable
// code, a sentence, the fields concerned. Every error that leaves the core is a fault or is treated as Internal.
// What may not live here: transport statuses (a driving adapter maps kinds to them) and messages of a driver.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind tells a caller what it may do about a failure. The set is closed.
type Kind uint8

// The kinds of failure. The zero Kind is Internal, so that a forgotten kind is never taken for a client's mistake.
const (
	Internal    Kind = iota // our bug or broken data: nothing the client can mend
	Invalid                 // the request itself is malformed: mend it and send it again
	Denied                  // the caller may not do this
	NotFound                // nothing lives at that name
	Rejected                // the rules said no, on the state as it is
	Conflict                // something else is already there, or the state has moved on
	Unavailable             // nothing happened; a retry is safe
	Unknown                 // it may or may not have happened; a retry with the same command id settles it
)

var kindNames = [...]string{"internal", "invalid", "denied", "not_found", "rejected", "conflict", "unavailable", "unknown"}

func (k Kind) String() string { return kindNames[k] }

// Fault is an error with a kind and a stable code in snake_case. Treat it as a value: With and the other methods return
// changed copies, so a package-level Fault may be used from any goroutine.
type Fault struct {
	Kind       Kind
	Code       string
	Msg        string        // one sentence for a person: what is wrong and, where possible, what to do
	Fields     []Field       // which parts of the request are wrong (Invalid)
	Details    []Detail      // figures that explain a refusal, such as the balance
	RetryAfter time.Duration // how long to wait before a retry (Unavailable); zero means the adapter's default
	cause      error
}

// Field says what is wrong at one place of a request. Pointer is an RFC 6901 JSON pointer, or the name of a parameter.
type Field struct{ Pointer, Detail string }

// Detail is one named figure of a refusal.
type Detail struct {
	Name  string
	Value int64
}

// New declares a fault; call it once per package-level sentinel.
func New(k Kind, code, msg string) *Fault { return &Fault{Kind: k, Code: code, Msg: msg} }

// Error gives the code and the sentence, and the cause where there is one. It is for logs; clients see Msg.
func (f *Fault) Error() string {
	if f.cause != nil {
		return f.Code + ": " + f.Msg + ": " + f.cause.Error()
	}
	return f.Code + ": " + f.Msg
}

// Is matches by code, so that a copy with details still matches its sentinel.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Code == f.Code
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.cause }

// Because returns a copy that wraps cause. The cause reaches logs, never clients.
func (f *Fault) Because(cause error) *Fault {
	c := *f
	c.cause = cause
	return &c
}

// Say returns a copy with the sentence of one occurrence.
func (f *Fault) Say(format string, args ...any) *Fault {
	c := *f
	c.Msg = fmt.Sprintf(format, args...)
	return &c
}

// With returns a copy that carries one more figure.
func (f *Fault) With(name string, value int64) *Fault {
	c := *f
	c.Details = append(append([]Detail(nil), f.Details...), Detail{name, value})
	return &c
}

// At returns a copy that points at one more wrong field.
func (f *Fault) At(pointer, detail string) *Fault {
	c := *f
	c.Fields = append(append([]Field(nil), f.Fields...), Field{pointer, detail})
	return &c
}

// After returns a copy that asks the client to wait d before a retry.
func (f *Fault) After(d time.Duration) *Fault {
	c := *f
	c.RetryAfter = d
	return &c
}

// Of finds the fault in err's chain; an error without one is Internal, with err as its cause.
func Of(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Kind: Internal, Code: "internal", Msg: "Something went wrong inside Daybook.", cause: err}
}

// KindOf is the kind of err's fault; an error without one is Internal.
func KindOf(err error) Kind { return Of(err).Kind }
