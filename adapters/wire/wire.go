// Package wire is the JSON of commands and their outcomes, shared by every door: HTTP, messages and import. It decodes
// strictly by the modules' tables, writes answers, and turns faults into problem documents. It knows no transport: headers,
// topics and connections belong to the adapters that use it, and what a status means to a client is its only loan from HTTP.
package wire

import (
	"daybook/core/fault"
)

// MaxBody is the longest body of one command, and the longest line of an envelope, in bytes.
const MaxBody = 64 << 10

// Faults of decoding. The copies that are returned say where and what.
var (
	// ErrInvalidBody: the text is not one JSON object.
	ErrInvalidBody = fault.New(fault.Invalid, "invalid_body", "The body is not one JSON object in UTF-8.")
	// ErrInvalidField: members of the object are missing, unknown or hold what they must not.
	ErrInvalidField = fault.New(fault.Invalid, "invalid_field", "A member of the body is missing, unknown or holds what it must not.")
	// ErrUnknownCommand: the module has no command of this name.
	ErrUnknownCommand = fault.New(fault.NotFound, "unknown_command", "There is no command of this name.")
)

// maxProblems is how many wrong members one answer names.
const maxProblems = 20

// problems gathers what is wrong with the members of one object.
type problems []fault.Field

func (p *problems) add(pointer, detail string) {
	if len(*p) < maxProblems {
		*p = append(*p, fault.Field{Pointer: pointer, Detail: detail})
	}
}

// fault is nil while nothing is wrong.
func (p problems) fault() error {
	if len(p) == 0 {
		return nil
	}
	f := *ErrInvalidField
	f.Fields = p
	f.Msg = p[0].Pointer + " " + p[0].Detail + "."
	if len(p) > 1 {
		f.Msg += " More members are wrong too."
	}
	return &f
}
