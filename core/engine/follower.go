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
	saved, savedAt := at, f.Now()
	defer func() { // so that an orderly stop makes nothing come again
		if at != saved && ctx.Err() != nil {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveEvery)
			defer cancel()
			err = errors.Join(err, f.Store.SaveCheckpoint(last, f.name, token, at))
		}
	}()
	for {
		if err := f.await(ctx, at, saved != at); err != nil {
			return gotOn, err
		}
		taken, failed := f.next(ctx, at)
		gotOn = gotOn || taken > 0
		at += es.Position(taken)
		if taken < f.page {
			pause(ctx, f.pace)
		}
		if now := f.Now(); at != saved && (taken == 0 || failed != nil || now.Sub(savedAt) >= saveEvery) {
			if err := f.Store.SaveCheckpoint(ctx, f.name, token, at); err != nil {
				return gotOn, errors.Join(failed, err)
			}
			// gofail: var afterMark struct{}
			saved, savedAt = at, now
		}
		if failed != nil {
			return gotOn, failed
		}
	}
}

// start is where the follower goes on. A checkpoint ahead of the store means that the store was restored to an earlier
// state: what follows must be taken.
func (f *follower) start(ctx context.Context) (es.Position, error) {
	at, err := f.Store.Checkpoint(ctx, f.name)
	if err != nil {
		return 0, err
	}
	head, err := f.Store.Head(ctx)
	return min(at, head), err
}

// await waits until there are events after the position; when there is something to save, not for long.
func (f *follower) await(ctx context.Context, at es.Position, unsaved bool) error {
	if !unsaved {
		return f.Store.Wait(ctx, at)
	}
	short, cancel := context.WithTimeout(ctx, saveEvery)
	defer cancel()
	if err := f.Store.Wait(short, at); err != nil && (ctx.Err() != nil || short.Err() == nil) {
		return err
	}
	return nil
}

// next takes the next page of events after the position and gives how many that were.
func (f *follower) next(ctx context.Context, at es.Position) (int, error) {
	events, err := f.Store.ReadFeed(ctx, at, f.page)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	return f.take(ctx, events)
}
