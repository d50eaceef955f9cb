package engine

import (
	"context"
	"sync"

	"daybook/core/es"
	"daybook/core/ports"
)

// prefetched reads the feed ahead of its consumer. Positions have no gap, so the pages that follow are known before the one
// before them is read: two are read at one time, and reading, parsing and folding share the processors there are. Each page is read
// from the last event of the one before it on, to see that the store still has that.
type prefetched struct {
	at      footing            // behind what was given
	pages   chan chan feedPage // in the order of the feed
	cancel  context.CancelFunc
	running sync.WaitGroup
}

type feedPage struct {
	events []es.Recorded
	last   bool // it ends at the head, as it was when the page was read
	err    error
}

// readAhead is how many events a page of a long read holds, and pagesAhead how many pages are read at one time.
const (
	readAhead  = 4000
	pagesAhead = 2
)

// prefetch reads the feed from somewhere on, in pages of the size. The first page is read alone: mostly it is the last.
func prefetch(ctx context.Context, store ports.Store, at footing, size int) *prefetched {
	ctx, cancel := context.WithCancel(ctx)
	p := &prefetched{at: at, pages: make(chan chan feedPage, pagesAhead-1), cancel: cancel}
	read := func(after es.Position) feedPage {
		from, limit := footing{position: after}.onFrom(size)
		events, err := store.ReadFeed(ctx, from, limit)
		return feedPage{events: events, last: len(events) < limit, err: err}
	}
	p.running.Go(func() {
		defer close(p.pages)
		first, after := make(chan feedPage, 1), at.position
		p.pages <- first
		page := read(after)
		first <- page
		for !page.last && page.err == nil {
			after += es.Position(size)
			from, next := after, make(chan feedPage, 1)
			select {
			case p.pages <- next:
			case <-ctx.Done():
				return
			}
			p.running.Go(func() { next <- read(from) })
		}
	})
	return p
}

// next gives the next page. After one that is last or has an error there is no other.
func (p *prefetched) next(ctx context.Context) feedPage {
	coming, ok := <-p.pages
	if !ok {
		return feedPage{err: ctx.Err()} // the reader saw the context end
	}
	page := <-coming
	if page.err == nil {
		page.events, page.err = p.at.on(page.events)
	}
	if n := len(page.events); n > 0 {
		p.at.move(&page.events[n-1])
	}
	return page
}

// stop ends the reading and returns when all readers are gone.
func (p *prefetched) stop() {
	p.cancel()
	p.running.Wait()
}
