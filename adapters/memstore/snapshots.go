package memstore

import (
	"bytes"
	"context"
	"slices"
	"sort"

	"daybook/core/es"
	"daybook/core/ports"
)

// SaveSnapshots implements ports.Store.
func (s *Store) SaveSnapshots(ctx context.Context, all []ports.Snapshot) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range all {
		n.Body = bytes.Clone(n.Body)
		of := s.snapshots[n.Stream]
		i := sort.Search(len(of), func(i int) bool { return of[i].Position >= n.Position })
		if i < len(of) && of[i].Position == n.Position {
			of[i] = n
			continue
		}
		s.snapshots[n.Stream] = slices.Insert(of, i, n)
	}
	return nil
}

// Snapshot implements ports.Store.
func (s *Store) Snapshot(ctx context.Context, stream es.StreamID, upTo es.Position) (*ports.Snapshot, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	of := s.snapshots[stream]
	i := sort.Search(len(of), func(i int) bool { return of[i].Position > upTo })
	if i == 0 {
		return nil, nil
	}
	n := of[i-1]
	return &n, nil
}
