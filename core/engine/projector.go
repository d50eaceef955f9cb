package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// projector keeps the views up to date. A message from the bus only says that a position exists: the events themselves are
// read from the store, from the checkpoint to the head, so a lost, repeated or reordered message does no harm.
type projector struct {
	*Options
	snapshots *snapshots
	writing   ports.Turn   // held while the views that readers see are written
	live      *folding     // of those views
	open      bool         // they are open, and p.live is where they are
	reached   es.Watermark // their checkpoint as written here
	filling   atomic.Bool  // they are being filled and closed to readers

	rebuilding atomic.Bool            // a set is being built beside
	compared   atomic.Pointer[result] // of the last rebuild of this process
}

func newProjector(o *Options, snapshots *snapshots) *projector {
	p := &projector{Options: o, snapshots: snapshots, writing: ports.NewTurn(context.Background()), live: newFolding(o, snapshots, o.Views)}
	p.live.shown = p.shown
	return p
}

// shown tells those who wait, and the observer, what readers now see.
func (p *projector) shown(ctx context.Context, batch ports.Passage) {
	p.reached.Raise(batch.To)
	if head, err := p.Store.Head(ctx); err == nil {
		batch.Ended = p.Now()
		p.Observer.Projected(batch, head)
	}
}

// viewsLease is the lease of those who write shared views.
const viewsLease = "views"

// idlePoll is how often an idle projector looks after what nobody tells it of.
const idlePoll = time.Second

// run keeps the views up to date until ctx ends. token is that of the lease for shared views. The store is all it takes: with the
// bus it is quicker, once that can be subscribed to.
func (p *projector) run(ctx context.Context, token ports.Token) {
	if p.writing.Take(ctx) != nil {
		return
	}
	p.live.token, p.open = token, false // what another process has written meanwhile is not known here
	p.writing.End()
	if !p.until(ctx, "fill the views", p.catchUp) {
		return
	}
	var subscribing sync.WaitGroup
	defer subscribing.Wait()
	subscribing.Go(func() {
		p.until(ctx, "subscribe to "+p.EventsTopic, func(ctx context.Context) error {
			return p.Bus.Subscribe(ctx, ports.Subscription{Topic: p.EventsTopic}, p.handle)
		})
	})
	var beside sync.WaitGroup
	defer beside.Wait()
	var minded time.Time
	for ; ctx.Err() == nil; p.idle(ctx) {
		err := p.catchUp(ctx)
		if now := p.Now(); err == nil && p.Views.Shared() && now.Sub(minded) >= idlePoll {
			minded = now
			err = p.mind(ctx, &beside)
		}
		if err != nil && ctx.Err() == nil {
			p.Observer.Failed("project", err)
			pause(ctx, idlePoll)
		}
	}
}

// grace is how long the projector leaves to the bus to tell it of a new event before it looks by itself.
const grace = 50 * time.Millisecond

// idle waits until the store has more than the views show, but not long: the bus may have lost a message, or be away.
func (p *projector) idle(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, idlePoll)
	defer cancel()
	if err := p.Store.Wait(short, p.reached.At()); err != nil && short.Err() == nil {
		pause(ctx, idlePoll)
		return
	}
	pause(short, grace)
}

