package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"daybook/core/es"
	"daybook/core/ports"
)

// Comparison is how a view differs from the same view built again, at one position. Parked documents count: their field is "parked".
type Comparison struct {
	View                    string
	Old, New                string // SHA-256 of all documents in the order of their ids, in hex
	Same                    int    // documents
	Added, Removed, Changed int
	First                   []Difference // the first few
}

// Difference is one field of one document that is not as it was. A document that one of the sets lacks has no field and no values.
type Difference struct {
	ID, Field, Old, New string
}

// Equal reports whether both sets hold the same documents.
func (c *Comparison) Equal() bool { return c.Old == c.New }

// String says it in a sentence.
func (c *Comparison) String() string {
	said := fmt.Sprintf("the view %s was built again and %d documents are as they were, %d added, %d removed, %d changed", c.View, c.Same, c.Added, c.Removed, c.Changed)
	for _, d := range c.First {
		said += fmt.Sprintf("; %s %s: %q, now %q", d.ID, d.Field, d.Old, d.New)
	}
	return said
}

// firstDifferences is how many a comparison names.
const firstDifferences = 10

// compare walks both sets, to which nobody may write meanwhile.
func compare(ctx context.Context, r *es.Registry, before, after ports.ViewSet) ([]Comparison, error) {
	parked := func(set ports.ViewSet) (map[string][]es.Document, error) {
		all, _, err := set.Parked(ctx, maxParked)
		by := map[string][]es.Document{}
		for _, d := range all {
			by[d.View] = append(by[d.View], es.Document{ID: d.ID, Parked: d.Reason})
		}
		for _, documents := range by {
			slices.SortFunc(documents, byID)
		}
		return by, err
	}
	parkedBefore, err := parked(before)
	if err != nil {
		return nil, err
	}
	parkedAfter, err := parked(after)
	if err != nil {
		return nil, err
	}
	var all []Comparison
	for _, m := range r.Modules {
		c, err := compareView(ctx, &walk{set: before, module: m, parked: parkedBefore[m.Name]}, &walk{set: after, module: m, parked: parkedAfter[m.Name]})
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func byID(a, b es.Document) int { return strings.Compare(a.ID, b.ID) }

// walk gives the documents of a view in the order of their ids, parked ones too, and keeps their digest.
type walk struct {
	set    ports.ViewSet
	module *es.Module
	parked []es.Document
	page   []es.Document
	after  *ports.Cursor
	last   bool
	sum    hash.Hash
	buffer []byte
}

// walkPage is how many documents are asked for at once.
const walkPage = 5000

// next gives the next document, or nil at the end.
func (w *walk) next(ctx context.Context) (*es.Document, error) {
	if w.sum == nil {
		w.sum = sha256.New()
	}
	if len(w.page) == 0 && !w.last {
		id := w.module.View.Field("id")
		page, err := w.set.List(ctx, w.module.Name, ports.Query{Sort: id, After: w.after, Limit: walkPage})
		if err != nil {
			return nil, err
		}
		w.page, w.last = page.Documents, !page.More
		if n := len(w.page); n > 0 {
			w.after = &ports.Cursor{Key: w.page[n-1].Values[id], ID: w.page[n-1].ID}
		}
	}
	from := &w.page
	if len(w.page) == 0 || len(w.parked) > 0 && w.parked[0].ID < w.page[0].ID {
		from = &w.parked
	}
	if len(*from) == 0 {
		return nil, nil //nolint:nilnil // the end is no error
	}
	d := &(*from)[0]
	*from = (*from)[1:]
	w.add(d)
	return d, nil
}

// add adds a document to the digest, each part with its length before it.
func (w *walk) add(d *es.Document) {
	text := func(s string) {
		w.buffer = append(binary.AppendUvarint(w.buffer, uint64(len(s))), s...)
	}
	w.buffer = w.buffer[:0]
	text(d.ID)
	text(d.Parked)
	w.buffer = binary.AppendUvarint(w.buffer, uint64(d.Version))
	for _, v := range d.Values {
		w.buffer = binary.AppendVarint(w.buffer, v.Int)
		text(v.Str)
	}
	w.sum.Write(w.buffer)
}

func (w *walk) digest() string { return hex.EncodeToString(w.sum.Sum(nil)) }

func compareView(ctx context.Context, before, after *walk) (Comparison, error) {
	c := Comparison{View: after.module.Name}
	old, err := before.next(ctx)
	if err != nil {
		return c, err
	}
	now, err := after.next(ctx)
	for err == nil && (old != nil || now != nil) {
		goOld, goNow := now == nil || old != nil && old.ID <= now.ID, old == nil || now != nil && now.ID <= old.ID
		switch {
		case goOld && goNow:
			c.match(&after.module.View, old, now)
		case goOld:
			c.Removed++
			c.note(Difference{ID: old.ID})
		default:
			c.Added++
			c.note(Difference{ID: now.ID})
		}
		if goOld {
			old, err = before.next(ctx)
		}
		if goNow && err == nil {
			now, err = after.next(ctx)
		}
	}
	if err == nil {
		c.Old, c.New = before.digest(), after.digest()
	}
	return c, err
}

// match compares two documents with one id.
func (c *Comparison) match(view *es.View, old, now *es.Document) {
	if old.Version == now.Version && old.Parked == now.Parked && slices.Equal(old.Values, now.Values) {
		c.Same++
		return
	}
	c.Changed++
	if old.Parked != now.Parked {
		c.note(Difference{old.ID, "parked", old.Parked, now.Parked})
		return
	}
	if old.Version != now.Version {
		c.note(Difference{old.ID, "version", strconv.FormatUint(uint64(old.Version), 10), strconv.FormatUint(uint64(now.Version), 10)})
	}
	for i := range old.Values {
		if old.Values[i] != now.Values[i] {
			c.note(Difference{old.ID, view.Fields[i].Name, shownValue(old.Values[i]), shownValue(now.Values[i])})
		}
	}
}

func (c *Comparison) note(d Difference) {
	if len(c.First) < firstDifferences {
		c.First = append(c.First, d)
	}
}

// shownValue is a value in words: a number, or a text; times are microseconds since 1970.
func shownValue(v es.Value) string {
	if v.Str != "" {
		return v.Str
	}
	return strconv.FormatInt(v.Int, 10)
}
