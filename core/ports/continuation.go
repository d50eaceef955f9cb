package ports

import (
	"time"

	"daybook/core/es"
	"daybook/core/fault"
)

// ErrBatchRefused: the caller's batch does not continue the store, which is a bug of the caller's.
var ErrBatchRefused = fault.New(fault.Internal, "batch_refused", "The batch does not continue the store; nothing was written.")

// ErrSealBroken: the store does not have the events that it was sealed over.
var ErrSealBroken = fault.New(fault.Internal, "seal_broken", "The store was changed behind Daybook's back; nothing was written.")

// StreamEnd is where a stream ends. The zero StreamEnd is that of a stream without events.
type StreamEnd struct {
	Version es.Version
	Hash    es.Hash // of the event of that version; zero if it is not known
}

// Continuation is what every store does with a batch in Commit: it checks that the batch goes on where the store ends, positions
// and versions without gap, recorded times that rise, and seals it. It is used by one goroutine, for one batch.
type Continuation struct {
	Head  es.Position                                 // of the store, and then of the events taken
	Last  time.Time                                   // recorded time at Head; UTC, microseconds
	Ends  map[es.StreamID]StreamEnd                   // of streams, as far as they are at hand; they move on with the events
	End   func(stream es.StreamID) (StreamEnd, error) // finds that of any other stream
	Tree  es.Tree                                     // over the events up to Head; its own, as it grows
	Nodes []es.TreeNode                               // that are full with the events taken
	taken bool
	slab  []byte
}

// Take checks one event of the batch, gives it its Hash and its Raw, and moves on. Its error is ErrBatchRefused, or that of End.
func (c *Continuation) Take(e *es.Recorded) error {
	if c.Tree.Size != c.Head {
		return ErrSealBroken.Say("The seal of the store is over %d events, and the store has %d: it was changed behind Daybook's back. Nothing was written; daybook verify says more.", c.Tree.Size, c.Head)
	}
	if e.Position != c.Head+1 {
		return ErrBatchRefused.Say("The event at position %d was given where %d comes next; nothing was written.", e.Position, c.Head+1)
	}
	end, err := c.end(e.Stream)
	if err != nil {
		return err
	}
	if e.Version != end.Version+1 {
		return ErrBatchRefused.Say("%s was given version %d where %d comes next; nothing was written.", e.Stream, e.Version, end.Version+1)
	}
	at := e.RecordedAt.UTC().Truncate(time.Microsecond)
	if at.Before(c.Last) || !c.taken && c.Head > 0 && !at.After(c.Last) { // events of one command share their time
		return ErrBatchRefused.Say("The recorded time of position %d, %s, does not rise after %s; nothing was written.", e.Position, at, c.Last)
	}
	c.slab = e.Seal(c.slab, end.Hash)
	if parsed, err := es.ParseRecorded(e.JSON()); err != nil || parsed.Stream != e.Stream || parsed.Type != e.Type {
		return ErrBatchRefused.Say("Version %d of %s could not be read back; nothing was written.", e.Version, e.Stream).Because(err)
	}
	c.Nodes = c.Tree.Add(e.Hash, c.Nodes)
	c.Ends[e.Stream] = StreamEnd{e.Version, e.Hash}
	c.Head, c.Last, c.taken = e.Position, at, true
	return nil
}

// end is where the stream ends, with the hash there.
func (c *Continuation) end(stream es.StreamID) (StreamEnd, error) {
	if end, ok := c.Ends[stream]; ok && (end.Version == 0 || end.Hash != es.Hash{}) {
		return end, nil
	}
	return c.End(stream)
}
