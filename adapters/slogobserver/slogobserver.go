// Package slogobserver logs what the engine does and an operator must know: failures and parked documents. What goes well
// is counted elsewhere, not logged.
package slogobserver

import (
	"log/slog"
	"strings"

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
		{"request", d.Metadata.RequestID}, {"correlation", d.Metadata.CorrelationID}, {"trace", traceOf(d.Metadata.Traceparent)},
	} {
		if id.value != "" {
			about = append(about, id.name, id.value)
		}
	}
	return about
}

// traceOf is the trace's id in a W3C trace context, by which a trace is looked up.
func traceOf(traceparent string) string {
	if _, rest, ok := strings.Cut(traceparent, "-"); ok {
		id, _, _ := strings.Cut(rest, "-")
		return id
	}
	return ""
}

// Committed logs nothing.
func (o *Observer) Committed(ports.Commit) {}

// Relayed logs nothing.
func (o *Observer) Relayed(ports.Passage) {}

// Projected logs nothing.
func (o *Observer) Projected(ports.Passage, es.Position) {}

// Parked logs which document waits and why.
func (o *Observer) Parked(view, id string, err error) {
	o.log.Error("a document is parked: an event of its stream cannot be projected", "view", view, "account", id, "error", err)
}

// Led logs that this process took over some work, or left it to others.
func (o *Observer) Led(lease string, token ports.Token, held bool) {
	if held {
		o.log.Info("this process has taken over work", "lease", lease, "token", uint64(token))
	} else {
		o.log.Info("this process has left work to others", "lease", lease, "token", uint64(token))
	}
}

// Failed logs a failure in the background.
func (o *Observer) Failed(what string, err error) {
	o.log.Warn("work in the background failed and will be tried again", "work", what, "error", err)
}
