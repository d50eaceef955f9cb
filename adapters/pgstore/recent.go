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
	first  es.Position // of the events, which have no gap
	events []kept
	root   es.Hash // of the store's tree with the last of them
}

// kept is an event as it was committed: nobody else has its JSON, while its texts are the writer's to use again.
type kept struct {
	json  []byte
	event es.Recorded // read from it, once somebody has asked; until then it has no position
}

// mostRecent is how many events are kept, about.
const mostRecent = 4096

// add keeps events that were committed, with the roots of the store's tree before and after them. Commits of other processes in
// between make what was kept useless, and so does a database that has lost some of it.
func (r *recent) add(events []es.Recorded, before, after es.Hash) {
	if len(events) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 || r.root != before {
		r.first, r.events = events[0].Position, nil
	}
	r.root = after
	if n := len(r.events) - mostRecent/2; n >= mostRecent/2 {
		r.first, r.events = r.first+es.Position(n), slices.Clone(r.events[n:])
	}
	for i := range events {
		r.events = append(r.events, kept{json: events[i].JSON()})
	}
}

// after gives up to limit events after the position, as far as they are at hand.
func (r *recent) after(p es.Position, limit int) []es.Recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p+1 < r.first || p+1 >= r.first+es.Position(len(r.events)) {
		return nil
	}
	at := r.events[p+1-r.first:]
	events := make([]es.Recorded, min(limit, len(at)))
	for i := range events {
		c := &at[i]
		if c.event.Position == 0 {
			var err error
			if c.event, err = es.ParseRecorded(c.json); err != nil { // then the database tells
				return nil
			}
		}
		events[i] = c.event
	}
	return events
}

// forget drops what was kept: the database may no longer have it.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}
