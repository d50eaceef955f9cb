package es

import (
	"bytes"
	"math"
	"slices"
	"time"
)

// Spent is what left an aggregate that keeps an amount on one day (UTC, by recorded time) at the wish of its owner and holders. It is a part
// of the state, so that it is known under the lock and cannot be passed by two at once; whether there is a limit to it is not said here.
type Spent struct {
	Day    int64 // since 1970
	Amount int64
}

// DayOf is the day of a time, as in Spent.
func DayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// On is what was spent on the day.
func (s Spent) On(day int64) int64 {
	if s.Day != day {
		return 0
	}
	return s.Amount
}

// after is what is spent after an event of an aggregate that was in the state before.
func (s Spent) after(m *Module, state any, r *Recorded, e Event) Spent {
	if m.Ledger == nil || m.Owners == nil {
		return s
	}
	change, _ := m.Ledger.Amount(e)
	if change >= 0 {
		return s
	}
	owner, holders := m.Owners(state)
	asked := func(subject string) bool { return r.askedBy(subject) }
	if !asked(owner) && !slices.ContainsFunc(holders, asked) {
		return s
	}
	day := DayOf(r.RecordedAt)
	return Spent{Day: day, Amount: min(s.On(day), math.MaxInt64/2) - max(change, -MaxAmount)} // no overflow
}

// askedBy reports whether the event's metadata names the subject as its principal.
func (r *Recorded) askedBy(subject string) bool {
	var room [128]byte
	return bytes.HasPrefix(r.Metadata, AppendString(append(room[:0], `{"principal":`...), subject))
}
