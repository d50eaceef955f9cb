package pgstore

import (
	"context"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/core/es"
	"daybook/core/ports"
)

// queueTree adds the tree of hashes to what is sent, and those of its nodes that have become full.
func (s *Store) queueTree(batch *pgx.Batch, next *ports.Continuation) {
	state, _ := next.Tree.AppendBinary(nil) // never fails
	batch.Queue(s.sql.setTree, int64(next.Tree.Size), state)
	if len(next.Nodes) == 0 {
		return
	}
	levels, indices, hashes := make([]int32, len(next.Nodes)), make([]int64, len(next.Nodes)), make([][]byte, len(next.Nodes))
	for i := range next.Nodes {
		n := &next.Nodes[i]
		levels[i], indices[i], hashes[i] = int32(n.Level), int64(n.Index), n.Hash[:]
	}
	batch.Queue(s.sql.addNodes, levels, indices, hashes)
}

// Tree implements ports.Store.
func (s *Store) Tree(ctx context.Context) (tree es.Tree, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		var size int64
		var state []byte
		if err := conn.QueryRow(ctx, s.sql.tree).Scan(&size, &state); err != nil {
			return err
		}
		if err := tree.UnmarshalBinary(state); err != nil || tree.Size != es.Position(size) {
			return errDamaged.Say("The seal of the store, over %d events, is not as it was written.", size).Because(err)
		}
		return nil
	})
	return tree, err
}

// TreeNodes implements ports.Store.
func (s *Store) TreeNodes(ctx context.Context, level int, first uint64, limit int) (nodes []es.Hash, err error) {
	if err := s.usable(ctx); err != nil || level < 1 || level > math.MaxInt32 || first > math.MaxInt64 || limit <= 0 {
		return nil, err
	}
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, s.sql.nodes, int32(level), int64(first), limit)
		if err != nil {
			return err
		}
		nodes = nil
		var index int64
		var hash []byte
		_, err = pgx.ForEachRow(rows, []any{&index, &hash}, func() error {
			if want := first + uint64(len(nodes)); uint64(index) != want || len(hash) != len(es.Hash{}) {
				return errDamaged.Say("Node %d of level %d of the tree of hashes is not as it was written.", want, level)
			}
			nodes = append(nodes, es.Hash(hash))
			return nil
		})
		return err
	})
	return nodes, err
}

// sealEvents is how many events are sealed in one transaction, which others wait for.
const sealEvents = 5000

// seal gives those events their hashes that have none: all those from before there were any, when a build that knows them
// starts for the first time. One that is interrupted goes on where it was.
func (s *Store) seal(ctx context.Context) error {
	tree, err := s.Tree(ctx)
	if err != nil {
		return err
	}
	head, from := s.head.At(), tree.Size
	if from >= head {
		return nil
	}
	s.options.Logf("the %s has events without hashes: sealing positions %d to %d", s.place, from+1, head)
	for round := 1; tree.Size < head; round++ {
		s.writing.Lock()
		bounded, cancel := s.bounded(ctx, 4*s.options.UnitTimeout)
		err := s.sealPage(bounded)
		cancel()
		s.writing.Unlock()
		if err == nil {
			tree, err = s.Tree(ctx)
		}
		if errors.Is(err, ports.ErrSealBroken) { // nothing can be written, but looked at
			s.options.Logf("the %s: %v", s.place, err)
			return nil
		}
		if err != nil {
			return s.failed(ctx, err)
		}
		if round%20 == 0 || tree.Size >= head {
			done := min(tree.Size, head) - from
			s.options.Logf("the %s: %d of %d events sealed (%.0f %%)", s.place, done, head-from, 100*float64(done)/float64(head-from))
		}
	}
	return nil
}

