package pebblestore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"daybook/core/es"
	"daybook/core/ports"
)

// ReadFeed implements ports.Store.
func (s *Store) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	head := s.head.At() // what lies behind it is of a commit that is not durable yet, or failed
	if after >= head || limit <= 0 {
		return nil, nil
	}
	n := min(head-after, es.Position(limit))
	r, err := s.events(after+1, after+n)
	if err != nil {
		return nil, err
	}
	defer r.close()
	page := make([]es.Recorded, n)
	for i := range page {
		if err := r.read(&page[i], after+es.Position(i)+1, len(page)-i); err != nil {
			return nil, err
		}
	}
	return page, nil
}

// ReadStream implements ports.Store.
func (s *Store) ReadStream(ctx context.Context, stream es.StreamID, after es.Version, limit int) ([]es.Recorded, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if limit <= 0 || after == math.MaxUint64 {
		return nil, nil
	}
	index, err := s.iterate(tableStreams)
	if err != nil {
		return nil, s.unreadable(err, "the index of streams")
	}
	defer index.Close()
	positions, err := s.positions(index, stream, after+1, limit)
	if err != nil {
		return nil, err
	}
	return s.eventsAt(positions, stream, after+1)
}

// iterate gives an iterator over one table. It must be closed soon: it keeps files from being deleted.
func (s *Store) iterate(table byte) (*pebble.Iterator, error) {
	return s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
}

// positions gives those of up to limit versions of a stream, beginning with first.
func (s *Store) positions(index *pebble.Iterator, stream es.StreamID, first es.Version, limit int) ([]es.Position, error) {
	head := s.head.At()
	key := appendVersionKey(make([]byte, 0, 80), stream, first)
	prefix := key[:len(key)-8]
	var found []es.Position
	for ok := index.SeekGE(key); ok && len(found) < limit; ok = index.Next() {
		k := index.Key()
		if !bytes.HasPrefix(k, prefix) {
			break
		}
		p, ok := parsePosition(index.Value())
		rises := len(found) == 0 || p > found[len(found)-1]
		if want := first + es.Version(len(found)); !ok || !rises || len(k) != len(key) || binary.BigEndian.Uint64(k[len(prefix):]) != uint64(want) {
			return nil, s.damaged(fmt.Sprintf("the place of version %d of %s is lost.", want, stream), nil)
		}
		if p > head {
			break
		}
		found = append(found, p)
	}
	if err := index.Error(); err != nil {
		return nil, s.unreadable(err, fmt.Sprintf("the place of version %d of %s", first+es.Version(len(found)), stream))
	}
	return found, nil
}

// eventsAt reads the events of a stream at the positions; first is the version of the first of them.
func (s *Store) eventsAt(positions []es.Position, stream es.StreamID, first es.Version) ([]es.Recorded, error) {
	if len(positions) == 0 {
		return nil, nil
	}
	r, err := s.events(positions[0], positions[len(positions)-1])
	if err != nil {
		return nil, err
	}
	defer r.close()
	events := make([]es.Recorded, len(positions))
	for i, p := range positions {
		e, version := &events[i], first+es.Version(i)
		if err := r.read(e, p, len(positions)-i); err != nil {
			return nil, err
		}
		if e.Forgotten() {
			e.Stream, e.Version = stream, version
		} else if e.Stream != stream || e.Version != version {
			return nil, s.damaged(fmt.Sprintf("position %d should hold version %d of %s and holds version %d of %s.", p, version, stream, e.Version, e.Stream), nil)
		}
	}
	return events, nil
}

// reader reads events at rising positions.
type reader struct {
	store *Store
	table *pebble.Iterator
	at    es.Position // where table stands; zero if it is not known
	gone  es.Position // events up to it were forgotten
	slab  []byte      // what is left of it takes the next events: one allocation for many
}

// events gives a reader of the events from one position to another; close it soon.
func (s *Store) events(from, to es.Position) (*reader, error) {
	table, err := s.db.NewIter(&pebble.IterOptions{LowerBound: appendEventKey(nil, from), UpperBound: appendEventKey(nil, to+1)})
	if err != nil {
		return nil, s.unreadable(err, fmt.Sprintf("the event at position %d", from))
	}
	return &reader{store: s, table: table, gone: s.archived.At()}, nil
}

func (r *reader) close() { _ = r.table.Close() } // its errors were seen by read

// slabSize bounds how much memory one event that somebody keeps can keep from being freed.
const slabSize = 64 << 10

