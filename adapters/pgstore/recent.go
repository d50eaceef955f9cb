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
	events []es.Recorded // contiguous; of those that nobody has asked for yet, position and raw form alone
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
	for i := range events {
		r.events = append(r.events, es.Recorded{Position: events[i].Position, Raw: events[i].Raw})
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
		if events[i].Version > 0 {
			continue
		}
		stored, err := es.ParseRecorded(events[i].Raw)
		if err != nil { // then the database tells
			return nil
		}
		events[i] = stored
	}
	return slices.Clone(events)
}
