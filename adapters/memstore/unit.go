package memstore

import (
	"bytes"
	"context"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// unit is a ports.Unit. Whoever has it open holds the store's turn.
type unit struct {
	store *Store
	known ports.Known
	ended bool
}

// Begin implements ports.Store.
func (s *Store) Begin(ctx context.Context, needs ports.Needs) (ports.Unit, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := s.turn.Take(ctx); err != nil {
		return nil, err
	}
	if err := s.usable(ctx); err != nil {
		s.turn.End()
		return nil, err
	}
	return &unit{store: s, known: s.known(needs)}, nil
}

func (s *Store) known(needs ports.Needs) ports.Known {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k := ports.Known{
		Head:     es.Position(len(s.events)),
		Tails:    make([][]es.Recorded, len(needs.Streams)),
		Outcomes: make([]*ports.Outcome, len(needs.Keys)),
	}
	if k.Head > 0 {
		k.LastRecordedAt = s.events[k.Head-1].RecordedAt
	}
	for i, n := range needs.Streams {
		if n.At < k.Head {
			k.Tails[i] = s.tail(n.Stream, n.After, -1)
		}
	}
	for i, key := range needs.Keys {
		k.Outcomes[i] = s.outcomes[key]
	}
	return k
}

// Known implements ports.Unit.
func (u *unit) Known() ports.Known { return u.known }

// Rollback implements ports.Unit.
func (u *unit) Rollback() {
	if !u.ended {
		u.ended = true
		u.store.turn.End()
	}
}

// Commit implements ports.Unit.
func (u *unit) Commit(ctx context.Context, b ports.Batch) error {
	if u.ended {
		return ports.ErrBatchRefused.Say("The unit of work has ended already; nothing was written.")
	}
	defer u.Rollback()
	if err := ctx.Err(); err != nil {
		return err
	}
	events, next, err := u.record(b.Events)
	if err != nil {
		return err
	}
	s := u.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return ports.ErrStoreClosed
	}
	for _, e := range events {
		s.streams[e.Stream] = append(s.streams[e.Stream], e.Position)
		s.see(e.RecordedAt)
	}
	s.events = append(s.events, events...)
	s.tree = next.Tree
	for _, n := range next.Nodes {
		s.nodes[n.Level] = append(s.nodes[n.Level], n.Hash)
	}
	for _, o := range b.Outcomes {
		s.keep(o)
	}
	s.forget()
	s.head.Raise(es.Position(len(s.events)))
	return nil
}

// record checks that the events continue the store and brings them into the form they are kept in.
func (u *unit) record(events []es.Recorded) ([]es.Recorded, *ports.Continuation, error) {
	recorded := make([]es.Recorded, len(events))
	next := &ports.Continuation{
		Head: u.known.Head, Last: u.known.LastRecordedAt, Ends: map[es.StreamID]ports.StreamEnd{}, Tree: u.store.tree.Clone(),
		End: func(stream es.StreamID) (ports.StreamEnd, error) { return u.store.streamEnd(stream), nil },
	}
	for i := range events {
		if err := next.Take(&events[i]); err != nil {
			return nil, nil, err
		}
		var err error
		if recorded[i], err = es.ParseRecorded(events[i].JSON()); err != nil {
			return nil, nil, ports.ErrBatchRefused.Because(err)
		}
	}
	return recorded, next, nil
}

func (s *Store) streamEnd(stream es.StreamID) ports.StreamEnd {
	s.mu.RLock()
	defer s.mu.RUnlock()
	positions := s.streams[stream]
	if len(positions) == 0 {
		return ports.StreamEnd{}
	}
	last := &s.events[positions[len(positions)-1]-1]
	return ports.StreamEnd{Version: last.Version, Hash: last.Hash}
}

func (s *Store) see(t time.Time) {
	if t.After(s.newest) {
		s.newest = t
	}
}

func (s *Store) keep(o ports.Outcome) {
	o.Body = bytes.Clone(o.Body)
	o.RecordedAt = o.RecordedAt.UTC().Truncate(time.Microsecond)
	s.outcomes[o.Key] = &o
	if o.Refusal {
		s.refusals = append(s.refusals, &o)
	}
	s.see(o.RecordedAt)
}

// forget drops the refusals at the front of the queue that have been kept for long enough. A key that got another outcome
// since keeps that one.
func (s *Store) forget() {
	for len(s.refusals) > 0 && s.newest.Sub(s.refusals[0].RecordedAt) > ports.RefusalsKept {
		o := s.refusals[0]
		s.refusals = s.refusals[1:]
		if s.outcomes[o.Key] == o {
			delete(s.outcomes, o.Key)
		}
	}
}
