package engine

import (
	"errors"
	"fmt"

	"daybook/core/es"
)

// footing is where a reader of the feed stands: behind an event, which it looks at again with each page, to see that the store still
// has it. After a failover to a server that had not got the last events, others may stand at their positions.
type footing struct {
	position es.Position // of the event; zero: the beginning
	hash     es.Hash     // of the event; zero: it is not known
}

// errGoneBack: the store no longer has an event that was read from it.
var errGoneBack = errors.New("engine: the store has gone back")

// onFrom is what to ask ReadFeed for, to get the event and as many as the limit behind it.
func (f footing) onFrom(limit int) (after es.Position, withIt int) {
	if f.position == 0 {
		return 0, limit
	}
	return f.position - 1, limit + 1
}

// on gives what of the events, which were read by onFrom, is behind the footing, or errGoneBack.
func (f *footing) on(events []es.Recorded) ([]es.Recorded, error) {
	if f.position == 0 {
		return events, nil
	}
	if len(events) == 0 || f.hash != (es.Hash{}) && f.hash != events[0].Hash {
		return nil, fmt.Errorf("%w and does not have the event at position %d any more", errGoneBack, f.position)
	}
	f.hash = events[0].Hash
	return events[1:], nil
}

// move puts the footing behind an event.
func (f *footing) move(e *es.Recorded) { f.position, f.hash = e.Position, e.Hash }
