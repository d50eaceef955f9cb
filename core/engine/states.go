package engine

import "daybook/core/es"

// states keeps the folded state of the streams used of late. It holds two generations of at most limit/2 streams each:
// when the young one is full the old one is dropped, so what is used stays and the rest goes, without bookkeeping per use.
type states struct {
	limit      int
	young, old map[es.StreamID]known
}

// known is a stream's state, and the position up to which nothing later was written to the stream.
type known struct {
	es.Folded
	at es.Position
}

func newStates(limit int) *states {
	return &states{limit: max(limit, 2), young: map[es.StreamID]known{}}
}

func (s *states) get(id es.StreamID) (known, bool) {
	if k, ok := s.young[id]; ok {
		return k, true
	}
	k, ok := s.old[id]
	if ok {
		s.put(id, k)
	}
	return k, ok
}

func (s *states) put(id es.StreamID, k known) {
	if len(s.young) >= s.limit/2 {
		if _, there := s.young[id]; !there {
			s.old, s.young = s.young, make(map[es.StreamID]known, len(s.young)/2)
		}
	}
	s.young[id] = k
}
