package spec

import (
	"slices"
	"testing"

	"daybook/core/es"
)

// Declared holds a module's tables to each other: commands emit declared events, every event has a command that emits
// it, every name is used once, everything is documented, and the view gives a value for each of its fields.
func Declared(t *testing.T, m es.Module) {
	t.Run("every event that a command emits is declared, and every declared event is emitted", func(t *testing.T) {
		var emitted, declared []string
		for i := range m.Commands {
			emitted = append(emitted, m.Commands[i].Events...)
		}
		for i := range m.Events {
			declared = append(declared, m.Events[i].Name)
		}
		slices.Sort(emitted)
		slices.Sort(declared)
		if !slices.Equal(slices.Compact(emitted), declared) {
			t.Errorf("commands emit %v, declared are %v", emitted, declared)
		}
	})
	t.Run("every command, event and field has a name of its own and a sentence about it", func(t *testing.T) {
		for i := range m.Commands {
			c := &m.Commands[i]
			documented(t, "command "+c.Name, c.Doc, c.Fields)
			if m.Command(c.Name) != c {
				t.Errorf("the command %s is declared twice", c.Name)
			}
		}
		for i := range m.Events {
			documented(t, "event "+m.Events[i].Name, m.Events[i].Doc, m.Events[i].Fields)
		}
		var fields []es.Spec
		for i := range m.View.Fields {
			fields = append(fields, m.View.Fields[i].Spec)
		}
		documented(t, "view", "of the module "+m.Name, fields)
	})
	t.Run("the view gives a value for each of its fields, also of a stream without events", func(t *testing.T) {
		if got, want := len(m.View.Values("x-1", &es.Folded{})), len(m.View.Fields); got != want {
			t.Errorf("got %d values for %d fields", got, want)
		}
	})
}

func documented(t *testing.T, what, doc string, fields []es.Spec) {
	t.Helper()
	if doc == "" {
		t.Errorf("%s says nothing about itself", what)
	}
	names := map[string]bool{}
	for i := range fields {
		f := &fields[i]
		if f.Doc == "" {
			t.Errorf("%s: the field %s says nothing about itself", what, f.Name)
		}
		if names[f.Name] {
			t.Errorf("%s: the field %s is declared twice", what, f.Name)
		}
		names[f.Name] = true
	}
}
