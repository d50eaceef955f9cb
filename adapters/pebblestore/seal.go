package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"daybook/core/es"
	"daybook/core/ports"
)

// addTree adds the tree of hashes to a write, and those of its nodes that have become full.
func (s *Store) addTree(write *pebble.Batch, next *ports.Continuation) {
	s.buffer, _ = next.Tree.AppendBinary(s.buffer[:0]) // never fails
	_ = write.Set([]byte{tableTree}, s.buffer, nil)    // fails for indexed batches alone
	for i := range next.Nodes {
		n := &next.Nodes[i]
		_ = write.Set(appendNodeKey(nil, n.Level, n.Index), n.Hash[:], nil)
	}
}

// Tree implements ports.Store.
func (s *Store) Tree(ctx context.Context) (es.Tree, error) {
	if err := s.enter(ctx); err != nil {
		return es.Tree{}, err
	}
	defer s.leave()
	return s.tree.Load().Clone(), nil
}

// TreeNodes implements ports.Store.
func (s *Store) TreeNodes(ctx context.Context, level int, first uint64, limit int) ([]es.Hash, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if level < 1 || level > math.MaxUint8 || limit <= 0 {
		return nil, nil
	}
	known := uint64(s.head.At()) >> (es.TreeStride * level) // those behind it are of a commit that is not durable yet
	last := min(known, first+min(uint64(limit), math.MaxUint64-first))
	if first >= last {
		return nil, nil
	}
	table, err := s.db.NewIter(&pebble.IterOptions{LowerBound: appendNodeKey(nil, level, first), UpperBound: appendNodeKey(nil, level, last)})
	if err != nil {
		return nil, s.unreadable(err, "the tree of hashes")
	}
	defer table.Close()
	var nodes []es.Hash
	for ok := table.First(); ok; ok = table.Next() {
		want := first + uint64(len(nodes))
		if len(table.Value()) != len(es.Hash{}) || binary.BigEndian.Uint64(table.Key()[2:]) != want {
			return nil, s.damaged(fmt.Sprintf("node %d of level %d of the tree of hashes is not as it was written.", want, level), nil)
		}
		nodes = append(nodes, es.Hash(table.Value()))
	}
	if err := table.Error(); err != nil {
		return nil, s.unreadable(err, "the tree of hashes")
	}
	return nodes, nil
}

// sealPage is how many events are sealed by one write.
const sealPage = 5000

// keyUnsealed has the position up to which events were written before they had hashes.
var keyUnsealed = []byte{tableTree, 'u'}

// loadTree reads the tree, and seals what a build before there were hashes has written. One that is interrupted goes on where
// it was. A tree that is not over all events is left as it is: somebody has changed the store, and nothing more is written to it.
func (s *Store) loadTree() error {
	tree := es.Tree{}
	v, err := s.get([]byte{tableTree})
	if err == nil && v != nil {
		if err := tree.UnmarshalBinary(v); err != nil {
			return s.damaged("the tree of hashes is not as it was written.", err)
		}
	}
	s.tree.Store(&tree)
	if err == nil && s.found == formatUnsealed {
		err = s.stop.guard(func() error {
			return errors.Join(s.db.Set(keyUnsealed, binary.BigEndian.AppendUint64(nil, uint64(s.head.At())), pebble.Sync), s.mark(format))
		})
	}
	if err == nil {
		v, err = s.get(keyUnsealed)
	}
	if err != nil {
		return s.unreadable(err, "the tree of hashes")
	}
	if unsealed, _ := parsePosition(v); tree.Size < unsealed {
		return s.seal(tree.Size, min(unsealed, s.head.At()))
	}
	return nil
}

// seal gives the events from one position to another their hashes.
func (s *Store) seal(from, to es.Position) error {
	s.options.Logf("The store in %s was written by a Daybook whose events had no hashes: sealing positions %d to %d", s.options.Dir, from+1, to)
	ends := map[es.StreamID]ports.StreamEnd{}
	for at := from; at < to; {
		at = min(to, at+sealPage)
		if err := s.sealNext(ends, at); err != nil {
			return err
		}
		if done := at - from; done%(100*sealPage) == 0 || at == to {
			s.options.Logf("The store in %s: %d of %d events sealed (%.0f %%)", s.options.Dir, done, to-from, 100*float64(done)/float64(to-from))
		}
	}
	return nil
}

// sealNext seals the events that come next, up to a position.
func (s *Store) sealNext(ends map[es.StreamID]ports.StreamEnd, to es.Position) error {
	next := ports.Continuation{Tree: s.tree.Load().Clone()}
	r, err := s.events(next.Tree.Size+1, to)
	if err != nil {
		return err
	}
	defer r.close()
	write := s.db.NewBatch()
	var slab []byte
	for p := next.Tree.Size + 1; p <= to; p++ {
		var e es.Recorded
		if err := r.read(&e, p, int(to-p)+1); err != nil {
			return err
		}
		previous, ok := ends[e.Stream]
		if !ok && e.Version > 1 {
			if previous, err = s.versionBefore(&e); err != nil {
				return err
			}
		}
		slab = e.Seal(slab, previous.Hash)
		ends[e.Stream] = ports.StreamEnd{Version: e.Version, Hash: e.Hash}
		next.Nodes = next.Tree.Add(e.Hash, next.Nodes)
		put(write.SetDeferred(9, len(e.JSON())), appendEventKey, e.Position, e.JSON())
	}
	s.addTree(write, &next)
	if err := s.stop.guard(func() error { return write.Commit(pebble.Sync) }); err != nil {
		return s.failed(err)
	}
	s.tree.Store(&next.Tree)
	return write.Close()
}

// versionBefore is the end of the event's stream before the event, which is sealed already.
func (s *Store) versionBefore(e *es.Recorded) (ports.StreamEnd, error) {
	index, err := s.iterate(tableStreams)
	if err != nil {
		return ports.StreamEnd{}, s.unreadable(err, "the index of streams")
	}
	defer index.Close()
	positions, err := s.positions(index, e.Stream, e.Version-1, 1)
	if err != nil {
		return ports.StreamEnd{}, err
	}
	before, err := s.eventsAt(positions, e.Stream, e.Version-1)
	if err == nil && len(before) == 0 {
		err = s.damaged(fmt.Sprintf("version %d of %s is missing.", e.Version-1, e.Stream), nil)
	}
	if err != nil {
		return ports.StreamEnd{}, err
	}
	return ports.StreamEnd{Version: before[0].Version, Hash: before[0].Hash}, nil
}
