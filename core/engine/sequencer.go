package engine

import (
	"context"
	"slices"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// sequencer decides commands one after another and writes those that waited together in one transaction. While one batch
// is on its way commands only queue, so nothing is ever decided on top of something that may fail. It is a step-wise state
// machine: run calls step for one batch after another; a test may do so in its own order.
type sequencer struct {
	*Options
	snapshots *snapshots
	queue     chan *Ticket
	stopped   chan struct{} // closed when no batch will be taken any more

	states  *states
	head    es.Position // of the store after the last unit of work
	foreign es.Position // the head at which events of another process were last noticed
	working working
}

func newSequencer(o *Options, snapshots *snapshots) *sequencer {
	return &sequencer{Options: o, snapshots: snapshots, queue: make(chan *Ticket, o.QueueSize), stopped: make(chan struct{}), states: newStates(o.CacheSize)}
}

// submit puts a ticket into the queue. When the queue is full it waits for room, or fails with ErrOverloaded.
func (s *sequencer) submit(ctx context.Context, t *Ticket, wait bool) error {
	if s.asking(ctx) == nil {
		return access.ErrUnauthenticated
	}
	t.ctx, t.taken, t.stopped = ctx, s.Now(), s.stopped
	t.prepare(ctx, s.Options)
	// gofail: var afterAuthz struct{}
	select {
	case <-s.stopped:
		return ErrStopping
	case <-ctx.Done():
		return ctx.Err()
	default:
	}
	if !wait {
		select {
		case s.queue <- t:
			return nil
		default:
			return ErrOverloaded
		}
	}
	select {
	case s.queue <- t:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.stopped:
		return ErrStopping
	}
}

// run takes batches until ctx ends, then answers what is in the queue.
func (s *sequencer) run(ctx context.Context) {
	defer close(s.stopped)
	durable := context.WithoutCancel(ctx) // a batch that was begun is finished
	var batch []*Ticket
	for {
		select {
		case t := <-s.queue:
			batch = s.gather(append(batch[:0], t))
		case <-ctx.Done():
			if batch = s.gather(batch[:0]); len(batch) == 0 {
				return
			}
		}
		s.step(durable, batch)
		clear(batch)
	}
}

// gather adds to the batch what is in the queue right now. It does not linger: an idle system commits at once.
func (s *sequencer) gather(batch []*Ticket) []*Ticket {
	n := 0
	for _, t := range batch {
		n += len(t.jobs)
	}
	for n < s.BatchSize {
		select {
		case t := <-s.queue:
			batch = append(batch, t)
			n += len(t.jobs)
		default:
			return batch
		}
	}
	return batch
}

// step decides and writes one batch and answers it.
func (s *sequencer) step(ctx context.Context, batch []*Ticket) {
	began := s.Now()
	w := &s.working
	w.reset()
	live := batch[:0]
	for _, t := range batch {
		if err := t.ctx.Err(); err != nil {
			t.refuse(ErrClientLeft.Because(err))
			s.finish(t, nil)
			continue
		}
		live = append(live, t)
		for i := range t.jobs {
			s.need(ctx, &t.jobs[i])
		}
	}
	err := s.transact(ctx, live, began)
	for _, t := range live {
		s.finish(t, err)
	}
	// gofail: var afterAck struct{}
}

// finish answers a ticket. err is what kept its batch from being written, if anything did.
func (s *sequencer) finish(t *Ticket, err error) {
	now := s.Now()
	for i := range t.jobs {
		j := &t.jobs[i]
		if err != nil {
			j.fail(err)
		}
		s.Observer.Decided(ports.Decision{
			Module: j.Command.Module.Name, Command: j.Command.Type.Name, Stream: j.Command.Stream, Metadata: &j.Metadata,
			Replayed: j.result.Answer.Replayed, Err: j.result.Err, Took: now.Sub(t.taken),
		})
	}
	t.lane.settle(t)
	close(t.done)
}

// transact runs the unit of work of a batch: what is known under the lock, the decisions, the commit. On an error nothing
// in memory has moved; the caller tells each job what that means for it.
func (s *sequencer) transact(ctx context.Context, batch []*Ticket, began time.Time) error {
	w := &s.working
	if len(batch) == 0 {
		return nil
	}
	for _, t := range batch {
		for i := range t.jobs {
			t.jobs[i].standing = dependent // on the unit of work, until it is decided
		}
	}
	// gofail: var beforeTxBegin struct{}
	unit, err := s.Store.Begin(ctx, w.needs)
	if err != nil {
		return err
	}
	defer unit.Rollback()
	// gofail: var afterTxBegin struct{}
	locked := s.Now()
	known := unit.Known()
	if known.Head < s.head { // what is in memory rests on events that are no longer there
		err := ports.ErrStoreUnavailable.Say("The store has gone back from position %d to %d, as it may when another server takes over; nothing was done.", s.head, known.Head)
		s.head, s.foreign, s.states = known.Head, known.Head, newStates(s.CacheSize)
		s.Observer.Failed("commands", err)
		return err
	}
	if known.Head != s.head {
		s.head, s.foreign = known.Head, known.Head
	}
	w.begin(s.Registry, known, s.Now())
	for _, t := range batch {
		s.decide(t)
	}
	if len(w.batch.Events) == 0 && len(w.batch.Outcomes) == 0 {
		s.keep()
		return nil
	}
	// gofail: var afterDecide struct{}
	decided := s.Now()
	if err := unit.Commit(ctx, w.batch); err != nil {
		if fault.KindOf(err) == fault.Internal {
			s.Observer.Failed("commit", err)
		}
		return err
	}
	// gofail: var afterCommitBeforeAck struct{}
	s.head += es.Position(len(w.batch.Events))
	w.sealed()
	s.keep()
	s.snapshots.offer(slices.Clone(w.passed))
	s.Observer.Committed(ports.Commit{
		Commands: w.commands, Events: w.batch.Events, Head: s.head, Began: began, Locked: locked, Decided: decided, Ended: s.Now(),
	})
	return nil
}

// keep moves the states of the batch, durable now, into the cache.
func (s *sequencer) keep() {
	for i := range s.working.slots {
		if sl := &s.working.slots[i]; sl.err == nil {
			s.states.Put(sl.Stream, known{Folded: sl.Folded, at: s.head})
		}
	}
}

// need notes what a job must know, and loads the states of streams that are not in memory; that needs no lock.
func (s *sequencer) need(ctx context.Context, j *job) {
	w := &s.working
	if j.storeKey != "" {
		w.needKey(j.storeKey)
	}
	for _, id := range j.streams {
		if w.has(id) {
			continue
		}
		k, ok := s.states.Get(id)
		switch {
		case !ok:
			var err error
			// gofail: var beforeLoad struct{}
			k, err = s.load(ctx, id)
			// gofail: var afterLoad struct{}
			w.needStream(id, k, err)
		case k.at >= s.foreign: // every event since was ours
			k.at = s.head
			w.needStream(id, k, nil)
		default:
			w.needStream(id, k, nil)
		}
	}
}

// pageSize is how many events are read from the store at a time.
const pageSize = 1000

// load folds a stream from the store.
func (s *sequencer) load(ctx context.Context, id es.StreamID) (known, error) {
	k := known{Folded: es.Folded{Stream: id}}
	head, err := s.Store.Head(ctx)
	if err != nil {
		return k, err
	}
	k.at = head // what is written after this is in the tail that the unit of work gives
	return k, s.snapshots.fold(ctx, &k.Folded, head)
}
