package pebblestore

import (
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"daybook/core/es"
	"daybook/core/ports"
)

func appendSnapshotKey(dst []byte, stream es.StreamID, p es.Position) []byte {
	dst = append(append(append(dst, tableSnapshots), stream...), streamEnd)
	return binary.BigEndian.AppendUint64(dst, uint64(p))
}

// SaveSnapshots implements ports.Store. It does not wait for the disk, and leaves the reserve of the disk to events.
func (s *Store) SaveSnapshots(ctx context.Context, all []ports.Snapshot) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if err := s.stop.failure(); err != nil {
		return s.failed(err)
	}
	if disk, err := s.fs.GetDiskUsage(s.options.Dir); err == nil && disk.AvailBytes < 2*s.reserve {
		return ports.ErrStoreFull.Say("The disk of the store in %s is nearly full: snapshots are not written; histories are read without.", s.options.Dir)
	}
	write := s.db.NewBatch()
	for i := range all {
		_ = write.Set(appendSnapshotKey(nil, all[i].Stream, all[i].Position), all[i].Body, nil) // fails for indexed batches alone
	}
	if err := s.stop.guard(func() error { return write.Commit(pebble.NoSync) }); err != nil {
		return s.failed(err)
	}
	_ = write.Close() // gives its memory back
	return nil
}

// Snapshot implements ports.Store.
func (s *Store) Snapshot(ctx context.Context, stream es.StreamID, upTo es.Position) (*ports.Snapshot, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	upTo = min(upTo, math.MaxUint64-1)
	bounds := pebble.IterOptions{LowerBound: appendSnapshotKey(nil, stream, 0), UpperBound: appendSnapshotKey(nil, stream, upTo+1)}
	table, err := s.db.NewIter(&bounds)
	if err != nil {
		return nil, s.unreadable(err, "the snapshots of "+string(stream))
	}
	defer table.Close()
	if !table.Last() {
		if err := table.Error(); err != nil {
			return nil, s.unreadable(err, "the snapshots of "+string(stream))
		}
		return nil, nil
	}
	body, err := table.ValueAndErr()
	if err != nil {
		return nil, s.unreadable(err, "a snapshot of "+string(stream))
	}
	p := binary.BigEndian.Uint64(table.Key()[len(bounds.LowerBound)-8:])
	return &ports.Snapshot{Stream: stream, Position: es.Position(p), Body: slices.Clone(body)}, nil
}
