package engine

import (
	"context"
	"errors"
	"fmt"
	"math"

	"daybook/core/es"
	"daybook/core/ports"
)

// folding brings one set of views from where it is up to the head. One goroutine at a time uses it.
type folding struct {
	*Options
	snapshots *snapshots
	views     ports.ViewSet
	token     ports.Token
	states    *states
	parked    map[es.StreamID]parking
	at        es.Position
	hash      es.Hash                              // of the event there; zero: it is not known
	shown     func(context.Context, ports.Passage) // told of what was written; nil: nobody is
}

func newFolding(o *Options, snapshots *snapshots, views ports.ViewSet) *folding {
	return &folding{Options: o, snapshots: snapshots, views: views, states: newStates(o.CacheSize), parked: map[es.StreamID]parking{}}
}

// parking is why a stream waits, and the version of the event that it waits since.
type parking struct {
	why   string
	since es.Version
}

// adopt goes on where a set of views stands. What whoever wrote it had to park is tried again: this may be the build that knows the
// events.
func (f *folding) adopt(ctx context.Context) error {
	progress, err := f.views.Progress(ctx)
	if err != nil {
		return err
	}
	parked, _, err := f.views.Parked(ctx, maxParked)
	if err != nil {
		return err
	}
	clear(f.parked)
	if f.at > 0 && f.hash != progress.Hash { // others have gone on meanwhile, perhaps from before events that this process has seen
		f.states = newStates(f.CacheSize)
	}
	f.at, f.hash = progress.Checkpoint, progress.Hash
	healed := map[es.StreamID]*known{}
	for _, d := range parked {
		m := f.Registry.Module(d.View)
		if m == nil {
			continue
		}
		if err := f.again(ctx, m.Stream(d.ID), d.Reason, healed); err != nil {
			return err
		}
		if len(healed) >= pageSize {
			if err := f.show(ctx, healed, progress.Hash); err != nil {
				return err
			}
		}
	}
	return f.show(ctx, healed, progress.Hash)
}

// again folds a parked stream up to where the views are. One that still cannot be folded goes on waiting.
func (f *folding) again(ctx context.Context, id es.StreamID, why string, healed map[es.StreamID]*known) error {
	k := &known{Folded: es.Folded{Stream: id}}
	err := f.snapshots.fold(ctx, &k.Folded, f.at)
	switch {
	case errors.As(err, new(*unfoldable)):
		f.parked[id] = parking{why: why}
		return nil
	case err == nil && k.Version > 0:
		healed[id] = k
	}
	return err
}

// show writes the documents of healed streams, where the views are.
func (f *folding) show(ctx context.Context, healed map[es.StreamID]*known, hash es.Hash) error {
	if len(healed) == 0 {
		return nil
	}
	defer clear(healed)
	return f.write(ctx, healed, ports.Passage{To: f.at, Began: f.Now()}, hash)
}

// maxParked is how many parked documents are taken over from who wrote the views before.
const maxParked = 1_000_000

// empty begins with an empty set.
func (f *folding) empty(ctx context.Context) error {
	if err := f.views.Reset(ctx, f.token); err != nil {
		return err
	}
	f.at, f.hash = 0, es.Hash{}
	clear(f.parked)
	return nil
}

// fillPage is how many events are folded before their documents are written, while views are being filled: a stream's
// document is made once for many of its events.
const fillPage = 200_000

// forget keeps of the states no more than the cache may hold.
func (f *folding) forget() { f.states = f.states.Shrunk(f.CacheSize) }

// toHead is no bound.
const toHead = es.Position(math.MaxUint64)

// follow projects everything up to a position, or the head, and writes after every so many events, and at the end.
func (f *folding) follow(ctx context.Context, every int, upTo es.Position) error {
	if f.at >= upTo {
		return nil
	}
	pages := prefetch(ctx, f.Store, footing{f.at, f.hash}, min(every, readAhead))
	defer pages.stop()
	touched := map[es.StreamID]*known{}
	batch := ports.Passage{To: f.at, Began: f.Now()}
	var hash es.Hash // of the event at batch.To
	pending := 0
	for {
		page := pages.next(ctx)
		if page.err != nil {
			return page.err
		}
		if n := len(page.events); n > 0 && page.events[n-1].Position >= upTo {
			page.events, page.last = page.events[:n-int(page.events[n-1].Position-upTo)], true // positions have no gap
		}
		for i := range page.events {
			if err := f.project(ctx, &page.events[i], touched); err != nil {
				return err
			}
			batch.To, hash = page.events[i].Position, page.events[i].Hash
		}
		pending += len(page.events)
		if every < fillPage {
			batch.Events = append(batch.Events, page.events...)
		}
		if pending >= every || page.last && pending > 0 {
			if err := f.write(ctx, touched, batch, hash); err != nil {
				return err
			}
			clear(touched)
			pending = 0
			batch.Events, batch.Began = batch.Events[:0], f.Now()
		}
		if page.last {
			return nil
		}
	}
}

