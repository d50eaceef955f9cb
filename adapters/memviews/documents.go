package memviews

import (
	"slices"
	"sync"

	"github.com/tidwall/btree"

	"daybook/core/es"
)

// documents is one view. Entries are never changed, only replaced, so that snapshots can share them.
type documents struct {
	view   *es.View
	byID   map[string]*entry
	parked *btree.BTreeG[*entry]  // by id
	sorted []*index               // by field, nil for one that cannot be sorted by; without the parked ones; nil while closed
	read   *btree.BTreeG[reading] // by reader; without the parked ones; nil while closed
}

// reading is a document that somebody may read. They are in the order of readers, and of ids.
type reading struct {
	reader string
	entry  *entry
}

func newReadings() *btree.BTreeG[reading] {
	less := func(a, b reading) bool {
		return a.reader < b.reader || a.reader == b.reader && a.entry.ID < b.entry.ID
	}
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// readBy are the documents that somebody may read.
func readBy(readings *btree.BTreeG[reading], reader string) (entries []*entry) {
	readings.Ascend(reading{reader, &entry{}}, func(r reading) bool {
		if r.reader == reader {
			entries = append(entries, r.entry)
		}
		return r.reader == reader
	})
	return entries
}

// entry is a document as it is kept.
type entry struct {
	es.Document
	words string // what its Search fields hold, folded, each word after a space
}

func newDocuments(view *es.View) *documents {
	byID := func(a, b *entry) bool { return a.ID < b.ID }
	return &documents{view: view, byID: map[string]*entry{}, parked: btree.NewBTreeGOptions(byID, btree.Options{NoLocks: true})}
}

// entry is a document with its words. They are taken from its last version where they can be, for they seldom change and
// folding them costs more than all the rest.
func (d *documents) entry(doc es.Document) *entry {
	e := &entry{Document: doc}
	switch old := d.byID[doc.ID]; {
	case !e.listed():
	case old.listed() && d.sameWords(old, e):
		e.words = old.words
	default:
		e.words = d.words(doc.Values)
	}
	return e
}

// sortable reports whether some field can be sorted by.
func (d *documents) sortable() bool {
	return slices.ContainsFunc(d.view.Fields, func(f es.ViewField) bool { return f.Sorted })
}

// listed reports whether e is a document that can be found.
func (e *entry) listed() bool { return e != nil && e.Parked == "" }

// put replaces a document in all places where it stands, unless a later version of it is there.
func (d *documents) put(e *entry) {
	old := d.byID[e.ID]
	if old != nil && e.Version < old.Version {
		return
	}
	d.byID[e.ID] = e
	if e.listed() {
		d.parked.Delete(e)
	} else {
		d.parked.Set(e)
		e = nil
	}
	if !old.listed() {
		old = nil
	}
	for _, index := range d.sorted {
		if index != nil {
			index.put(old, e)
		}
	}
	if d.read != nil {
		d.putReadings(old, e)
	}
}

// putReadings replaces a document, which either way may be nil, in what its readers may read.
func (d *documents) putReadings(old, e *entry) {
	if old != nil {
		for _, reader := range old.Readers {
			if e == nil || !slices.Contains(e.Readers, reader) {
				d.read.Delete(reading{reader, old})
			}
		}
	}
	if e != nil {
		for _, reader := range e.Readers {
			d.read.Set(reading{reader, e})
		}
	}
}

// build makes the indexes of all documents, on all cores.
func (d *documents) build() ([]*index, *btree.BTreeG[reading]) {
	entries := make([]*entry, 0, len(d.byID))
	for _, e := range d.byID {
		if e.listed() {
			entries = append(entries, e)
		}
	}
	sorted := make([]*index, len(d.view.Fields))
	var building sync.WaitGroup
	for field := range d.view.Fields {
		if d.view.Fields[field].Sorted {
			building.Go(func() { sorted[field] = newIndex(d.view, field, entries) })
		}
	}
	read := newReadings()
	for _, e := range entries {
		for _, reader := range e.Readers {
			read.Set(reading{reader, e})
		}
	}
	building.Wait()
	return sorted, read
}
