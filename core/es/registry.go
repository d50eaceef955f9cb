package es

import (
	"errors"
	"fmt"
	"strings"
)

// EventType says how one event is stored; EventOf builds it.
type EventType struct {
	Name    string
	Schema  int // the number new events get, from 1
	Doc     string
	Fields  []Spec
	module  *Module    // that declares it; set by NewRegistry
	upcasts []Upcaster // upcasts[i] leads from schema i+1 to i+2
	encode  func(dst []byte, e Event) []byte
	decode  func(data []byte) (Event, error)
}

// EventOf declares the event type E, of schema 1, with the fields of its struct; what Note holds is added.
func EventOf[E Event, P noting[E]](doc string, fields ...Field[E]) EventType {
	var zero E
	fields = append(fields, noteFields(func(e *E) *Note { return P(e).note() })...)
	return EventType{
		Name: zero.EventType(), Schema: 1, Doc: doc, Fields: specs(fields),
		encode: func(dst []byte, e Event) []byte {
			v := e.(E)
			return appendFields(dst, fields, &v)
		},
		decode: func(data []byte) (Event, error) {
			var v E
			err := decodeFields(data, fields, &v)
			return v, err
		},
	}
}

// Upcast returns the event type at a later schema: the upcasters lead from schema 1 to 2, from 2 to 3, and so on.
func (t EventType) Upcast(steps ...Upcaster) EventType {
	t.upcasts, t.Schema = steps, len(steps)+1
	return t
}

// UnreadableError is the error for an event that this build cannot read: of an unknown type or a later schema. Nothing is
// wrong with the event. It matches ErrUnreadable.
type UnreadableError struct {
	Event         Position
	Type          string
	Schema, Known int // the event's schema, and the latest this build knows; 0: it does not know the type
}

// ErrUnreadable is what every UnreadableError is.
var ErrUnreadable = errors.New("es: this build cannot read the event")

// Error names the event and what can read it. It holds nothing of the event's data and may be shown to anybody.
func (e *UnreadableError) Error() string {
	known := "does not know this type"
	if e.Known > 0 {
		known = fmt.Sprintf("reads it up to schema %d", e.Known)
	}
	return fmt.Sprintf("%s is %s of schema %d and this build %s; run a build that knows schema %d of %s",
		e.Event.EventID(), e.Type, e.Schema, known, e.Schema, e.Type)
}

// Is reports whether target is ErrUnreadable.
func (e *UnreadableError) Is(target error) bool { return target == ErrUnreadable }

// Registry knows the modules of a program and the events of all of them. It is read-only once built.
type Registry struct {
	Modules  []*Module
	events   map[string]*EventType
	prefixes map[string]*Module
}

// NewRegistry checks that no two modules share a name, a noun, a prefix of streams or an event type, and that every command says what
// it is to the policy.
func NewRegistry(modules ...Module) (*Registry, error) {
	r := &Registry{events: map[string]*EventType{}, prefixes: map[string]*Module{}}
	for i := range modules {
		m := &modules[i]
		if r.Module(m.Name) != nil || r.ModuleByNoun(m.Noun) != nil || r.prefixes[m.Prefix] != nil {
			return nil, fmt.Errorf("es: the name %q, the noun %q or the stream prefix %q is taken by another module", m.Name, m.Noun, m.Prefix)
		}
		if m.Prefix != "" && strings.IndexByte(m.Prefix, ':') != len(m.Prefix)-1 {
			return nil, fmt.Errorf("es: the stream prefix %q of module %q must end in its only colon", m.Prefix, m.Name)
		}
		for j := range m.Commands {
			if c := &m.Commands[j]; !c.Needs.OfCommand() {
				return nil, fmt.Errorf("es: the command %q of module %q does not say what it is to the policy: add For", c.Name, m.Name)
			}
		}
		for j := range m.Events {
			t := m.Events[j] // a copy: modules may share their tables between registries
			if r.events[t.Name] != nil {
				return nil, fmt.Errorf("es: event %q is declared twice", t.Name)
			}
			t.module = m
			r.events[t.Name] = &t
		}
		m.State.shape = shapeOf(m)
		r.Modules = append(r.Modules, m)
		r.prefixes[m.Prefix] = m
	}
	return r, nil
}

// Module finds a module by its name, or nil.
func (r *Registry) Module(name string) *Module {
	for _, m := range r.Modules {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// ModuleByNoun finds a module by its noun, or nil.
func (r *Registry) ModuleByNoun(noun string) *Module {
	for _, m := range r.Modules {
		if m.Noun == noun {
			return m
		}
	}
	return nil
}

// ModuleOf finds the module a stream belongs to, by the prefix of its id, or nil.
func (r *Registry) ModuleOf(s StreamID) *Module {
	return r.prefixes[string(s[:strings.IndexByte(string(s), ':')+1])]
}

// EventType finds the declaration of an event type by name, or nil.
func (r *Registry) EventType(name string) *EventType { return r.events[name] }

// Encode appends the stored data of e and gives its schema.
func (r *Registry) Encode(dst []byte, e Event) (data []byte, schema int, err error) {
	t := r.events[e.EventType()]
	if t == nil {
		return dst, 0, fmt.Errorf("es: event %q is not declared by any module", e.EventType())
	}
	return t.encode(dst, e), t.Schema, nil
}

// Decode brings stored data to its current schema and then to its Go type. Its errors wrap ErrUnreadable or ErrCorrupt.
func (r *Registry) Decode(rec *Recorded) (Event, error) {
	t := r.events[rec.Type]
	switch {
	case t == nil:
		return nil, &UnreadableError{Event: rec.Position, Type: rec.Type, Schema: rec.Schema}
	case rec.Schema > t.Schema:
		return nil, &UnreadableError{Event: rec.Position, Type: rec.Type, Schema: rec.Schema, Known: t.Schema}
	case rec.Schema < 1:
		return nil, fmt.Errorf("%w: %s has schema %d", ErrCorrupt, rec.Position.EventID(), rec.Schema)
	}
	data := rec.Data
	for s := rec.Schema; s < t.Schema; s++ {
		var err error
		if data, err = t.upcasts[s-1](data); err != nil {
			return nil, fmt.Errorf("%w: upcast %s %s from schema %d: %w", ErrCorrupt, rec.Type, rec.Position.EventID(), s, err)
		}
	}
	e, err := t.decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", rec.Position.EventID(), rec.Type, err)
	}
	return e, nil
}

// Fold adds one recorded event to a stream's state. The event must be the next one of the stream. On an error, or a panic of
// the module, f is as it was.
func (r *Registry) Fold(f *Folded, rec *Recorded) error {
	e, err := r.Decode(rec)
	if err != nil {
		return err
	}
	return r.FoldDecoded(f, rec, e)
}

// FoldDecoded is Fold for an event that is already at hand in its Go type.
func (r *Registry) FoldDecoded(f *Folded, rec *Recorded, e Event) error {
	if rec.Version != f.Version+1 {
		return fmt.Errorf("%w: %s is version %d of %s, which is at version %d", ErrCorrupt, rec.Position.EventID(), rec.Version, rec.Stream, f.Version)
	}
	m := r.events[rec.Type].module
	spent := f.Spent.after(m, f.State, rec, e)
	f.State = m.Apply(f.State, e)
	f.Spent = spent
	if f.Version == 0 {
		f.Stream, f.CreatedAt = rec.Stream, rec.RecordedAt
	}
	f.Version, f.Position, f.Hash, f.UpdatedAt = rec.Version, rec.Position, rec.Hash, rec.RecordedAt
	return nil
}
