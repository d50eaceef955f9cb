package engine

import (
	"time"

	"daybook/core/es"
	"daybook/core/fault"
)

// Refusals of limits.
var (
	// ErrCommandLimit: a customer may not move as much with one command.
	ErrCommandLimit = fault.New(fault.Rejected, "command_limit", "The amount is more than a customer may move with one command.")
	// ErrDayLimit: not as much may leave the account today.
	ErrDayLimit = fault.New(fault.Rejected, "day_limit", "The amount is more than may still leave the account today (UTC) by its owner and holders.")
)

// Limits are what customers may move, in minor units. Who may give a command on all aggregates is not bound by them.
type Limits struct {
	Command int64 // with one command, in or out; zero: no limit
	Day     int64 // out of one aggregate on one day (UTC), by its owner and holders together; zero: no limit
}

// check holds what a rule emitted at a time against the limits. It is called under the lock, on the states that the rule decided on: what was
// spent today is in them.
func (l Limits) check(j *job, f *es.Facts, emitted []es.Emitted, at time.Time) error {
	ledger := j.Command.Module.Ledger
	if l == (Limits{}) || ledger == nil || !j.grants.bound {
		return nil
	}
	day := es.DayOf(at)
	for _, em := range emitted {
		change, _ := ledger.Amount(em.Event)
		if l.Command > 0 && max(change, -change) > l.Command {
			return ErrCommandLimit.Say("A customer may move %d with one command.", l.Command).With("limit", l.Command).With("requested", max(change, -change))
		}
		if spent := f.States[em.Stream].Spent.On(day); l.Day > 0 && change < 0 && -change > l.Day-spent {
			left := max(l.Day-spent, 0)
			return ErrDayLimit.Say("Of the %d that may leave the account today (UTC) by its owner and holders, %d is left.", l.Day, left).
				With("limit", l.Day).With("left", left).With("requested", -change)
		}
	}
	return nil
}
