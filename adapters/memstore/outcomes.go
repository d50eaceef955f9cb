package memstore

import (
	"context"
	"maps"
	"slices"

	"daybook/core/ports"
)

// Outcomes implements ports.Store. It looks at all keys for each page.
func (s *Store) Outcomes(ctx context.Context, from string, limit int) ([]ports.Outcome, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	keys := slices.Sorted(maps.Keys(s.outcomes))
	first, _ := slices.BinarySearch(keys, from)
	keys = keys[first:]
	var page []ports.Outcome
	for _, key := range keys[:min(len(keys), max(limit, 0))] {
		page = append(page, *s.outcomes[key])
	}
	return page, nil
}