// sealPage seals the events that come next, in a transaction of its own under the lock. writing is held.
func (s *Store) sealPage(ctx context.Context) error {
	if err := s.connectWriter(ctx); err != nil {
		return err
	}
	tx, err := s.writer.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after a commit it does nothing
	timeouts := []any{milliseconds(s.options.UnitTimeout), milliseconds(2 * s.options.UnitTimeout), milliseconds(3 * s.options.UnitTimeout)}
	if _, err := tx.Exec(ctx, s.sql.setUp, timeouts...); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, s.sql.lock); err != nil {
		return err
	}
	var size int64
	var state []byte
	next := &ports.Continuation{}
	if err := tx.QueryRow(ctx, s.sql.tree).Scan(&size, &state); err != nil {
		return err
	}
	if err := next.Tree.UnmarshalBinary(state); err != nil {
		return errDamaged.Say("The seal of the store, over %d events, is not as it was written.", size).Because(err)
	}
	events, err := s.unsealed(ctx, tx, next.Tree.Size)
	if err != nil {
		return err
	}
	positions, hashes := make([]int64, len(events)), make([][]byte, len(events))
	for i := range events {
		e := &events[i]
		positions[i], hashes[i] = int64(e.Position), e.Hash[:]
		next.Nodes = next.Tree.Add(e.Hash, next.Nodes)
	}
	batch := &pgx.Batch{}
	batch.Queue(s.sql.permit) // the one change of an event that there is
	batch.Queue(s.sql.setHashes, positions, hashes)
	s.queueTree(batch, next)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// unsealed reads the events that come next after a position, and seals them in memory.
func (s *Store) unsealed(ctx context.Context, tx pgx.Tx, after es.Position) ([]es.Recorded, error) {
	rows, err := tx.Query(ctx, s.sql.feed, int64(after), sealEvents)
	if err != nil {
		return nil, err
	}
	d := decoder{left: sealEvents}
	var events []es.Recorded
	for rows.Next() {
		var e es.Recorded
		if err := d.event(rows.RawValues(), &e); err != nil {
			rows.Close()
			return nil, err
		}
		if want := after + es.Position(len(events)) + 1; e.Position != want {
			rows.Close()
			return nil, errDamaged.Say("The event at position %d is missing; the next one there is %d.", want, e.Position)
		}
		if e.Forgotten() {
			rows.Close()
			return nil, ports.ErrSealBroken.Say("The event at position %d is not sealed and is empty: it was changed behind Daybook's back. Nothing was written; daybook verify says more.", e.Position)
		}
		if e.Hash != (es.Hash{}) {
			rows.Close()
			return nil, ports.ErrSealBroken.Say("The event at position %d is not sealed and has a hash: it was put there behind Daybook's back. Nothing was written; daybook verify says more.", e.Position)
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	previous, err := s.hashesBefore(ctx, tx, events)
	if err != nil {
		return nil, err
	}
	var slab []byte
	for i := range events {
		e := &events[i]
		slab = e.Seal(slab, previous[e.Stream])
		previous[e.Stream] = e.Hash
	}
	return events, nil
}

// hashesBefore gives for each stream of the events the hash of what comes before the first of them.
func (s *Store) hashesBefore(ctx context.Context, tx pgx.Tx, events []es.Recorded) (map[es.StreamID]es.Hash, error) {
	previous := map[es.StreamID]es.Hash{}
	var streams []string
	var versions []int64
	for i := range events {
		e := &events[i]
		if _, seen := previous[e.Stream]; seen {
			continue
		}
		previous[e.Stream] = es.Hash{}
		if e.Version > 1 {
			streams, versions = append(streams, string(e.Stream)), append(versions, int64(e.Version)-1)
		}
	}
	rows, err := tx.Query(ctx, s.sql.hashes, streams, versions)
	if err != nil {
		return nil, err
	}
	var stream string
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&stream, &hash}, func() error {
		if len(hash) != len(es.Hash{}) {
			return errDamaged.Say("An event of %s before the ones to be sealed has no hash.", stream)
		}
		previous[es.StreamID(stream)] = es.Hash(hash)
		return nil
	})
	return previous, err
}
