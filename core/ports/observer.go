package ports

import (
	"time"

	"daybook/core/es"
)

// Observer sees what the engine does; it feeds logs, metrics and traces. Its methods are called on hot paths, from several
// goroutines: they must be quick, must not block, must not call the engine, and must not keep the slices they are given.
type Observer interface {
	// Decided: a command got its answer.
	Decided(d Decision)
	// Committed: a batch is durable.
	Committed(c Commit)
	// Relayed: events were published.
	Relayed(p Passage)
	// Projected: the views reflect the store up to the last event of p, of head.
	Projected(p Passage, head es.Position)
	// Led: this process has taken the lease of the name, or no longer has it, or (with no token) waits for it.
	Led(lease string, token Token, held bool)
	// Parked: a document waits because of err.
	Parked(view, id string, err error)
	// Failed: something failed that nobody was waiting for; what says which work, which will be tried again.
	Failed(what string, err error)
}

// Decision is a command that was answered.
type Decision struct {
	Module, Command string
	Stream          es.StreamID
	Metadata        *es.Metadata // of the command
	Replayed        bool
	Err             error         // nil for success
	Took            time.Duration // from taking it in to answering
}

// Commit is a batch of commands that was written.
type Commit struct {
	Commands int
	Events   []es.Recorded // at least one, unless only refusals were kept
	Head     es.Position
	Began    time.Time // the unit of work was asked for
	Locked   time.Time // it had begun: what was known is at hand
	Decided  time.Time // the batch was given to the store
	Ended    time.Time // it is durable
}

// Passage is a run of events that went from the store to somewhere else.
type Passage struct {
	To           es.Position   // the last of them
	Events       []es.Recorded // in position order; nil where there are too many to be looked at one by one
	Began, Ended time.Time
}

// Silent is an Observer that looks away. To embed it is to observe only what one has methods for.
type Silent struct{}

// Decided does nothing.
func (Silent) Decided(Decision) {}

// Committed does nothing.
func (Silent) Committed(Commit) {}

// Relayed does nothing.
func (Silent) Relayed(Passage) {}

// Projected does nothing.
func (Silent) Projected(Passage, es.Position) {}

// Led does nothing.
func (Silent) Led(string, Token, bool) {}

// Parked does nothing.
func (Silent) Parked(string, string, error) {}

// Failed does nothing.
func (Silent) Failed(string, error) {}
