package ports

import (
	"time"

	"daybook/core/es"
	"daybook/core/fault"
)

// ErrBatchRefused: the caller's batch does not continue the store, which is a bug of the caller's.
var ErrBatchRefused = fault.New(fault.Internal, "batch_refused", "The batch does not continue the store; nothing was written.")

// Continuation is the check that every store makes in Commit: that a batch goes on where the store ends, positions and
// versions without gap, recorded times that rise. It is used by one goroutine, for one batch.
type Continuation struct {
	Head     es.Position                           // of the store, and then of the events taken
	Last     time.Time                             // recorded time at Head; UTC, microseconds
	Versions map[es.StreamID]es.Version            // that streams are at, as far as they are at hand; they move on with the events
	Version  func(es.StreamID) (es.Version, error) // finds that of any other stream
	taken    bool
}

// Take checks one event of the batch and moves on. Its error is ErrBatchRefused, or that of Version.
func (c *Continuation) Take(e *es.Recorded) error {
	if e.Position != c.Head+1 {
		return ErrBatchRefused.Say("The event at position %d was given where %d comes next; nothing was written.", e.Position, c.Head+1)
	}
	version, ok := c.Versions[e.Stream]
	if !ok {
		var err error
		if version, err = c.Version(e.Stream); err != nil {
			return err
		}
	}
	if e.Version != version+1 {
		return ErrBatchRefused.Say("%s was given version %d where %d comes next; nothing was written.", e.Stream, e.Version, version+1)
	}
	at := e.RecordedAt.UTC().Truncate(time.Microsecond)
	if at.Before(c.Last) || !c.taken && c.Head > 0 && !at.After(c.Last) { // events of one command share their time
		return ErrBatchRefused.Say("The recorded time of position %d, %s, does not rise after %s; nothing was written.", e.Position, at, c.Last)
	}
	c.Versions[e.Stream] = e.Version
	c.Head, c.Last, c.taken = e.Position, at, true
	return nil
}
