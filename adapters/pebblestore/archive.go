package pebblestore

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"daybook/core/es"
	"daybook/core/ports"
)

// forgetStep is how many events are forgotten by one write: few enough that a commit beside it waits for milliseconds.
const forgetStep = 16 << 10

// keyArchived has the position up to which events were forgotten.
var keyArchived = []byte{tableArchived}

// appendLastKey appends the key of what is kept of the last forgotten event of the stream. Ids of streams are not empty.
func appendLastKey(dst []byte, stream es.StreamID) []byte {
	return append(append(dst, tableArchived), stream...)
}

// Archived implements ports.Store.
func (s *Store) Archived(ctx context.Context) (es.Position, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.archived.At(), nil
}

// Forget implements ports.Store. It goes in steps, each one synced write that deletes the events, moves the archived position, and
// keeps the hash of the last event of each stream, since the stream may go on from there. The turn of those who write is not taken.
func (s *Store) Forget(ctx context.Context, upTo es.Position) error {
	if err := s.forgetting.Take(ctx); err != nil {
		return err
	}
	defer s.forgetting.End()
	from := s.archived.At()
	if err := s.mayForget(ctx, upTo); err != nil || upTo <= from {
		return err
	}
	for at := from; at < upTo; {
		at = min(upTo, at+es.Position(s.options.forgetStep))
		if err := s.forgetNext(ctx, at); err != nil {
			return err
		}
	}
	s.giveRoomBack(ctx, from+1, upTo)
	return nil
}

// mayForget refuses what cannot be forgotten, and says in the directory's mark that something will be: a Daybook that knows
// nothing of this must not open it.
func (s *Store) mayForget(ctx context.Context, upTo es.Position) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if upTo <= s.archived.At() {
		return nil
	}
	if head := s.head.At(); upTo >= head {
		return ports.ErrBatchRefused.Say("Events up to position %d cannot be forgotten: the last event of the store, at position %d, has to stay. Nothing was done.", upTo, head)
	}
	if sealed := s.tree.Load().Size; upTo > sealed {
		return ports.ErrSealBroken.Say("The seal of the store is over %d events: those up to position %d cannot be forgotten. Nothing was done; daybook verify says more.", sealed, upTo)
	}
	if err := s.roomToForget(); err != nil || s.forgetful.Load() {
		return err
	}
	if err := s.mark(formatArchived); err != nil {
		return ports.ErrStoreUnavailable.Say("The file %s in %s cannot be written; nothing was done.", markFile, s.options.Dir).Because(err)
	}
	s.forgetful.Store(true)
	return nil
}

// forgetNext forgets the events that come next, up to a position, all or none.
func (s *Store) forgetNext(ctx context.Context, to es.Position) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.stop.failure(); err != nil {
		return s.failed(err)
	}
	from := s.archived.At() + 1
	write := s.db.NewBatch()
	_ = write.Set(keyArchived, binary.BigEndian.AppendUint64(nil, uint64(to)), nil) // first: checkLog knows the write by it
	_ = write.DeleteRange(appendEventKey(nil, from), appendEventKey(nil, to+1), nil)
	if err := s.keepLast(write, from, to); err != nil {
		_ = write.Close() // gives its memory back
		return err
	}
	durability := pebble.Sync
	if s.options.NoSync {
		durability = pebble.NoSync
	}
	s.wrote.Store(true)
	if err := s.stop.guard(func() error { return write.Commit(durability) }); err != nil {
		return s.failed(err)
	}
	// gofail: var pebbleMidPurge struct{}
	s.archived.Raise(to)
	return write.Close()
}

// keepLast adds to a write what must be known of the last event of each stream among those from one position to another.
func (s *Store) keepLast(write *pebble.Batch, from, to es.Position) error {
	r, err := s.events(from, to)
	if err != nil {
		return err
	}
	defer r.close()
	last := map[es.StreamID]ports.StreamEnd{}
	for p := from; p <= to; p++ {
		var e es.Recorded
		if err := r.read(&e, p, int(to-p)+1); err != nil {
			return err
		}
		last[e.Stream] = ports.StreamEnd{Version: e.Version, Hash: e.Hash}
	}
	for _, stream := range slices.Sorted(maps.Keys(last)) {
		end := last[stream]
		value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(end.Hash)), uint64(end.Version))
		_ = write.Set(appendLastKey(nil, stream), append(value, end.Hash[:]...), nil) // fails for indexed batches alone
	}
	return nil
}

// lastForgotten gives the version and the hash of the last forgotten event of a stream.
func (s *Store) lastForgotten(stream es.StreamID) (end ports.StreamEnd, err error) {
	v, err := s.get(appendLastKey(nil, stream))
	if err != nil {
		return end, s.unreadable(err, "the end of "+string(stream))
	}
	if len(v) != 8+len(end.Hash) {
		return end, s.damaged("what was kept of the end of "+string(stream)+" is not as it was written.", nil)
	}
	return ports.StreamEnd{Version: es.Version(binary.BigEndian.Uint64(v)), Hash: es.Hash(v[8:])}, nil
}

// readArchived reads the archived position from the table: there it changes together with the events.
func (s *Store) readArchived() (es.Position, error) {
	v, err := s.get(keyArchived)
	if err != nil {
		return 0, s.unreadable(err, "the archived position")
	}
	p, ok := parsePosition(v)
	if !ok && v != nil {
		return 0, s.damaged("the archived position is not as it was written.", nil)
	}
	return p, nil
}

// giveRoomBack has Pebble drop what was deleted. It is no failure when that does not come to its end: Pebble does it later.
func (s *Store) giveRoomBack(ctx context.Context, from, to es.Position) {
	if err := s.enter(ctx); err != nil {
		return
	}
	defer s.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	err := s.stop.guard(func() error { return s.db.Compact(ctx, appendEventKey(nil, from), appendEventKey(nil, to+1), false) })
	if err != nil && ctx.Err() == nil {
		s.options.Logf("The store in %s has forgotten the events up to position %d, and not all of their room was given back yet: %v", s.options.Dir, to, err)
	}
}
