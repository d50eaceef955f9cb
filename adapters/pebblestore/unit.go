package pebblestore

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

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
	if err := s.turn.Take(ctx); err != nil {
		return nil, err
	}
	known, err := s.known(ctx, needs)
	if err != nil {
		s.turn.End()
		return nil, err
	}
	return &unit{store: s, known: known}, nil
}

func (s *Store) known(ctx context.Context, needs ports.Needs) (ports.Known, error) {
	if err := s.enter(ctx); err != nil {
		return ports.Known{}, err
	}
	defer s.leave()
	if err := s.stop.failure(); err != nil {
		return ports.Known{}, s.failed(err)
	}
	if err := s.room(); err != nil {
		return ports.Known{}, err
	}
	k := ports.Known{Head: s.head.At(), LastRecordedAt: s.last}
	var err error
	if k.Tails, err = s.tails(k.Head, needs.Streams); err != nil {
		return ports.Known{}, err
	}
	k.Outcomes, err = s.outcomes(needs.Keys)
	return k, err
}

// tails reads what the caller does not know yet, and notes the versions that the streams are at.
func (s *Store) tails(head es.Position, needs []ports.StreamNeed) ([][]es.Recorded, error) {
	clear(s.ends)
	tails := make([][]es.Recorded, len(needs))
	var index *pebble.Iterator
	for i, n := range needs {
		if n.At >= head {
			s.ends[n.Stream] = ports.StreamEnd{Version: n.After, Hash: n.Hash}
			continue
		}
		if index == nil {
			var err error
			if index, err = s.iterate(tableStreams); err != nil {
				return nil, s.unreadable(err, "the index of streams")
			}
			defer index.Close()
		}
		// One look finds the version that the caller knows, which shows that it is there, and those after it.
		first := max(n.After, 1)
		positions, err := s.positions(index, n.Stream, first, math.MaxInt)
		if err != nil {
			return nil, err
		}
		if n.After > 0 && len(positions) == 0 {
			delete(s.ends, n.Stream) // the caller is wrong, as Commit will find out
			continue
		}
		if tails[i], err = s.eventsAt(positions[n.After-(first-1):], n.Stream, n.After+1); err != nil {
			return nil, err
		}
		end := ports.StreamEnd{Version: n.After, Hash: n.Hash}
		if tail := tails[i]; len(tail) > 0 {
			end = ports.StreamEnd{Version: tail[len(tail)-1].Version, Hash: tail[len(tail)-1].Hash}
		}
		s.ends[n.Stream] = end
	}
	return tails, nil
}

// streamEnd finds where a stream ends.
func (s *Store) streamEnd(stream es.StreamID) (end ports.StreamEnd, err error) {
	index, err := s.iterate(tableStreams)
	if err != nil {
		return end, s.unreadable(err, "the index of streams")
	}
	defer index.Close()
	prefix := appendStreamKey(nil, stream)
	after := append(prefix[:len(prefix)-1:len(prefix)-1], streamEnd+1)
	if index.SeekLT(after) && len(index.Key()) == len(prefix)+8 && string(index.Key()[:len(prefix)]) == string(prefix) {
		version := es.Version(binary.BigEndian.Uint64(index.Key()[len(prefix):]))
		p, ok := parsePosition(index.Value())
		if !ok {
			return end, s.damaged(fmt.Sprintf("the place of version %d of %s is lost.", version, stream), nil)
		}
		last, err := s.eventsAt([]es.Position{p}, stream, version)
		if err != nil {
			return end, err
		}
		if last[0].Forgotten() {
			end, err = s.lastForgotten(stream)
		} else {
			end = ports.StreamEnd{Version: version, Hash: last[0].Hash}
		}
		if err == nil && end.Version != version {
			err = s.damaged(fmt.Sprintf("what was kept of the end of %s is of version %d, and it ends at %d.", stream, end.Version, version), nil)
		}
		return end, err
	}
	if err := index.Error(); err != nil {
		return end, s.unreadable(err, "the version of "+string(stream))
	}
	return end, nil
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
	s := u.store
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.stop.failure(); err != nil {
		return s.failed(err)
	}
	write := s.db.NewBatch()
	next, err := s.addEvents(write, u.known.Head, b.Events)
	if err != nil {
		_ = write.Close() // gives its memory back
		return err
	}
	// gofail: var pebbleAfterInsertEvents struct{}
	oldest := s.addOutcomes(write, next.Last, b.Outcomes)
	if err := s.apply(write, b.Outcomes); err != nil {
		return err
	}
	s.last, s.oldest = next.Last, oldest
	s.tree.Store(&next.Tree)
	s.head.Raise(u.known.Head + es.Position(len(b.Events)))
	return nil
}

// addEvents checks that the events continue the store, seals them and adds them to the write. It gives where the store ends then.
func (s *Store) addEvents(write *pebble.Batch, head es.Position, events []es.Recorded) (*ports.Continuation, error) {
	next := &ports.Continuation{Head: head, Last: s.last, Ends: s.ends, End: s.streamEnd, Tree: s.tree.Load().Clone()}
	for i := range events {
		e := &events[i]
		if err := next.Take(e); err != nil {
			return nil, err
		}
		put(write.SetDeferred(9, len(e.JSON())), appendEventKey, e.Position, e.JSON())
	}
	for _, i := range sorted(len(events), func(i int) string { return string(events[i].Stream) }) {
		e := &events[i]
		row := write.SetDeferred(len(e.Stream)+10, 8)
		appendVersionKey(row.Key[:0], e.Stream, e.Version)
		binary.BigEndian.PutUint64(row.Value, uint64(e.Position))
		_ = row.Finish() // fails for indexed batches alone
	}
	if len(events) > 0 {
		s.addTree(write, next)
	}
	return next, nil
}

// put fills one row of a write.
func put[K any](row *pebble.DeferredBatchOp, appendKey func([]byte, K) []byte, key K, value []byte) {
	appendKey(row.Key[:0], key)
	copy(row.Value, value)
	_ = row.Finish() // fails for indexed batches alone
}

// apply writes a batch and waits until it is durable.
func (s *Store) apply(write *pebble.Batch, outcomes []ports.Outcome) error {
	if write.Empty() {
		return write.Close()
	}
	f := newFlight(outcomes)
	s.writing.Store(f)
	s.wrote.Store(true)
	durability := pebble.Sync
	if s.options.NoSync {
		durability = pebble.NoSync
	}
	// gofail: var pebbleBeforeCommit struct{}
	if err := s.stop.guard(func() error { return write.Commit(durability) }); err != nil {
		s.stop.fail(err)
		return ports.ErrOutcomeUnknown.Because(err)
	}
	// gofail: var pebbleAfterCommit struct{}
	s.writing.Store(nil)
	close(f.landed)
	_ = write.Close() // gives its memory back
	return nil
}
