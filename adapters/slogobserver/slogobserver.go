// Package slogobserver logs what the engine does and an operator must know: failures and parked documents. What goes well
// is counted elsewhere, not logged.
package slogobserver

import (
	"log/slog"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
)

// Observer is a ports.Observer that logs. Its methods may be called concurrently.
type Observer struct{ log *slog.Logger }

// New logs to log.
func New(log *slog.Logger) *Observer { return &Observer{log} }

// Decided logs answers that are our fault, with their cause, which clients are not shown.
func (o *Observer) Decided(module, command string, _ bool, err error, _ time.Duration) {
	if err == nil {
		return
	}
	switch fault.KindOf(err) {
	case fault.Internal, fault.Unknown:
		o.log.Error("a command failed", "module", module, "command", command, "error", err)
	case fault.Unavailable:
		o.log.Debug("a command was not taken", "module", module, "command", command, "error", err)
	}
}

// Committed logs nothing.
func (o *Observer) Committed(int, int, es.Position, time.Duration) {}

// Relayed logs nothing.
func (o *Observer) Relayed(es.Position) {}

// Projected logs nothing.
func (o *Observer) Projected(_, _ es.Position) {}

// Parked logs which document waits and why.
func (o *Observer) Parked(view, id string, err error) {
	o.log.Error("a document is parked: an event of its stream cannot be projected", "view", view, "id", id, "error", err)
}

// Failed logs a failure in the background.
func (o *Observer) Failed(what string, err error) {
	o.log.Warn("work in the background failed and will be tried again", "work", what, "error", err)
}
