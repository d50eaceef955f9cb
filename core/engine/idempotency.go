package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
)

// fingerprint stands for a command's content: its stream, its name and its decoded fields, through whichever door it came.
type fingerprint [16]byte

func fingerprintOf(c *es.Command) fingerprint {
	b := make([]byte, 0, 256)
	b = append(b, c.Stream...)
	b = append(b, 0)
	b = append(b, c.Type.Name...)
	b = append(b, 0)
	sum := sha256.Sum256(c.Type.Content(b, c.Body))
	return fingerprint(sum[:16])
}

// The stored form of an outcome: one byte for this form's number, the fingerprint, then for an answer (form 1) the
// varints version, position, balance and, for each event of the addressed stream, its version, position and type with its
// length before it; for a refusal (form 2) the fault as JSON.
const (
	formAnswer  = 1
	formRefusal = 2
)

type refusal struct {
	Kind    fault.Kind     `json:"kind"`
	Code    string         `json:"code"`
	Msg     string         `json:"msg"`
	Details []fault.Detail `json:"details,omitempty"`
	Another bool           `json:"another,omitempty"` // it was for whose the stream is, which the audit log is told each time and nobody else
}

func encodeOutcome(fp fingerprint, r *Result) []byte {
	if r.Err != nil {
		f := fault.Of(r.Err)
		text, err := json.Marshal(refusal{f.Kind, f.Code, f.Msg, f.Details, errors.Is(r.Err, access.ErrForbidden)})
		if err != nil { // numbers and valid UTF-8 only: cannot happen
			panic(err) //nolint:forbidigo // see the line above
		}
		return append(append([]byte{formRefusal}, fp[:]...), text...)
	}
	b := append(make([]byte, 0, 64), formAnswer)
	b = append(b, fp[:]...)
	b = binary.AppendUvarint(b, uint64(r.Answer.Version))
	b = binary.AppendUvarint(b, uint64(r.Answer.Position))
	b = binary.AppendVarint(b, r.Answer.Balance)
	for _, e := range r.Answer.Events {
		b = binary.AppendUvarint(b, uint64(e.Version))
		b = binary.AppendUvarint(b, uint64(e.Position))
		b = binary.AppendUvarint(b, uint64(len(e.Type)))
		b = append(b, e.Type...)
	}
	return b
}

// replay gives the kept result again, or ErrKeyMismatch if it was for another command.
func replay(body []byte, fp fingerprint) Result {
	form, kept, rest, ok := splitOutcome(body)
	switch {
	case !ok:
		return Result{Err: fmt.Errorf("engine: the kept outcome of a command is damaged: %x", body)}
	case kept != fp:
		return Result{Err: ErrKeyMismatch}
	case form == formRefusal:
		var r refusal
		if err := json.Unmarshal(rest, &r); err != nil || r.Kind > fault.Unknown {
			return Result{Err: fmt.Errorf("engine: the kept refusal of a command is damaged: %q", rest)}
		}
		said := &fault.Fault{Kind: r.Kind, Code: r.Code, Msg: r.Msg, Details: r.Details}
		if r.Another {
			said = said.Because(access.ErrForbidden)
		}
		return Result{Answer: Answer{Replayed: true}, Err: said}
	}
	a, err := decodeAnswer(rest)
	return Result{Answer: a, Err: err}
}

// refused reports whether the kept outcome is a refusal of this same command.
func refused(body []byte, fp fingerprint) bool {
	form, kept, _, ok := splitOutcome(body)
	return ok && form == formRefusal && kept == fp
}

func splitOutcome(body []byte) (form byte, fp fingerprint, rest []byte, ok bool) {
	if len(body) < 17 || body[0] != formAnswer && body[0] != formRefusal {
		return 0, fp, nil, false
	}
	return body[0], fingerprint(body[1:17]), body[17:], true
}

func decodeAnswer(b []byte) (Answer, error) {
	damaged := false
	next := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			damaged, b = true, nil
			return 0
		}
		b = b[size:]
		return n
	}
	a := Answer{Version: es.Version(next()), Position: es.Position(next()), Replayed: true}
	balance, size := binary.Varint(b)
	if size <= 0 {
		return a, fmt.Errorf("engine: the kept answer of a command is damaged")
	}
	a.Balance, b = balance, b[size:]
	for len(b) > 0 && !damaged {
		e := EventRef{Version: es.Version(next()), Position: es.Position(next())}
		n := next()
		if n > uint64(len(b)) {
			damaged = true
			break
		}
		e.Type, b = string(b[:n]), b[n:]
		a.Events = append(a.Events, e)
	}
	if damaged {
		return a, fmt.Errorf("engine: the kept answer of a command is damaged")
	}
	return a, nil
}
