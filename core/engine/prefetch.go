package engine

import (
	"context"
	"sync"

	"daybook/core/es"
	"daybook/core/ports"
)

// prefetched reads the feed ahead of its consumer. Positions have no gap, so the pages that follow are known before the one
// before them is read: two are read at one time, and reading, parsing and folding share the processors there are.
type prefetched struct {
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

// prefetch reads the feed after a position, in pages of the size. The first page is read alone: mostly it is the last.
func prefetch(ctx context.Context, store ports.Store, after es.Position, size int) *prefetched {
	ctx, cancel := context.WithCancel(ctx)
	p := &prefetched{pages: make(chan chan feedPage, pagesAhead-1), cancel: cancel}
	read := func(after es.Position) feedPage {
		events, err := store.ReadFeed(ctx, after, size)
		return feedPage{events: events, last: len(events) < size, err: err}
	}
	p.running.Go(func() {
		defer close(p.pages)
		first := make(chan feedPage, 1)
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
	if page, ok := <-p.pages; ok {
		return <-page
	}
	return feedPage{err: ctx.Err()} // the reader saw the context end
}

// stop ends the reading and returns when all readers are gone.
func (p *prefetched) stop() {
	p.cancel()
	p.running.Wait()
}
