package ports

import (
	"time"

	"daybook/core/es"
)

// Observer sees what the engine does; it feeds logs and metrics. Its methods are called on hot paths, from several
// goroutines: they must be quick, must not block, and must not call the engine.
type Observer interface {
	// Decided: a command got its answer. err is nil for success; took is from taking it in to answering.
	Decided(module, command string, replayed bool, err error, took time.Duration)
	// Committed: a batch is durable, with this many commands and events; took is the unit of work from begin to end.
	Committed(commands, events int, head es.Position, took time.Duration)
	// Relayed: events up to p were published.
	Relayed(p es.Position)
	// Projected: the views reflect the store up to p of head.
	Projected(p, head es.Position)
	// Parked: a document waits because of err.
	Parked(view, id string, err error)
	// Failed: something failed that nobody was waiting for; what says which work, which will be tried again.
	Failed(what string, err error)
}
