package engine

// recent holds what was used of late. It holds two generations of at most limit/2 entries each: when the young one is full
// the old one is dropped, so what is used stays and the rest goes, without bookkeeping per use. One goroutine uses it at a time.
type recent[K comparable, V any] struct {
	limit      int
	young, old map[K]V
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: max(limit, 2), young: map[K]V{}}
}

func (r *recent[K, V]) get(k K) (V, bool) {
	if v, ok := r.young[k]; ok {
		return v, true
	}
	v, ok := r.old[k]
	if ok {
		r.put(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if len(r.young) >= r.limit/2 {
		if _, there := r.young[k]; !there {
			r.old, r.young = r.young, make(map[K]V, len(r.young)/2)
		}
	}
	r.young[k] = v
}
