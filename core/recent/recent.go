// Package recent holds what was used of late, and never more than it has room for. It is for what can be made again. Standard library
// only; no I/O and no clock live here.
package recent

// Map holds two generations of at most limit/2 entries each: when the young one is full the old one is dropped, so what is used stays
// and the rest goes, without bookkeeping per use. One goroutine uses it at a time.
type Map[K comparable, V any] struct {
	limit      int
	young, old map[K]V
}

// New gives an empty map.
func New[K comparable, V any](limit int) *Map[K, V] {
	return &Map[K, V]{limit: max(limit, 2), young: map[K]V{}}
}

// Get gives the value, if it is still there.
func (r *Map[K, V]) Get(k K) (V, bool) {
	if v, ok := r.young[k]; ok {
		return v, true
	}
	v, ok := r.old[k]
	if ok {
		r.Put(k, v)
	}
	return v, ok
}

// Put keeps a value.
func (r *Map[K, V]) Put(k K, v V) {
	if len(r.young) >= r.limit/2 {
		if _, there := r.young[k]; !there {
			r.old, r.young = r.young, make(map[K]V, len(r.young)/2)
		}
	}
	r.young[k] = v
}

// Held is how many entries there are; one that is in both generations counts twice.
func (r *Map[K, V]) Held() int { return len(r.young) + len(r.old) }

// Shrunk gives another map with this limit that holds of the young generation what there is room for in its own.
func (r *Map[K, V]) Shrunk(limit int) *Map[K, V] {
	small := New[K, V](limit)
	for k, v := range r.young {
		if len(small.young) >= limit/2 {
			break
		}
		small.young[k] = v
	}
	return small
}
