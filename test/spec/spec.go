// Package spec writes the rules of any module as sentences: given these events, when this command, then those events, or
// that refusal. It knows no module; it goes through the module's own tables, and every event through its stored form and
// back, so a rule, its fields and its encoding are tested together. Only tests import it.
package spec

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"daybook/core/es"
	"daybook/core/fault"
)

// Case is one sentence. Set Then or Fails, not both.
type Case struct {
	Given Streams
	When  Action
	Then  Streams      // the events of each stream that gets any, and nothing else
	Fails *fault.Fault // matched by its code; where it carries figures, the refusal must carry the same
}

// Streams is what happened, stream by stream; Stream makes one.
type Streams []stream

type stream struct {
	id     string
	events []es.Event
}

// Stream is the events of one aggregate, by its id within the module.
func Stream(id string, events ...es.Event) Streams { return Streams{{id, events}} }

// And adds another stream. The events of Given are stored in the order written, stream after stream.
func (s Streams) And(id string, events ...es.Event) Streams {
	return append(slices.Clip(s), stream{id, events})
}

// Action is a command by its name on the wire, sent to one aggregate.
type Action struct {
	name, id string
	fields   Fields
}

// Fields are a command's fields by their names on the wire: int or int64, string, time.Time.
type Fields map[string]any

// Command asks the aggregate with this id to do what name says. A field that its rule of fields would not let in is a
// mistake of the test and fails it.
func Command(name, id string, fields Fields) Action { return Action{name, id, fields} }

// Run plays the case against the module.
func Run(t *testing.T, m es.Module, c Case) {
	t.Helper()
	if err := c.check(m); err != nil {
		t.Fatal(err)
	}
}

// check says in which way the module does not do what the case says.
func (c Case) check(m es.Module) error {
	if (c.Then == nil) == (c.Fails == nil) {
		return errors.New("a case needs either Then or Fails")
	}
	h, err := NewHistory(m)
	if err != nil {
		return err
	}
	for _, s := range c.Given {
		if err := h.Append(s.id, s.events...); err != nil {
			return fmt.Errorf("given %s: %w", s.id, err)
		}
	}
	got, err := h.Do(c.When)
	switch {
	case c.Fails != nil && err == nil:
		return fmt.Errorf("%s was accepted, want the refusal %s\n%s", c.When, c.Fails.Code, got)
	case c.Fails != nil:
		return c.refusal(err)
	case err != nil:
		return fmt.Errorf("%s was refused: %w", c.When, err)
	case !reflect.DeepEqual(got.byStream(), c.Then.byStream()):
		return fmt.Errorf("%s gave\n%swant\n%s", c.When, got, c.Then)
	}
	return nil
}

func (c Case) refusal(err error) error {
	var got *fault.Fault
	switch {
	case !errors.Is(err, c.Fails) || !errors.As(err, &got):
		return fmt.Errorf("%s was refused with %w, want %s", c.When, err, c.Fails.Code)
	case got.Kind != c.Fails.Kind:
		return fmt.Errorf("%s was refused as %s, want %s", c.When, got.Kind, c.Fails.Kind)
	case c.Fails.Details != nil && !slices.Equal(got.Details, c.Fails.Details):
		return fmt.Errorf("%s was refused with the figures %v, want %v", c.When, got.Details, c.Fails.Details)
	}
	return nil
}

// byStream gives the events per stream; the order between streams does not matter.
func (s Streams) byStream() map[string][]es.Event {
	m := map[string][]es.Event{}
	for _, one := range s {
		m[one.id] = append(m[one.id], one.events...)
	}
	return m
}

// String lists the events one a line.
func (s Streams) String() string {
	text := ""
	for _, one := range s {
		for _, e := range one.events {
			text += fmt.Sprintf("\t%s: %s%+v\n", one.id, e.EventType(), e)
		}
	}
	if text == "" {
		return "\tno events\n"
	}
	return text
}

// String is the command as a reader would say it.
func (a Action) String() string {
	return fmt.Sprintf("%s %s %v", a.name, a.id, map[string]any(a.fields))
}
