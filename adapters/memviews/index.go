package memviews

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"daybook/core/es"
)

// index keeps entries in the order of one field, and of ids where its values are equal. Views guards it; its own locks
// are off.
type index struct {
	field  int
	text   bool   // the field holds strings
	common string // what all strings began with when the index was built
	tree   *btree.BTreeG[item]
}

// item is an entry in an index. Its key settles nearly all comparisons: without it each one would fetch two documents from
// all over the memory, and a search makes twenty.
type item struct {
	key   uint64
	entry *entry
}

// newIndex builds the index of a field from entries in any order.
func newIndex(view *es.View, field int, entries []*entry) *index {
	kind := view.Fields[field].Kind
	x := &index{field: field, text: !kind.IsInteger() && kind != es.KindTime}
	if x.text {
		x.common = commonPrefix(field, entries)
	}
	less := func(a, b item) bool { return x.compare(a, b) < 0 }
	x.tree = btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
	for _, i := range x.inOrder(entries) {
		x.tree.Load(i)
	}
	return x
}

// inOrder gives the items of entries in the order of the index.
func (x *index) inOrder(entries []*entry) []item {
	items := make([]item, len(entries))
	for i, e := range entries {
		items[i] = x.item(e)
	}
	slices.SortFunc(items, x.compare)
	return items
}

func (x *index) item(e *entry) item { return item{x.key(e.Values[x.field]), e} }

// key never orders two values the wrong way round, but may be the same for values that differ: for strings it is the eight
// bytes after the common prefix.
func (x *index) key(v es.Value) uint64 {
	if !x.text {
		return uint64(v.Int) ^ 1<<63
	}
	rest, found := strings.CutPrefix(v.Str, x.common)
	switch {
	case found:
		var first [8]byte
		copy(first[:], rest)
		return binary.BigEndian.Uint64(first[:])
	case v.Str < x.common:
		return 0
	}
	return math.MaxUint64
}

func (x *index) compare(a, b item) int {
	if a.key != b.key {
		return cmp.Compare(a.key, b.key)
	}
	if order := a.entry.Values[x.field].Compare(b.entry.Values[x.field]); order != 0 {
		return order
	}
	return strings.Compare(a.entry.ID, b.entry.ID)
}

// put replaces old by e in the index; either may be nil.
func (x *index) put(old, e *entry) {
	if old != nil && (e == nil || old.Values[x.field] != e.Values[x.field]) {
		x.tree.Delete(x.item(old))
	}
	if e != nil {
		x.tree.Set(x.item(e))
	}
}

// freeze gives an index that stays as it is; what both share is copied by whoever changes this one.
func (x *index) freeze() *index {
	frozen := *x
	frozen.tree = x.tree.Copy()
	return &frozen
}

func commonPrefix(field int, entries []*entry) (common string) {
	for i, e := range entries {
		s := e.Values[field].Str
		if i == 0 {
			common = s
		}
		n := 0
		for n < len(common) && n < len(s) && common[n] == s[n] {
			n++
		}
		common = common[:n]
	}
	return common
}
