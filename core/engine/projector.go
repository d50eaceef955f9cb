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
	mu        sync.Mutex // held while the views are written
	token     ports.Token
	states    *states
	parked    map[es.StreamID]string // and why
	at        es.Position
	open      bool         // the views are open, and p.at and p.parked are theirs
	reached   es.Watermark // the checkpoint of the views as written here
	filling   atomic.Bool  // the views are being filled and closed to readers
}

func newProjector(o *Options, snapshots *snapshots) *projector {
	return &projector{Options: o, snapshots: snapshots, states: newStates(o.CacheSize), parked: map[es.StreamID]string{}}
}

// viewsLease is the lease of those who write shared views.
const viewsLease = "views"

// idlePoll is how often an idle projector looks after what nobody tells it of.
const idlePoll = time.Second

// run keeps the views up to date until ctx ends. token is that of the lease for shared views. The store is all it takes: with the
// bus it is quicker, once that can be subscribed to.
func (p *projector) run(ctx context.Context, token ports.Token) {
	p.mu.Lock()
	p.token, p.open = token, false // what another process has written meanwhile is not known here
	p.mu.Unlock()
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
	var minded time.Time
	for ; ctx.Err() == nil; p.idle(ctx) {
		err := p.catchUp(ctx)
		if now := p.Now(); err == nil && p.Views.Shared() && now.Sub(minded) >= idlePoll {
			minded = now
			err = p.mind(ctx)
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
func (p *projector) mind(ctx context.Context) error {
	asked, err := p.Store.Checkpoint(ctx, rebuildAsked)
	if err != nil {
		return err
	}
	done, err := p.Store.Checkpoint(ctx, rebuildDone)
	if err != nil {
		return err
	}
	if asked > done {
		if err := p.rebuild(ctx); err != nil {
			return err
		}
		return p.Store.SaveCheckpoint(ctx, rebuildDone, 0, asked)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	progress, err := p.Views.Progress(ctx)
	if err != nil {
		return err
	}
	p.open = progress.Open && progress.Checkpoint == p.at
	return nil
}

// catchUp brings the views to the head and, unless they are, opens them.
func (p *projector) catchUp(ctx context.Context) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open {
		return p.start(ctx)
	}
	if err = p.follow(ctx, p.page()); err != nil {
		p.open = false // whatever it was: begin again from what the views say
	}
	return err
}

// start takes the views over from whoever wrote them before: it goes on at their checkpoint if they have one, else at the
// beginning, up to the head, and opens them.
func (p *projector) start(ctx context.Context) error {
	progress, err := p.Views.Progress(ctx)
	if err != nil {
		return err
	}
	head, err := p.Store.Head(ctx)
	if err != nil {
		return err
	}
	if progress.Checkpoint == 0 || progress.Checkpoint > head { // ahead of the store: it was restored to an earlier state
		return p.fill(ctx)
	}
	parked, _, err := p.Views.Parked(ctx, maxParked)
	if err != nil {
		return err
	}
	clear(p.parked)
	for _, d := range parked {
		if m := p.Registry.Module(d.View); m != nil {
			p.parked[m.Stream(d.ID)] = d.Reason
		}
	}
	p.at = progress.Checkpoint
	return p.followAndOpen(ctx, p.page())
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
	if err := p.follow(ctx, every); err != nil {
		return err
	}
	if err := p.Views.Open(ctx, p.token); err != nil {
		return err
	}
	p.open = true
	return nil
}

// maxParked is how many parked documents a projector takes over from the one before it.
const maxParked = 1_000_000

// handle takes a message of the bus. What has been projected is done; else the store is read up to its head.
func (p *projector) handle(ctx context.Context, m ports.Message) error {
	position, err := strconv.ParseUint(m.Headers[HeaderPosition], 10, 64)
	if err != nil {
		return fault.New(fault.Invalid, "bad_event_message", "the message has no position: "+err.Error())
	}
	if p.reached.At() >= es.Position(position) || p.filling.Load() { // a fill ends at the head in any case
		return nil
	}
	return p.catchUp(ctx)
}

// fill empties the views, fills them from the whole store, and opens them at the head.
func (p *projector) fill(ctx context.Context) error {
	p.filling.Store(true)
	defer p.filling.Store(false)
	p.open = false
	if err := p.Views.Reset(ctx, p.token); err != nil {
		return err
	}
	p.at = 0
	clear(p.parked)
	p.states = newStates(1 << 40) // nothing is dropped and read again while every stream is being folded
	defer p.forget()
	return p.followAndOpen(ctx, fillPage)
}

// fillPage is how many events are folded before their documents are written, while views are being filled: a stream's
// document is made once for many of its events.
const fillPage = 200_000

// forget keeps of the states no more than the cache may hold.
func (p *projector) forget() {
	small := newStates(p.CacheSize)
	for id, k := range p.states.young {
		if len(small.young) >= p.CacheSize/2 {
			break
		}
		small.young[id] = k
	}
	p.states = small
}

// follow projects everything up to the head and writes after every so many events, and at the head.
func (p *projector) follow(ctx context.Context, every int) error {
	pages := prefetch(ctx, p.Store, p.at, min(every, readAhead))
	defer pages.stop()
	touched := map[es.StreamID]*known{}
	batch := ports.Passage{To: p.at, Began: p.Now()}
	pending := 0
	for {
		page := pages.next(ctx)
		if page.err != nil {
			return page.err
		}
		for i := range page.events {
			if err := p.project(ctx, &page.events[i], touched); err != nil {
				return err
			}
			batch.To = page.events[i].Position
		}
		pending += len(page.events)
		if every < fillPage {
			batch.Events = append(batch.Events, page.events...)
		}
		if pending >= every || page.last && pending > 0 {
			if err := p.write(ctx, touched, batch); err != nil {
				return err
			}
			clear(touched)
			pending = 0
			batch.Events, batch.Began = batch.Events[:0], p.Now()
		}
		if page.last {
			return nil
		}
	}
}

// project folds one event into the state of its stream. An event that cannot be folded parks the stream: its later events
// wait, all others go on.
func (p *projector) project(ctx context.Context, rec *es.Recorded, touched map[es.StreamID]*known) error {
	if p.waits(rec.Stream) {
		return nil
	}
	k := touched[rec.Stream]
	if k == nil {
		var err error
		if k, err = p.state(ctx, rec); err != nil {
			return err
		}
		touched[rec.Stream] = k
	}
	if p.waits(rec.Stream) || k.Version >= rec.Version {
		return nil
	}
	if err := p.snapshots.add(&k.Folded, rec); err != nil {
		p.park(rec, err)
	}
	return nil
}

// waits reports whether the stream is parked.
func (p *projector) waits(id es.StreamID) bool {
	_, parked := p.parked[id]
	return parked
}

// state is the state of a stream before rec, from memory as far as that goes, and what is missing there from the store: all of
// it, or what another process has projected since this one last did.
func (p *projector) state(ctx context.Context, rec *es.Recorded) (*known, error) {
	k, _ := p.states.get(rec.Stream)
	if k.Version+1 < rec.Version {
		if err := p.load(ctx, &k, rec); err != nil {
			return nil, err
		}
	}
	return &k, nil
}

// load folds the events of a stream that k has not seen and that come before rec.
func (p *projector) load(ctx context.Context, k *known, rec *es.Recorded) error {
	k.Stream = rec.Stream
	err := p.snapshots.fold(ctx, &k.Folded, rec.Position-1)
	var stuck *unfoldable
	switch {
	case errors.As(err, &stuck):
		p.park(stuck.rec, stuck.err)
		return nil
	case err == nil && k.Version < rec.Version-1:
		return fmt.Errorf("engine: %s is version %d of %s, but the stream ends at version %d", rec.Position.EventID(), rec.Version, rec.Stream, k.Version)
	}
	return err
}

func (p *projector) park(rec *es.Recorded, err error) {
	p.parked[rec.Stream] = fmt.Sprintf("the event after version %d could not be projected", rec.Version-1)
	if later := (*es.UnreadableError)(nil); errors.As(err, &later) {
		p.parked[rec.Stream] += ": " + later.Error()
	}
	view, id := "", string(rec.Stream)
	if m := p.Registry.ModuleOf(rec.Stream); m != nil {
		view, id = m.Name, m.ID(rec.Stream)
	}
	p.Observer.Parked(view, id, err)
}

// write makes the documents of the streams that changed and moves the checkpoint, in one step.
func (p *projector) write(ctx context.Context, touched map[es.StreamID]*known, batch ports.Passage) error {
	changes := make([]ports.Change, 0, len(touched))
	for id, k := range touched {
		p.states.put(id, *k)
		m := p.Registry.ModuleOf(id)
		if m == nil {
			continue // no module of this build, and so no view
		}
		d := es.Document{ID: m.ID(id), Version: k.Version}
		if k.Version > 0 {
			d.Values = m.View.Values(d.ID, &k.Folded)
		}
		d.Parked = p.parked[id]
		changes = append(changes, ports.Change{View: m.Name, Document: d})
	}
	if err := p.Views.Write(ctx, p.token, changes, p.at, batch.To); err != nil {
		return err
	}
	p.at = batch.To
	p.reached.Raise(p.at)
	if head, err := p.Store.Head(ctx); err == nil {
		batch.Ended = p.Now()
		p.Observer.Projected(batch, head)
	}
	return nil
}
