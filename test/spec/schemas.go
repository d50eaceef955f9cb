package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"daybook/core/es"
)

// schemasFile has a line for each schema of each event type that was ever stored: its fields, frozen for ever.
const schemasFile = "schemas.txt"

// howTo is what to do about an event type that is not as it was.
const howTo = `Stored events are never rewritten, so their fields stay as they are. To change the event: give it its new fields and, by
Upcast, the step from the schema before; then run this test with -update, which freezes the new schema beside the old ones.
docs/events.md shows each step.`

// schemas holds the fields of every event type to those frozen in the directory, and the golden events to the fields.
func schemas(t *testing.T, m es.Module, dir string) {
	frozen, err := readSchemas(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Events {
		of := &m.Events[i]
		current, now := schemaName(of.Name, of.Schema), fieldsOf(of.Fields)
		if _, there := frozen[current]; !there && *update {
			frozen[current] = now
			freezeSchemas(t, dir, frozen)
		}
		for _, problem := range changed(of, frozen) {
			t.Error(problem)
		}
		for schema := 1; schema <= of.Schema; schema++ {
			complete(t, goldenFile(dir, of.Name, schema), frozen[schemaName(of.Name, schema)])
		}
	}
	for _, problem := range dropped(m.Events, frozen) {
		t.Error(problem)
	}
}

// changed says in what an event type differs from what was frozen of it.
func changed(of *es.EventType, frozen map[string]string) (problems []string) {
	for schema := 1; schema <= of.Schema; schema++ {
		name := schemaName(of.Name, schema)
		was, there := frozen[name]
		switch now := fieldsOf(of.Fields); {
		case !there:
			problems = append(problems, fmt.Sprintf("%s has no line in %s: run this test with -update to freeze it, and commit the file.", name, schemasFile))
		case schema == of.Schema && was != now:
			problems = append(problems, fmt.Sprintf("The fields of %s have changed without a new schema number.\nfrozen: %s\nnow:    %s\n%s", name, was, now, howTo))
		}
	}
	return problems
}

// dropped names what was frozen and is declared no more.
func dropped(types []es.EventType, frozen map[string]string) (problems []string) {
	declared := map[string]bool{}
	for i := range types {
		for schema := 1; schema <= types[i].Schema; schema++ {
			declared[schemaName(types[i].Name, schema)] = true
		}
	}
	for name := range frozen {
		if !declared[name] {
			problems = append(problems, name+" was frozen and is declared no more: stores that have such events could not be read.\n"+howTo)
		}
	}
	return problems
}

func schemaName(event string, schema int) string { return fmt.Sprintf("%s.v%d", event, schema) }

// fieldsOf writes the fields of an event in a line.
func fieldsOf(fields []es.Spec) string {
	words := make([]string, len(fields))
	for i := range fields {
		words[i] = fields[i].Name + " " + fields[i].Kind.String()
		if !fields[i].Required {
			words[i] += " optional"
		}
	}
	return strings.Join(words, ", ")
}

// complete checks that a golden event has what its schema requires and nothing that its schema has not.
func complete(t *testing.T, file, fields string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	var event struct{ Data map[string]any }
	if err := json.Unmarshal(raw, &event); err != nil {
		t.Errorf("%s: %v", file, err)
	}
	for field := range strings.SplitSeq(fields, ", ") {
		name, _, _ := strings.Cut(field, " ")
		if _, there := event.Data[name]; !there && !strings.HasSuffix(field, " optional") {
			t.Errorf("%s has no %s", file, name)
		}
		delete(event.Data, name)
	}
	if len(event.Data) > 0 {
		t.Errorf("%s has members that its schema has not: %v", file, event.Data)
	}
}

func readSchemas(dir string) (map[string]string, error) {
	frozen := map[string]string{}
	text, err := os.ReadFile(filepath.Join(dir, schemasFile))
	if errors.Is(err, fs.ErrNotExist) {
		return frozen, nil
	}
	for line := range strings.Lines(string(text)) {
		name, fields, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if _, twice := frozen[name]; !ok || twice {
			return nil, fmt.Errorf("%s: what does the line %q mean?", schemasFile, line)
		}
		frozen[name] = fields
	}
	return frozen, err
}

func freezeSchemas(t *testing.T, dir string, frozen map[string]string) {
	t.Helper()
	var lines []string
	for name, fields := range frozen {
		lines = append(lines, name+": "+fields+"\n")
	}
	slices.Sort(lines)
	if err := os.WriteFile(filepath.Join(dir, schemasFile), []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
}
