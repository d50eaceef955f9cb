package recent

import "sync"

// Shared is a Map that any number of goroutines may use, for what strangers choose the keys of.
type Shared[K comparable, V any] struct {
	limit int
	mu    sync.Mutex
	held  *Map[K, V]
}

// NewShared gives an empty map.
func NewShared[K comparable, V any](limit int) *Shared[K, V] {
	return &Shared[K, V]{limit: limit, held: New[K, V](limit)}
}

// Get gives the value, if it is still there.
func (s *Shared[K, V]) Get(k K) (V, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.Get(k)
}

// GetOr gives the value, or keeps and gives what fill makes; fill must be quick.
func (s *Shared[K, V]) GetOr(k K, fill func() V) V {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.held.Get(k)
	if !ok {
		v = fill()
		s.held.Put(k, v)
	}
	return v
}

// Put keeps a value.
func (s *Shared[K, V]) Put(k K, v V) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held.Put(k, v)
}

// Clear forgets everything.
func (s *Shared[K, V]) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = New[K, V](s.limit)
}