// read puts the event at p into e, of one that was forgotten its position alone; left is how many will be read including this one.
func (r *reader) read(e *es.Recorded, p es.Position, left int) error {
	if *e = (es.Recorded{Position: p}); p <= r.gone {
		return nil
	}
	var found bool
	switch {
	case r.at == 0 || p != r.at+1:
		var key [9]byte
		found = r.table.SeekGE(appendEventKey(key[:0], p))
	default:
		found = r.table.Next()
	}
	r.at = p
	if found && binary.BigEndian.Uint64(r.table.Key()[1:]) == uint64(p) {
		value, err := r.table.ValueAndErr()
		if err != nil {
			return r.store.unreadable(err, fmt.Sprintf("the event at position %d", p))
		}
		if len(value) > cap(r.slab)-len(r.slab) {
			r.slab = make([]byte, 0, max(len(value), min(left*len(value), slabSize)))
		}
		start := len(r.slab)
		r.slab = append(r.slab, value...)
		if *e, err = es.ParseRecorded(r.slab[start:len(r.slab):len(r.slab)]); err == nil && e.Position == p {
			return nil
		}
		return r.store.damaged(fmt.Sprintf("the event at position %d is not as it was written.", p), err)
	}
	if err := r.table.Error(); err != nil {
		return r.store.unreadable(err, fmt.Sprintf("the event at position %d", p))
	}
	if gone, err := r.store.readArchived(); err != nil || p <= gone { // it was forgotten after this reader was made
		r.gone, r.at = gone, 0 // table stands at a later one
		return err
	}
	return r.store.damaged(fmt.Sprintf("the event at position %d is missing.", p), nil)
}

// PositionAt implements ports.Store. It searches by halves: events rise in recorded time. What was forgotten counts as before t, also
// when it is forgotten meanwhile.
func (s *Store) PositionAt(ctx context.Context, t time.Time) (es.Position, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	var failed error
	archived := s.archived.At()
	n := sort.Search(int(s.head.At()-archived), func(i int) bool {
		if failed != nil {
			return false
		}
		var e es.Recorded
		e, failed = s.event(archived + es.Position(i) + 1)
		return e.RecordedAt.After(t)
	})
	if failed != nil {
		return 0, failed
	}
	return archived + es.Position(n), nil
}

func (s *Store) event(p es.Position) (e es.Recorded, err error) {
	r, err := s.events(p, p)
	if err != nil {
		return e, err
	}
	defer r.close()
	err = r.read(&e, p, 1)
	return e, err
}

// get gives a copy of the value under a key, or nil.
func (s *Store) get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append(make([]byte, 0, len(v)), v...), nil
}

// Checkpoint implements ports.Store.
func (s *Store) Checkpoint(ctx context.Context, name string) (es.Position, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.checkpoint(name)
}

func (s *Store) checkpoint(name string) (es.Position, error) {
	v, err := s.get(appendCheckpointKey(nil, name))
	if err != nil {
		return 0, s.unreadable(err, "the checkpoint "+name)
	}
	p, ok := parsePosition(v)
	if !ok && v != nil {
		return 0, s.damaged("the checkpoint "+name+" is not as it was written.", nil)
	}
	return p, nil
}

// Checkpoints implements ports.Store.
func (s *Store) Checkpoints(ctx context.Context) (map[string]es.Position, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	table, err := s.iterate(tableCheckpoints)
	if err != nil {
		return nil, s.unreadable(err, "the checkpoints")
	}
	defer table.Close()
	all := map[string]es.Position{}
	for ok := table.First(); ok; ok = table.Next() {
		name := string(table.Key()[1:])
		p, ok := parsePosition(table.Value())
		if !ok {
			return nil, s.damaged("the checkpoint "+name+" is not as it was written.", nil)
		}
		all[name] = p
	}
	if err := table.Error(); err != nil {
		return nil, s.unreadable(err, "the checkpoints")
	}
	return all, nil
}

// SaveCheckpoint implements ports.Store. Only a lower position than before is waited for until it is on disk: losing one
// that is higher does no harm.
func (s *Store) SaveCheckpoint(ctx context.Context, name string, token ports.Token, p es.Position) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.leases.Check(name, token); err != nil {
		return err
	}
	if err := s.stop.failure(); err != nil {
		return s.failed(err)
	}
	s.checkpoints.Lock()
	defer s.checkpoints.Unlock()
	before, err := s.checkpoint(name)
	if err != nil {
		return err
	}
	durability := pebble.NoSync
	if p < before && !s.options.NoSync {
		durability = pebble.Sync
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(p))
	if err := s.stop.guard(func() error { return s.db.Set(appendCheckpointKey(nil, name), value, durability) }); err != nil {
		return s.failed(err)
	}
	return nil
}

// failed is the fault of a store that takes no more writes.
func (s *Store) failed(err error) error {
	return ports.ErrStoreUnavailable.Say("The store in %s has failed (%v) and takes no more writes; reads go on. Look after the disk and start Daybook again.", s.options.Dir, err).Because(err)
}

// Lease implements ports.Store. One process has the store open, so leases need not outlive it.
func (s *Store) Lease(ctx context.Context, name, holder string, ttl time.Duration) (ports.Token, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.leases.Lease(name, holder, time.Now(), ttl)
}

// Release implements ports.Store.
func (s *Store) Release(ctx context.Context, name string, token ports.Token) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	s.leases.Release(name, token)
	return nil
}
