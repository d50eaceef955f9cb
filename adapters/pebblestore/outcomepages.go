package pebblestore

import (
	"context"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"daybook/core/ports"
)

// Outcomes implements ports.Store. It looks at a snapshot that was taken while nothing was on its way to the disk, so that
// nobody is told of an outcome that a crash may take back.
func (s *Store) Outcomes(ctx context.Context, from string, limit int) ([]ports.Outcome, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if limit <= 0 {
		return nil, nil
	}
	view, err := s.settled(ctx)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	table, err := view.NewIter(&pebble.IterOptions{LowerBound: appendOutcomeKey(nil, from), UpperBound: []byte{tableOutcomes + 1}})
	if err != nil {
		return nil, s.unreadable(err, "the outcomes of commands")
	}
	defer table.Close()
	var page []ports.Outcome
	for ok := table.First(); ok && len(page) < limit; ok = table.Next() {
		o, err := s.outcome(string(table.Key()[1:]), slices.Clone(table.Value()))
		if err != nil {
			return nil, err
		}
		page = append(page, *o)
	}
	if err := table.Error(); err != nil {
		return nil, s.unreadable(err, "the outcomes of commands")
	}
	return page, nil
}

// settled gives a snapshot of the database that holds nothing that is not durable. The turn keeps commits away.
func (s *Store) settled(ctx context.Context) (*pebble.Snapshot, error) {
	if err := s.turn.Take(ctx); err != nil {
		return nil, err
	}
	defer s.turn.End()
	if err := s.stop.failure(); err != nil {
		return nil, s.failed(err)
	}
	return s.db.NewSnapshot(), nil
}
