package elasticviews

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"daybook/core/es"
)

// index is what is known of a view's documents as they are stored.
type index struct {
	name   string
	view   *es.View
	shape  string         // of the view
	fields map[string]int // by name
	search []int          // the Search fields
	times  []int
}

func newIndex(m *es.Module) (*index, error) {
	x := &index{name: m.Name, view: &m.View, shape: m.View.Shape(), fields: map[string]int{}}
	for i := range x.view.Fields {
		f := &x.view.Fields[i]
		if f.Name == own {
			return nil, errOptions.Say("The view %s has a field named %s, which is where the views keep what is theirs.", m.Name, own)
		}
		x.fields[f.Name] = i
		if f.Search {
			x.search = append(x.search, i)
		}
		if f.Kind == es.KindTime {
			x.times = append(x.times, i)
		}
	}
	return x, nil
}

// path is where the values of a field stand as they are compared.
func (x *index) path(field int) string {
	f := &x.view.Fields[field]
	if f.Kind == es.KindTime {
		return own + "." + ownMicros + "." + f.Name
	}
	return f.Name
}

// plain is a value as it stands in JSON.
func (x *index) plain(field int, v es.Value) any {
	if k := x.view.Fields[field].Kind; k.IsInteger() || k == es.KindTime {
		return v.Int
	}
	return v.Str
}

// complete reports whether a document has a value for each field. One that was parked at its first event has none.
func (x *index) complete(d *es.Document) bool { return len(d.Values) == len(x.view.Fields) }

// append appends a document as it is stored: what clients see, and a member of its own behind.
func (x *index) append(dst []byte, d *es.Document) []byte {
	dst = append(dst, '{')
	if x.complete(d) {
		dst = x.view.AppendJSON(dst[:len(dst)-1], d.Values)
		dst[len(dst)-1] = ','
	}
	dst = append(dst, `"`+own+`":{"`+ownID+`":`...)
	dst = es.AppendString(dst, d.ID)
	if x.complete(d) {
		dst = x.appendFound(dst, d)
	}
	if len(d.Readers) > 0 {
		dst = x.appendReaders(dst, d.Readers)
	}
	if d.Parked != "" {
		dst = append(dst, `,"`+ownParked+`":true,"`+ownReason+`":`...)
		dst = es.AppendString(dst, d.Parked)
	}
	return append(dst, '}', '}')
}

func (x *index) appendReaders(dst []byte, readers []string) []byte {
	dst = append(dst, `,"`+ownReaders+`":[`...)
	for i, reader := range readers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = es.AppendString(dst, reader)
	}
	return append(dst, ']')
}

// appendFound appends what a document is found by, besides its fields.
func (x *index) appendFound(dst []byte, d *es.Document) []byte {
	dst = append(dst, `,"`+ownWords+`":[`...)
	first := true
	for _, i := range x.search {
		for _, w := range es.Words(d.Values[i].Str) {
			if !first {
				dst = append(dst, ',')
			}
			dst, first = es.AppendString(dst, w), false
		}
	}
	dst = append(dst, `],"`+ownMicros+`":{`...)
	for n, i := range x.times {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(es.AppendString(dst, x.view.Fields[i].Name), ':')
		dst = strconv.AppendInt(dst, d.Values[i].Int, 10)
	}
	return append(dst, '}')
}

// hit is a stored document as the server gives it.
type hit struct {
	ID      string         `json:"_id"`
	Version es.Version     `json:"_version"`
	Source  jsontext.Value `json:"_source"`
}

// document reads a hit.
func (x *index) document(h *hit) (es.Document, error) {
	d := es.Document{ID: h.ID, Version: h.Version, Values: make([]es.Value, len(x.view.Fields))}
	r := reader{Decoder: jsontext.NewDecoder(bytes.NewBuffer(h.Source)), index: x, to: &d}
	if err := r.object(r.member); err != nil {
		return es.Document{}, errRefused.Because(fmt.Errorf("elasticviews: document %q of the view %s cannot be read: %w", h.ID, x.name, err))
	}
	return d, nil
}

// reader fills a document from JSON.
type reader struct {
	*jsontext.Decoder
	*index
	to *es.Document
}

// object reads an object, member by member.
func (r *reader) object(member func(name string) error) error {
	if _, err := r.ReadToken(); err != nil {
		return err
	}
	for r.PeekKind() != '}' {
		name, err := r.ReadToken()
		if err != nil {
			return err
		}
		if err := member(name.String()); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

func (r *reader) member(name string) error {
	i, known := r.fields[name]
	switch {
	case name == own:
		return r.object(r.ownMember)
	case !known || r.view.Fields[i].Kind == es.KindTime:
		return r.SkipValue()
	case r.view.Fields[i].Kind.IsInteger():
		return r.integer(&r.to.Values[i])
	case r.view.Fields[i].Kind == es.KindTexts:
		texts, err := r.texts()
		r.to.Values[i] = es.TextsValue(texts)
		return err
	}
	token, err := r.ReadToken()
	r.to.Values[i].Str = token.String()
	return err
}

// texts reads an array of strings.
func (r *reader) texts() (texts []string, err error) {
	if _, err := r.ReadToken(); err != nil {
		return nil, err
	}
	for r.PeekKind() != ']' {
		token, err := r.ReadToken()
		if err != nil {
			return nil, err
		}
		texts = append(texts, token.String())
	}
	_, err = r.ReadToken()
	return texts, err
}

func (r *reader) integer(to *es.Value) error {
	value, err := r.ReadValue()
	if err != nil {
		return err
	}
	to.Int, err = strconv.ParseInt(string(value), 10, 64)
	return err
}

func (r *reader) ownMember(name string) error {
	switch name {
	case ownMicros:
		return r.object(func(name string) error {
			if i, known := r.fields[name]; known {
				return r.integer(&r.to.Values[i])
			}
			return r.SkipValue()
		})
	case ownReason:
		token, err := r.ReadToken()
		r.to.Parked = token.String()
		return err
	case ownReaders:
		readers, err := r.texts()
		r.to.Readers = readers
		return err
	}
	return r.SkipValue()
}
