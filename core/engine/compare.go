package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"daybook/core/es"
	"daybook/core/ports"
)

// Comparison is how a view differs from the same view built again: each document as it was when it was compared, of both sets at one
// position. Parked documents count: their field is "parked".
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

// comparing compares two sets of views, a stretch of documents at a time, in the order of ids. Nobody may write to them during a
// stretch, and between two stretches only what is the same in both: each document is compared, and put into the digests, as it
// is when its turn comes.
type comparing struct {
	modules       []*es.Module // those to come
	before, after walk
	found         []Comparison
}

func newComparing(r *es.Registry, before, after ports.ViewSet) *comparing {
	return &comparing{modules: r.Modules, before: walk{set: before}, after: walk{set: after}}
}

// stretch compares the documents that come next, and reports whether there are more behind them.
func (c *comparing) stretch(ctx context.Context) (more bool, err error) {
	if len(c.modules) == 0 {
		return false, nil
	}
	m := c.modules[0]
	if len(c.found) == 0 || c.found[len(c.found)-1].View != m.Name {
		c.found = append(c.found, Comparison{View: m.Name})
		if err := errors.Join(c.before.begin(ctx, m), c.after.begin(ctx, m)); err != nil {
			return false, err
		}
	}
	old, endOfOld, err := c.before.read(ctx)
	if err != nil {
		return false, err
	}
	now, end, err := c.after.read(ctx)
	if err != nil {
		return false, err
	}
	if end == nil || endOfOld != nil && endOfOld.ID < end.ID {
		end = endOfOld // behind it, one of the sets has documents that were not read
	}
	found := &c.found[len(c.found)-1]
	found.compare(&m.View, c.before.take(old, end), c.after.take(now, end))
	if end == nil {
		found.Old, found.New = c.before.digest(), c.after.digest()
		c.modules = c.modules[1:]
	}
	return len(c.modules) > 0, nil
}

// walk goes through the documents of a view in the order of their ids, parked ones too, and keeps their digest.
type walk struct {
	set    ports.ViewSet
	module *es.Module
	parked []es.Document // those to come
	after  *ports.Cursor
	sum    hash.Hash
	buffer []byte
}

// walkPage is how many documents are read at once.
const walkPage = 5000

// begin goes to the beginning of a view.
func (w *walk) begin(ctx context.Context, m *es.Module) error {
	w.module, w.after, w.sum, w.parked = m, nil, sha256.New(), nil
	parked, _, err := w.set.Parked(ctx, maxParked)
	for _, d := range parked {
		if d.View == m.Name {
			w.parked = append(w.parked, es.Document{ID: d.ID, Parked: d.Reason})
		}
	}
	slices.SortFunc(w.parked, byID)
	return err
}

func byID(a, b es.Document) int { return strings.Compare(a.ID, b.ID) }

// read gives the documents that come next, without the parked ones, and the place of the last of them; nil if they are all there are.
func (w *walk) read(ctx context.Context) ([]es.Document, *ports.Cursor, error) {
	id := w.module.View.Field("id")
	page, err := w.set.List(ctx, w.module.Name, ports.Query{Sort: id, After: w.after, Limit: walkPage})
	if err != nil || !page.More {
		return page.Documents, nil, err
	}
	last := page.Documents[len(page.Documents)-1]
	return page.Documents, &ports.Cursor{Key: last.Values[id], ID: last.ID}, nil
}

// take goes on to behind a place, or the end, and gives what was read up to there with the parked ones in between.
func (w *walk) take(read []es.Document, upTo *ports.Cursor) []es.Document {
	parked := w.parked
	if upTo != nil {
		behind := func(d es.Document) bool { return d.ID > upTo.ID }
		if n := slices.IndexFunc(read, behind); n >= 0 {
			read = read[:n]
		}
		if n := slices.IndexFunc(parked, behind); n >= 0 {
			parked = parked[:n]
		}
	}
	w.after, w.parked = upTo, w.parked[len(parked):]
	if len(parked) > 0 {
		read = slices.Concat(read, parked)
		slices.SortFunc(read, byID)
	}
	for i := range read {
		w.add(&read[i])
	}
	return read
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
	for _, reader := range d.Readers {
		text(reader)
	}
	w.sum.Write(w.buffer)
}

func (w *walk) digest() string { return hex.EncodeToString(w.sum.Sum(nil)) }

// compare adds the documents of a stretch.
func (c *Comparison) compare(view *es.View, old, now []es.Document) {
	for len(old)+len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].ID < now[0].ID:
			c.Removed++
			c.note(Difference{ID: old[0].ID})
			old = old[1:]
		case len(old) == 0 || now[0].ID < old[0].ID:
			c.Added++
			c.note(Difference{ID: now[0].ID})
			now = now[1:]
		default:
			c.match(view, &old[0], &now[0])
			old, now = old[1:], now[1:]
		}
	}
}

// match compares two documents with one id.
func (c *Comparison) match(view *es.View, old, now *es.Document) {
	if old.Version == now.Version && old.Parked == now.Parked && slices.Equal(old.Values, now.Values) && slices.Equal(old.Readers, now.Readers) {
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
