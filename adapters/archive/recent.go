package archive

import (
	"container/list"
	"sync"
)

// recent keeps the values used last, up to a number of bytes. All methods may be called concurrently.
type recent[V any] struct {
	mu    sync.Mutex
	room  int
	order list.List // of *entry, the one used last at the front
	byKey map[uint64]*list.Element
}

type entry[V any] struct {
	key   uint64
	value V
	size  int
}

func newRecent[V any](room int) *recent[V] {
	return &recent[V]{room: room, byKey: map[uint64]*list.Element{}}
}

func (r *recent[V]) get(key uint64) (value V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.byKey[key]
	if !ok {
		return value, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*entry[V]).value, true
}

// put keeps a value, and lets go of those that were not used for longest.
func (r *recent[V]) put(key uint64, value V, size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.byKey[key]; ok || size > r.room {
		return
	}
	r.byKey[key] = r.order.PushFront(&entry[V]{key, value, size})
	for r.room -= size; r.room < 0; {
		old := r.order.Remove(r.order.Back()).(*entry[V])
		delete(r.byKey, old.key)
		r.room += old.size
	}
}
