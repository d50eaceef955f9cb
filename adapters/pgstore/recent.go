package pgstore

import (
	"slices"
	"sync"

	"daybook/core/es"
)

// recent keeps the last events that this process has committed. Those who follow the feed here want them right after, and
// need ask the database only whether others have committed more.
type recent struct {
	mu     sync.Mutex
	events []es.Recorded // contiguous
}

// mostRecent is how many events are kept, about.
const mostRecent = 4096

// add keeps events that were committed. Commits of other processes in between make what was kept useless.
func (r *recent) add(events []es.Recorded) {
	if len(events) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.events); n > 0 && r.events[n-1].Position+1 != events[0].Position {
		r.events = nil
	}
	if len(r.events) >= mostRecent {
		r.events = slices.Clone(r.events[len(r.events)-mostRecent/2:])
	}
	size := 0
	for i := range events {
		size += len(events[i].Data) + len(events[i].Metadata)
	}
	slab := make([]byte, 0, size) // the caller may use its slices for something else
	own := func(b []byte) []byte {
		slab = append(slab, b...)
		return slab[len(slab)-len(b):]
	}
	for _, e := range events {
		e.Data, e.Metadata, e.Raw = own(e.Data), own(e.Metadata), nil
		r.events = append(r.events, e)
	}
}

// after gives up to limit events after the position, as far as they are at hand.
func (r *recent) after(p es.Position, limit int) []es.Recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.events)
	if n == 0 || p >= r.events[n-1].Position || p+1 < r.events[0].Position {
		return nil
	}
	events := r.events[p+1-r.events[0].Position:]
	events = events[:min(limit, len(events))]
	for i := range events {
		if events[i].Raw != nil { // somebody has asked for it before
			continue
		}
		stored, err := es.ParseRecorded(events[i].AppendJSON(make([]byte, 0, len(events[i].Data)+len(events[i].Metadata)+room)))
		if err != nil { // then the database tells
			return nil
		}
		events[i] = stored
	}
	return slices.Clone(events)
}
