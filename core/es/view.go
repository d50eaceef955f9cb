package es

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// View declares the documents of a module, one per stream, and what they can be found and sorted by. A document is a pure
// function of the folded state of its stream, so it can be thrown away and made again at any time.
type View struct {
	Fields  []ViewField
	Values  func(id string, f *Folded) []Value // one per field; pure
	Meaning int                                // raise it when the same state comes to give other values
}

// Lookup says how a view field can be asked for.
type Lookup uint8

// The ways to ask for documents by a field.
const (
	NoLookup Lookup = iota
	Equal           // ?name=value
	Between         // ?minName= and ?maxName=, both included
)

// ViewField is one member of a view's documents.
type ViewField struct {
	Spec
	Lookup Lookup
	Sorted bool // documents can be sorted by it; ties are broken by id
	Search bool // its words can be searched with ?q=
}

// Shape is a short word that stands for the fields of the view: their names, what they hold and how they are found; and for its
// meaning. Documents of another shape, made by another build, are not documents of this view.
func (v *View) Shape() string {
	h := fnv.New64a()
	if v.Meaning != 0 {
		_, _ = fmt.Fprintf(h, "meaning %d\n", v.Meaning)
	}
	for i := range v.Fields {
		f := &v.Fields[i]
		_, _ = fmt.Fprintf(h, "%s %s %d %t %t\n", f.Name, f.Kind, f.Lookup, f.Sorted, f.Search) // a hash takes everything
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// ViewsShape is a fingerprint of all that the documents of all modules depend on and that declarations show: the shapes of their
// views, and those of the states and events they are made of.
func (r *Registry) ViewsShape() Hash {
	h := sha256.New()
	for _, m := range r.Modules {
		_, _ = fmt.Fprintf(h, "%q %x %s\n", m.Prefix, m.State.shape, m.View.Shape())
	}
	return Hash(h.Sum(nil))
}

// Value is one field's value: Str for kinds that are strings, several texts parted by line breaks, Int for integers, microseconds since 1970 for times.
type Value struct {
	Str string
	Int int64
}

// TimeValue is the Value of a time.
func TimeValue(t time.Time) Value { return Value{Int: t.UnixMicro()} }

// Compare orders two values of one field: integers and times by size, strings by bytes.
func (v Value) Compare(w Value) int {
	switch {
	case v.Int < w.Int:
		return -1
	case v.Int > w.Int:
		return 1
	}
	return strings.Compare(v.Str, w.Str)
}

// Document is one stream as a view shows it.
type Document struct {
	ID      string
	Version Version  // of the stream that it reflects; of a parked one, that of the event since which it waits
	Values  []Value  // one per field of the view
	Readers []string // the subjects whose own it is, the owner first; nil: nobody's
	Parked  string   // why the stream's next event could not be projected; "" while all is well
}

// Field finds a field by name, or -1.
func (v *View) Field(name string) int {
	for i := range v.Fields {
		if v.Fields[i].Name == name {
			return i
		}
	}
	return -1
}

// AppendJSON appends the document as clients see it.
func (v *View) AppendJSON(dst []byte, values []Value) []byte {
	for i := range v.Fields {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		dst = append(dst, sep, '"')
		dst = append(dst, v.Fields[i].Name...)
		dst = append(dst, '"', ':')
		switch k := v.Fields[i].Kind; {
		case k.IsInteger():
			dst = strconv.AppendInt(dst, values[i].Int, 10)
		case k == KindTime:
			dst = append(dst, '"')
			dst = AppendTime(dst, time.UnixMicro(values[i].Int))
			dst = append(dst, '"')
		case k == KindTexts:
			dst = appendTexts(dst, values[i])
		default:
			dst = AppendString(dst, values[i].Str)
		}
	}
	return append(dst, '}')
}

// TextsValue is the Value of a KindTexts.
func TextsValue(texts []string) Value { return Value{Str: strings.Join(texts, "\n")} }

// Texts are the texts of the Value of a KindTexts.
func (v Value) Texts() []string {
	if v.Str == "" {
		return nil
	}
	return strings.Split(v.Str, "\n")
}

func appendTexts(dst []byte, v Value) []byte {
	dst = append(dst, '[')
	for i, text := range v.Texts() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, text)
	}
	return append(dst, ']')
}

// Words splits s for searching: maximal runs of letters, marks and numbers, case-folded.
func Words(s string) []string {
	words := strings.FieldsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r)
	})
	for i, w := range words {
		words[i] = strings.Map(foldRune, w)
	}
	return words
}

// foldRune maps all runes that differ by case alone to one of them (Unicode simple folding).
func foldRune(r rune) rune {
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return unicode.ToLower(least)
}
