// Package lru is a map that forgets: it holds what was used lately, and never more than it has room for. It is for what can be made
// again and whose keys strangers choose.
package lru

import "sync"

// Map holds up to 2*room values. All methods may be called concurrently.
type Map[K comparable, V any] struct {
	room     int
	mu       sync.Mutex
	new, old map[K]V // two generations: when the new one is full it becomes the old one, and that is forgotten
}

// New makes an empty map.
func New[K comparable, V any](room int) *Map[K, V] {
	return &Map[K, V]{room: room, new: map[K]V{}}
}

// Get gives the value, if it is still there.
func (m *Map[K, V]) Get(k K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(k)
}

// GetOr gives the value, or keeps and gives what fill makes; fill must be quick.
func (m *Map[K, V]) GetOr(k K, fill func() V) V {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.get(k)
	if !ok {
		v = fill()
		m.put(k, v)
	}
	return v
}

// Put keeps a value.
func (m *Map[K, V]) Put(k K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(k, v)
}

// Clear forgets everything.
func (m *Map[K, V]) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.new, m.old = map[K]V{}, nil
}

func (m *Map[K, V]) get(k K) (V, bool) {
	v, ok := m.new[k]
	if !ok {
		if v, ok = m.old[k]; ok {
			m.put(k, v) // so that what is used stays
		}
	}
	return v, ok
}

func (m *Map[K, V]) put(k K, v V) {
	if _, there := m.new[k]; !there && len(m.new) >= m.room {
		m.old, m.new = m.new, make(map[K]V, m.room)
	}
	m.new[k] = v
}
