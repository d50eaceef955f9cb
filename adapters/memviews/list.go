package memviews

import (
	"context"
	"slices"

	"github.com/tidwall/btree"

	"daybook/core/es"
	"daybook/core/ports"
)

// snapshot is the documents of all views at one checkpoint. It never changes.
type snapshot struct {
	at     es.Position
	hash   es.Hash
	sorted map[string][]*index // by view, and field
	parked map[string]*btree.BTreeG[*entry]
	read   map[string]*btree.BTreeG[reading]
}

// count is how many documents of a view there are.
func (s *snapshot) count(view string) int {
	return s.index(view).tree.Len() + s.parked[view].Len()
}

// index is some index of a view that has one.
func (s *snapshot) index(view string) *index {
	for _, index := range s.sorted[view] {
		if index != nil {
			return index
		}
	}
	return nil
}

// List walks the index of the field sorted by, from the cursor or the filter's bound on that field, until the page is full;
// documents that do not match are passed over one by one. Of one reader's, which are few, all are sorted.
func (v *Views) List(ctx context.Context, view string, q ports.Query) (ports.Page, error) {
	s, err := v.read(ctx)
	if err != nil {
		return ports.Page{}, err
	}
	indexes, known := s.sorted[view]
	if !known {
		return ports.Page{}, errUnknownView.Say("No module has a view named %q.", view)
	}
	if q.Sort < 0 || q.Sort >= len(indexes) || indexes[q.Sort] == nil {
		return ports.Page{}, errField.Say("The view %s cannot be sorted by field %d.", view, q.Sort)
	}
	for _, f := range q.Filters {
		if f.Field < 0 || f.Field >= len(indexes) {
			return ports.Page{}, errField.Say("The view %s has no field %d to filter by.", view, f.Field)
		}
	}
	w := newWalk(ctx, &q)
	if q.Reader != "" {
		w.overSome(indexes[q.Sort], readBy(s.read[view], q.Reader))
	} else if err := w.over(indexes[q.Sort]); err != nil {
		return ports.Page{}, err
	}
	return ports.Page{Documents: w.documents, More: w.more, At: s.at}, nil
}

// read gives the snapshot of now.
func (v *Views) read(ctx context.Context) (*snapshot, error) {
	v.mu.RLock()
	s, err := v.snapshot, v.unreadable(ctx)
	v.mu.RUnlock()
	if s != nil || err != nil {
		return s, err
	}
	v.mu.Lock() // to copy a tree is to change it: what both share is copied by the one that writes
	defer v.mu.Unlock()
	if err := v.unreadable(ctx); err != nil {
		return nil, err
	}
	if v.snapshot == nil {
		v.snapshot = v.freeze()
	}
	return v.snapshot, nil
}

// news takes what has changed since it was last taken, and the point it led to; not ok: it is not known.
func (v *Views) news() (to point, all []changed, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	all, v.changed = v.changed, nil
	return point{v.checkpoint, v.hash}, all, !v.unnoted
}

// whole is the snapshot of now, with which nothing is news; nil: they are closed.
func (v *Views) whole() *snapshot {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.open {
		return nil
	}
	v.changed, v.unnoted = nil, false
	if v.snapshot == nil {
		v.snapshot = v.freeze()
	}
	return v.snapshot
}

func (v *Views) freeze() *snapshot {
	s := &snapshot{at: v.checkpoint, hash: v.hash, sorted: map[string][]*index{}, parked: map[string]*btree.BTreeG[*entry]{}, read: map[string]*btree.BTreeG[reading]{}}
	for name, d := range v.views {
		s.parked[name], s.read[name] = d.parked.Copy(), d.read.Copy()
		indexes := make([]*index, len(d.sorted))
		for field, index := range d.sorted {
			if index != nil {
				indexes[field] = index.freeze()
			}
		}
		s.sorted[name] = indexes
	}
	return s
}

// walk collects one page from an index.
type walk struct {
	ctx       context.Context
	q         *ports.Query
	matcher   matcher
	min, max  *es.Value // bounds on the field sorted by
	passed    int       // entries looked at
	documents []es.Document
	more      bool
}

func newWalk(ctx context.Context, q *ports.Query) *walk {
	w := &walk{ctx: ctx, q: q, matcher: newMatcher(q)}
	for _, f := range q.Filters {
		if f.Field == q.Sort {
			w.min, w.max = f.Min, f.Max
		}
	}
	return w
}

// over walks until the page is full, the bound is reached or the context ends, whose error it gives.
func (w *walk) over(index *index) error {
	first := w.first()
	switch {
	case first == nil && w.q.Desc:
		index.tree.Reverse(w.take)
	case first == nil:
		index.tree.Scan(w.take)
	case w.q.Desc:
		index.tree.Descend(index.item(first), w.take)
	default:
		index.tree.Ascend(index.item(first), w.take)
	}
	return w.ctx.Err()
}

// overSome walks a few entries in the order of an index.
func (w *walk) overSome(x *index, entries []*entry) {
	items, first := x.inOrder(entries), w.first()
	if w.q.Desc {
		slices.Reverse(items)
	}
	for _, i := range items {
		order := 0
		if first != nil {
			order = x.compare(i, x.item(first))
		}
		switch before := order < 0 && !w.q.Desc || order > 0 && w.q.Desc; {
		case before:
		case !w.take(i):
			return
		}
	}
}

// first is where to begin: at the cursor, else at the bound, else nil for the end of the index.
func (w *walk) first() *entry {
	at := func(key es.Value, id string) *entry {
		e := &entry{Document: es.Document{ID: id, Values: make([]es.Value, w.q.Sort+1)}}
		e.Values[w.q.Sort] = key
		return e
	}
	const afterAllIDs = "\xff" // no UTF-8 text begins with this byte
	switch {
	case w.q.After != nil:
		return at(w.q.After.Key, w.q.After.ID)
	case w.q.Desc && w.max != nil:
		return at(*w.max, afterAllIDs)
	case !w.q.Desc && w.min != nil:
		return at(*w.min, "")
	}
	return nil
}

// take looks at one entry and reports whether to go on.
func (w *walk) take(i item) bool {
	const patience = 4096 // entries between two looks at the context
	if w.passed++; w.passed%patience == 0 && w.ctx.Err() != nil {
		return false
	}
	e := i.entry
	key := e.Values[w.q.Sort]
	switch {
	case w.q.After != nil && e.ID == w.q.After.ID && key == w.q.After.Key:
		return true
	case w.q.Desc && w.min != nil && key.Compare(*w.min) < 0, !w.q.Desc && w.max != nil && key.Compare(*w.max) > 0:
		return false
	case !w.matcher.matches(e):
		return true
	case len(w.documents) >= w.q.Limit:
		w.more = true
		return false
	}
	w.documents = append(w.documents, e.Document)
	return true
}
