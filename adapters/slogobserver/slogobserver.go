// Package slogobserver logs what the engine does and an operator must know: failures and parked documents. What goes well
// is counted elsewhere, not logged.
package slogobserver

import (
	"log/slog"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Observer is a ports.Observer that logs. Its methods may be called concurrently.
type Observer struct{ log *slog.Logger }

// New logs to log.
func New(log *slog.Logger) *Observer { return &Observer{log} }

// Decided logs answers that are our fault, with their cause, which clients are not shown.
func (o *Observer) Decided(d ports.Decision) {
	if d.Err == nil {
		return
	}
	switch fault.KindOf(d.Err) {
	case fault.Internal, fault.Unknown:
		o.log.Error("a command failed", decision(d)...)
	case fault.Unavailable:
		o.log.Debug("a command was not taken", decision(d)...)
	}
}

// decision is what tells one command from all others.
func decision(d ports.Decision) []any {
	about := []any{"module", d.Module, "command", d.Command, "account", string(d.Stream), "error", d.Err}
	for _, id := range [...]struct{ name, value string }{
		{"request", d.Metadata.RequestID}, {"correlation", d.Metadata.CorrelationID}, {"trace", d.Metadata.Traceparent},
	} {
		if id.value != "" {
			about = append(about, id.name, id.value)
		}
	}
	return about
}

// Committed logs nothing.
func (o *Observer) Committed(ports.Commit) {}

// Relayed logs nothing.
func (o *Observer) Relayed(ports.Passage) {}

// Projected logs nothing.
func (o *Observer) Projected(ports.Passage, es.Position) {}

// Parked logs which document waits and why.
func (o *Observer) Parked(view, id string, err error) {
	o.log.Error("a document is parked: an event of its stream cannot be projected", "view", view, "id", id, "error", err)
}

// Failed logs a failure in the background.
func (o *Observer) Failed(what string, err error) {
	o.log.Warn("work in the background failed and will be tried again", "work", what, "error", err)
}
