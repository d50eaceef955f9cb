package engine

import (
	"context"
	"errors"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// follower carries the feed from its checkpoint on to somewhere else, in position order and at least once: the checkpoint
// moves after the events were taken, so a crash between the two makes some come again. One process at a time does it.
type follower struct {
	*Engine
	name string // of its lease and its checkpoint
	work string // for messages
	page int    // events that are taken together at the most
	pace time.Duration
	// take gives how many of the events were taken, all of them unless there is an error.
	take func(ctx context.Context, events []es.Recorded) (int, error)
}

// What the names of followers' checkpoints begin with.
const (
	relayPrefix   = "relay:"
	reactorPrefix = "reactor:"
)

// saveEvery is how long a follower may go on before it saves its checkpoint. Saving more often would take room in the
// store's log from commands; what a crash makes it take again is bounded by this.
const saveEvery = 100 * time.Millisecond

// run follows until ctx ends, whenever this process holds the lease.
func (f *follower) run(ctx context.Context) {
	f.lead(ctx, f.name, func(ctx context.Context, token ports.Token) {
		for failures := 0; ctx.Err() == nil; {
			gotOn, err := f.follow(ctx, token)
			if ctx.Err() != nil || errors.Is(err, ports.ErrLeaseLost) {
				return
			}
			if gotOn { // so the failures are not in a row
				failures = 0
			}
			failures++
			f.Observer.Failed(f.work, err)
			pause(ctx, backoff(failures))
		}
	})
}

// follow goes on from the checkpoint until something fails, and reports whether anything was taken before.
func (f *follower) follow(ctx context.Context, token ports.Token) (gotOn bool, err error) {
	at, err := f.start(ctx)
	if err != nil {
		return false, err
	}
	saved, savedAt := at.position, f.Now()
	defer func() { // so that an orderly stop makes nothing come again
		if at.position != saved && ctx.Err() != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveEvery)
			defer cancel()
			err = errors.Join(err, f.save(last, token, at))
		}
	}()
	for {
		if err := f.await(ctx, at.position, at.position != saved); err != nil {
			return gotOn, err
		}
		events, err := f.read(ctx, &at)
		if err != nil {
			return gotOn, err
		}
		if now := f.Now(); at.position != saved && (len(events) == 0 || now.Sub(savedAt) >= saveEvery) {
			if err := f.Store.SaveCheckpoint(ctx, f.name, token, at.position); err != nil {
				return gotOn, err
			}
			// gofail: var afterMark struct{}
			saved, savedAt = at.position, now
		}
		if len(events) == 0 {
			continue
		}
		taken, failed := f.take(ctx, events)
		if taken > 0 {
			gotOn = true
			at.move(&events[taken-1])
		}
		if failed != nil {
			return gotOn, errors.Join(failed, f.save(ctx, token, at))
		}
		if taken < f.page {
			pause(ctx, f.pace)
		}
	}
}

// start is where the follower goes on. A checkpoint ahead of the store means that the store was restored to an earlier
// state: what follows must be taken.
func (f *follower) start(ctx context.Context) (footing, error) {
	at, err := f.Store.Checkpoint(ctx, f.name)
	if err != nil {
		return footing{}, err
	}
	head, err := f.Store.Head(ctx)
	return footing{position: min(at, head)}, err
}

// await waits until there are events after the position, but not for long: there may be something to save, or the store may
// have gone back.
func (f *follower) await(ctx context.Context, at es.Position, unsaved bool) error {
	patience := idlePoll
	if unsaved {
		patience = saveEvery
	}
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := f.Store.Wait(short, at); err != nil && (ctx.Err() != nil || short.Err() == nil) {
		return err
	}
	return nil
}

// read gives the next page of events, if the store still has the one before them.
func (f *follower) read(ctx context.Context, at *footing) ([]es.Recorded, error) {
	from, limit := at.onFrom(f.page)
	events, err := f.Store.ReadFeed(ctx, from, limit)
	if err != nil {
		return nil, err
	}
	return at.on(events)
}

// save saves the checkpoint, but not over one that went back with the store: what stands in place of lost events is taken from there on.
func (f *follower) save(ctx context.Context, token ports.Token, at footing) error {
	if _, err := f.read(ctx, &at); err != nil {
		return err
	}
	return f.Store.SaveCheckpoint(ctx, f.name, token, at.position)
}
