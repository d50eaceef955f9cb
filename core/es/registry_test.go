package es_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"daybook/core/access"
	"daybook/core/es"
)

// marked is an event that was stored in three schemas: {"n":"1"}, then {"number":"1"}, then {"number":1}.
type marked struct {
	Number int64
	es.Note
}

func (marked) EventType() string { return "Marked" }

func renamed(data []byte) ([]byte, error) {
	return bytes.Replace(data, []byte(`"n":`), []byte(`"number":`), 1), nil
}

func unquoted(data []byte) ([]byte, error) {
	if bytes.Contains(data, []byte("refuse")) {
		return nil, errors.New("no number in it")
	}
	return bytes.ReplaceAll(bytes.Replace(data, []byte(`"number":"`), []byte(`"number":`), 1), []byte(`"}`), []byte(`}`)), nil
}

func markedType() es.EventType {
	return es.EventOf("A mark was made.", es.IntField("number", es.KindNumber, "Which.", func(e *marked) *int64 { return &e.Number }))
}

func markers() es.Module {
	return es.Module{
		Name: "marks", Noun: "mark", Prefix: "mark:",
		Events: []es.EventType{markedType().Upcast(renamed, unquoted)},
		Apply:  es.Applying(func(sum int64, e es.Event) int64 { return sum + e.(marked).Number }),
	}
}

func registry(t *testing.T, modules ...es.Module) *es.Registry {
	t.Helper()
	r, err := es.NewRegistry(modules...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegistryRefusesModulesThatCannotBeToldApart(t *testing.T) {
	event := []es.EventType{markedType()}
	for _, c := range []struct {
		sentence string
		a, b     es.Module
		says     string
	}{
		{"one name", es.Module{Name: "a", Noun: "x", Prefix: "x:"}, es.Module{Name: "a", Noun: "y", Prefix: "y:"}, `the name "a"`},
		{"one noun", es.Module{Name: "a", Noun: "x", Prefix: "x:"}, es.Module{Name: "b", Noun: "x", Prefix: "y:"}, `the noun "x"`},
		{"one prefix", es.Module{Name: "a", Noun: "x", Prefix: "x:"}, es.Module{Name: "b", Noun: "y", Prefix: "x:"}, `the stream prefix "x:"`},
		{"no prefix twice", es.Module{Name: "a", Noun: "x"}, es.Module{Name: "b", Noun: "y"}, `the stream prefix ""`},
		{"one event", es.Module{Name: "a", Noun: "x", Events: event}, es.Module{Name: "b", Noun: "y", Prefix: "y:", Events: event}, `event "Marked" is declared twice`},
		{"a prefix without colon", es.Module{Name: "a", Noun: "x"}, es.Module{Name: "b", Noun: "y", Prefix: "y"}, "must end in its only colon"},
		{"a prefix with two colons", es.Module{Name: "a", Noun: "x"}, es.Module{Name: "b", Noun: "y", Prefix: "y:z:"}, "must end in its only colon"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			if _, err := es.NewRegistry(c.a, c.b); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want words with %q", err, c.says)
			}
		})
	}
}

func TestEveryStoredSchemaIsReadAsTheCurrentOne(t *testing.T) {
	r := registry(t, markers())
	for schema, data := range map[int]string{1: `{"n":"41"}`, 2: `{"number":"41"}`, 3: `{"number":41}`} {
		e, err := r.Decode(&es.Recorded{Type: "Marked", Schema: schema, Data: []byte(data), Position: 1})
		if err != nil || e != (marked{Number: 41}) {
			t.Errorf("schema %d: %s is read as %+v, %v", schema, data, e, err)
		}
	}
	data, schema, err := r.Encode(nil, marked{Number: 41})
	if err != nil || schema != 3 || string(data) != `{"number":41}` {
		t.Errorf("new events are written as %s of schema %d, %v", data, schema, err)
	}
}

func TestDecodeSaysWhatItCannotReadAndWhatToDo(t *testing.T) {
	r := registry(t, markers())
	for _, c := range []struct {
		sentence  string
		eventType string
		schema    int
		data      string
		is        error
		says      []string
	}{
		{"a later schema", "Marked", 4, `{}`, es.ErrUnreadable, []string{"evt-9", "Marked", "schema 4", "up to schema 3", "run a build that knows schema 4 of Marked"}},
		{"an unknown type", "Unheard", 1, `{}`, es.ErrUnreadable, []string{"evt-9", "Unheard", "does not know this type", "run a build that knows schema 1 of Unheard"}},
		{"schema 0", "Marked", 0, `{}`, es.ErrCorrupt, []string{"evt-9", "schema 0"}},
		{"data that no upcaster takes", "Marked", 2, `{"refuse":""}`, es.ErrCorrupt, []string{"evt-9", "from schema 2", "no number in it"}},
		{"data without a member", "Marked", 3, `{}`, es.ErrCorrupt, []string{"evt-9", "Marked", `"number" is missing`}},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			_, err := r.Decode(&es.Recorded{Type: c.eventType, Schema: c.schema, Data: []byte(c.data), Position: 9})
			if !errors.Is(err, c.is) {
				t.Fatalf("got %v, want %v", err, c.is)
			}
			for _, words := range c.says {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("%q does not say %q", err, words)
				}
			}
		})
	}
	if _, _, err := r.Encode(nil, unknown{}); err == nil || !strings.Contains(err.Error(), "not declared") {
		t.Errorf("an event of no module is encoded: %v", err)
	}
}

type unknown struct{}

func (unknown) EventType() string { return "Unheard" }

func TestFoldKeepsWhatEveryStreamHas(t *testing.T) {
	r := registry(t, markers())
	at := time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)
	var f es.Folded
	for i := range 3 {
		err := r.Fold(&f, &es.Recorded{
			Stream: "mark:1", Version: es.Version(i + 1), Position: es.Position(10 * (i + 1)), RecordedAt: at.Add(time.Duration(i) * time.Hour),
			Type: "Marked", Schema: 3, Data: fmt.Appendf(nil, `{"number":%d}`, i+1),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := es.Folded{Stream: "mark:1", Version: 3, Position: 30, CreatedAt: at, UpdatedAt: at.Add(2 * time.Hour), State: int64(6)}
	if f != want {
		t.Errorf("got %+v, want %+v", f, want)
	}
	for _, version := range []es.Version{1, 3, 5} {
		got := f
		err := r.Fold(&got, &es.Recorded{Stream: "mark:1", Version: version, Position: 40, Type: "Marked", Schema: 3, Data: []byte(`{"number":1}`)})
		if !errors.Is(err, es.ErrCorrupt) || got != want {
			t.Errorf("version %d after 3: %+v, %v; want ErrCorrupt and no change", version, got, err)
		}
	}
}

func TestRegistryRefusesACommandThatDoesNotSayWhatItIsToThePolicy(t *testing.T) {
	mark := es.Rule("mark", "Make a mark.", func(es.Decision[int64], *struct{ es.Common }) ([]es.Emitted, error) { return nil, nil })
	m := markers()
	for _, c := range []struct {
		command es.CommandType
		refused bool
	}{{mark, true}, {mark.For("unheard of"), true}, {mark.For(access.Read), true}, {mark.For(access.Govern), false}} {
		m.Commands = []es.CommandType{c.command}
		if _, err := es.NewRegistry(m); (err != nil) != c.refused || c.refused && !strings.Contains(err.Error(), `the command "mark" of module "marks"`) {
			t.Errorf("%q: got %v", c.command.Needs, err)
		}
	}
}
