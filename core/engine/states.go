package engine

import (
	"daybook/core/es"
	"daybook/core/recent"
)

// states keeps the folded state of the streams used of late.
type states = recent.Map[es.StreamID, known]

// known is a stream's state, and the position up to which nothing later was written to the stream.
type known struct {
	es.Folded
	at es.Position
}

func newStates(limit int) *states { return recent.New[es.StreamID, known](limit) }