// project folds one event into the state of its stream. An event that cannot be folded parks the stream: its later events
// wait, all others go on.
func (f *folding) project(ctx context.Context, rec *es.Recorded, touched map[es.StreamID]*known) error {
	if f.waits(rec.Stream) {
		return nil
	}
	k := touched[rec.Stream]
	if k == nil {
		var err error
		if k, err = f.state(ctx, rec); err != nil {
			return err
		}
		touched[rec.Stream] = k
	}
	if f.waits(rec.Stream) || k.Version >= rec.Version {
		return nil
	}
	if err := f.snapshots.add(&k.Folded, rec); err != nil {
		f.park(rec, err, rec.Version)
	}
	return nil
}

// waits reports whether the stream is parked.
func (f *folding) waits(id es.StreamID) bool {
	_, parked := f.parked[id]
	return parked
}

// state is the state of a stream before rec, from memory as far as that goes, and what is missing there from the store: all of
// it, or what another process has projected since this one last did.
func (f *folding) state(ctx context.Context, rec *es.Recorded) (*known, error) {
	k, _ := f.states.Get(rec.Stream)
	if k.Version+1 < rec.Version {
		if err := f.load(ctx, &k, rec); err != nil {
			return nil, err
		}
	}
	return &k, nil
}

// load folds the events of a stream that k has not seen and that come before rec.
func (f *folding) load(ctx context.Context, k *known, rec *es.Recorded) error {
	k.Stream = rec.Stream
	err := f.snapshots.fold(ctx, &k.Folded, rec.Position-1)
	var stuck *unfoldable
	switch {
	case errors.As(err, &stuck):
		f.park(stuck.rec, stuck.err, rec.Version)
		return nil
	case err == nil && k.Version < rec.Version-1:
		return fmt.Errorf("engine: %s is version %d of %s, but the stream ends at version %d", rec.Position.EventID(), rec.Version, rec.Stream, k.Version)
	}
	return err
}

// park has a stream wait because of an event, which was met on the way to the version since.
func (f *folding) park(rec *es.Recorded, err error, since es.Version) {
	why := fmt.Sprintf("the event after version %d could not be projected", rec.Version-1)
	if later := (*es.UnreadableError)(nil); errors.As(err, &later) {
		why += ": " + later.Error()
	}
	f.parked[rec.Stream] = parking{why, since}
	view, id := "", string(rec.Stream)
	if m := f.Registry.ModuleOf(rec.Stream); m != nil {
		view, id = m.Name, m.ID(rec.Stream)
	}
	f.Observer.Parked(view, id, err)
}

// write makes the documents of the streams that changed and moves the checkpoint, in one step.
func (f *folding) write(ctx context.Context, touched map[es.StreamID]*known, batch ports.Passage, hash es.Hash) error {
	changes := make([]ports.Change, 0, len(touched))
	for id, k := range touched {
		f.states.Put(id, *k)
		m := f.Registry.ModuleOf(id)
		if m == nil {
			continue // no module of this build, and so no view
		}
		k.Stream = id // also where nothing could be folded
		d := m.Document(&k.Folded)
		if p, parked := f.parked[id]; parked {
			d.Parked, d.Version = p.why, p.since // which is above that of a document that a later build has made
		}
		changes = append(changes, ports.Change{View: m.Name, Document: d})
	}
	// gofail: var beforeProject struct{}
	if err := f.views.Write(ctx, f.token, changes, f.at, batch.To, hash); err != nil {
		return err
	}
	// gofail: var afterCheckpoint struct{}
	f.at, f.hash = batch.To, hash
	if f.shown != nil {
		f.shown(ctx, batch)
	}
	return nil
}
