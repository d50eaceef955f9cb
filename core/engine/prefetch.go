package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"daybook/core/es"
	"daybook/core/ports"
)

// prefetched reads the feed ahead of its consumer. Positions have no gap, so the pages that follow are known before the one
// before them is read: two are read at one time, and reading, parsing and folding share the processors there are. Each page is read
// from the last event of the one before it on, to see that the store still has that.
type prefetched struct {
	after   es.Position        // of what was given
	hash    es.Hash            // of the event there; zero: it is not known
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

// errGoneBack: the store no longer has an event that was read from it, as after a failover to a server that had not got it yet.
var errGoneBack = errors.New("engine: the store has gone back")

// prefetch reads the feed after a position, where the event with the hash is, in pages of the size. The first page is read alone:
// mostly it is the last.
func prefetch(ctx context.Context, store ports.Store, after es.Position, hash es.Hash, size int) *prefetched {
	ctx, cancel := context.WithCancel(ctx)
	p := &prefetched{after: after, hash: hash, pages: make(chan chan feedPage, pagesAhead-1), cancel: cancel}
	read := func(after es.Position) feedPage {
		from := max(after, 1) - 1
		limit := size + int(after-from)
		events, err := store.ReadFeed(ctx, from, limit)
		return feedPage{events: events, last: len(events) < limit, err: err}
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
	coming, ok := <-p.pages
	if !ok {
		return feedPage{err: ctx.Err()} // the reader saw the context end
	}
	page := <-coming
	if page.err == nil && p.after > 0 {
		if len(page.events) == 0 || p.hash != (es.Hash{}) && p.hash != page.events[0].Hash {
			return feedPage{err: fmt.Errorf("%w and does not have the event at position %d any more", errGoneBack, p.after)}
		}
		page.events = page.events[1:]
	}
	if n := len(page.events); n > 0 {
		p.after, p.hash = page.events[n-1].Position, page.events[n-1].Hash
	}
	return page
}

// stop ends the reading and returns when all readers are gone.
func (p *prefetched) stop() {
	p.cancel()
	p.running.Wait()
}
