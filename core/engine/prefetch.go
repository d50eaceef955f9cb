package engine

import (
	"context"

	"daybook/core/es"
	"daybook/core/ports"
)

// prefetched reads the feed ahead of its consumer, so that reading and folding share the work of two processors.
type prefetched struct {
	c      chan feedPage // up to the page that is last or has an error
	cancel context.CancelFunc
}

type feedPage struct {
	events []es.Recorded
	last   bool // it ends at the head, as it was when the page was read
	err    error
}

// readAhead is how many events a page of a long read holds.
const readAhead = 4000

// prefetch reads the feed after a position up to the head, in pages of the size.
func prefetch(ctx context.Context, store ports.Store, after es.Position, size int) *prefetched {
	ctx, cancel := context.WithCancel(ctx)
	p := &prefetched{c: make(chan feedPage, 2), cancel: cancel}
	go func() {
		defer close(p.c)
		for {
			events, err := store.ReadFeed(ctx, after, size)
			page := feedPage{events: events, last: len(events) < size, err: err}
			select {
			case p.c <- page:
			case <-ctx.Done():
				return
			}
			if page.last || page.err != nil {
				return
			}
			after = events[len(events)-1].Position
		}
	}()
	return p
}

// stop ends the reading and returns when the reader is gone.
func (p *prefetched) stop() {
	p.cancel()
	for range p.c {
	}
}