// until does something until it succeeds, and reports whether it did before ctx ended.
func (p *projector) until(ctx context.Context, what string, do func(context.Context) error) bool {
	for failures := 0; ctx.Err() == nil; failures++ {
		err := do(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() == nil {
			p.Observer.Failed(what, err)
			pause(ctx, backoff(failures))
		}
	}
	return false
}

// mind looks after shared views: somebody may have deleted them, written them, or asked for a rebuild.
func (p *projector) mind(ctx context.Context, beside *sync.WaitGroup) error {
	asked, err := p.Store.Checkpoint(ctx, rebuildAsked)
	if err != nil {
		return err
	}
	done, err := p.Store.Checkpoint(ctx, rebuildDone)
	if err != nil {
		return err
	}
	if asked > done && p.rebuilding.CompareAndSwap(false, true) {
		beside.Go(func() {
			defer p.rebuilding.Store(false)
			if err := p.rebuildShared(ctx, asked); err != nil && ctx.Err() == nil {
				p.Observer.Failed("rebuild the views", err)
				pause(ctx, idlePoll)
			}
		})
	}
	if err := p.writing.Take(ctx); err != nil {
		return err
	}
	defer p.writing.End()
	progress, err := p.Views.Progress(ctx)
	if err != nil {
		return err
	}
	p.open = progress.Open && progress.Checkpoint == p.live.at
	return nil
}

// catchUp brings the views to the head and, unless they are, opens them.
func (p *projector) catchUp(ctx context.Context) error {
	_, err := p.catchUpTo(ctx, toHead)
	return err
}

// catchUpTo is catchUp for one who needs no more than a position: who has waited for a turn may find it reached. The token is the one
// that the views are written with then.
func (p *projector) catchUpTo(ctx context.Context, position es.Position) (ports.Token, error) {
	if err := p.writing.Take(ctx); err != nil {
		return 0, err
	}
	defer p.writing.End()
	if !p.open {
		return p.live.token, p.start(ctx)
	}
	if p.live.at >= position {
		return p.live.token, nil
	}
	err := p.live.follow(ctx, p.page(), toHead)
	if err != nil {
		p.open = false // whatever it was: begin again from what the views say
	}
	if errors.Is(err, errGoneBack) {
		err = p.start(ctx)
	}
	return p.live.token, err
}

// start takes the views over from whoever wrote them before: it goes on at their checkpoint if they have one, else at the
// beginning, up to the head, and opens them.
func (p *projector) start(ctx context.Context) error {
	useful, err := p.useful(ctx, p.Views)
	if err != nil {
		return err
	}
	if !useful {
		return p.fill(ctx)
	}
	if err := p.live.adopt(ctx); err != nil {
		return err
	}
	return p.followAndOpen(ctx, p.page())
}

// farBehind is what part of the store views must be behind for it to be quicker to fill them anew: to go on with the views of an
// account that is not in memory costs as much as folding some hundred events in a row.
const farBehind = 300

// useful reports whether a set of views has documents that can be gone on with.
func (p *projector) useful(ctx context.Context, set ports.ViewSet) (bool, error) {
	progress, err := set.Progress(ctx)
	if err != nil || progress.Checkpoint == 0 {
		return false, err
	}
	foreign, err := p.foreign(ctx, progress)
	if err != nil {
		return false, err
	}
	if foreign != "" {
		p.Observer.Failed("use the views that are there", fmt.Errorf("engine: they end with the event at position %d, %s: they are filled anew", progress.Checkpoint, foreign))
		return false, nil
	}
	if progress.Open || p.Views.Shared() {
		return true, nil
	}
	head, err := p.Store.Head(ctx) // a process before this one has kept them
	if err != nil || head <= progress.Checkpoint+head/farBehind {
		return err == nil, err
	}
	archived, err := p.Store.Archived(ctx) // to fill them anew takes all of the archive, which is slow and may be away
	return archived > 0 && progress.Checkpoint >= archived, err
}

// foreign says why views are not of this store's history, which may have been put back to an earlier state, or be another one;
// "" if they are.
func (p *projector) foreign(ctx context.Context, progress ports.Progress) (why string, err error) {
	if progress.Checkpoint == 0 {
		return "", nil
	}
	last, err := p.Store.ReadFeed(ctx, progress.Checkpoint-1, 1)
	switch {
	case err != nil:
		return "", err
	case len(last) == 0:
		return "which the store does not have", nil
	case progress.Hash != es.Hash{} && progress.Hash != last[0].Hash:
		return "and the store has another one there", nil
	}
	return "", nil
}

// page is how many events are shown by one Write while readers look on. For shared views a Write is a few requests over the
// network, whatever it holds; those in memory are quick, and readers wait less when they are written often.
func (p *projector) page() int {
	if p.Views.Shared() {
		return 10 * pageSize
	}
	return pageSize
}

func (p *projector) followAndOpen(ctx context.Context, every int) error {
	if err := p.live.follow(ctx, every, toHead); err != nil {
		return err
	}
	if err := p.Views.Open(ctx, p.live.token); err != nil {
		return err
	}
	p.open = true
	return nil
}

// handle takes a message of the bus. What has been projected is done; else the store is read up to its head.
func (p *projector) handle(ctx context.Context, m ports.Message) error {
	position, err := strconv.ParseUint(m.Headers[HeaderPosition], 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "bad_event_message", "the message has no position: "+err.Error())
	}
	if p.reached.At() >= es.Position(position) || p.filling.Load() { // a fill ends at the head in any case
		return nil
	}
	_, err = p.catchUpTo(ctx, es.Position(position))
	return err
}

// fill empties the views, fills them from the whole store, and opens them at the head.
func (p *projector) fill(ctx context.Context) error {
	p.filling.Store(true)
	defer p.filling.Store(false)
	p.open = false
	if err := p.live.empty(ctx); err != nil {
		return err
	}
	p.live.states = newStates(1 << 40) // nothing is dropped and read again while every stream is being folded
	defer p.live.forget()
	return p.followAndOpen(ctx, fillPage)
}
