// Package asyncapi holds docs/asyncapi.yaml to what the program does: its structure, the modules' tables, the commands that
// the decoder takes and the events that the engine publishes. It holds tests alone.
package asyncapi

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// document is the file as it is written.
type document map[string]any

func load(t *testing.T) document {
	t.Helper()
	text, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]any
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows a path of members; nil when there is none.
func at(value any, path ...string) any {
	for _, name := range path {
		switch v := value.(type) {
		case document:
			value = v[name]
		case map[string]any:
			value = v[name]
		default:
			return nil
		}
	}
	return value
}

func (d document) members(path ...string) map[string]any {
	m, _ := at(d, path...).(map[string]any)
	return m
}

// resolve follows references; nil when one leads nowhere.
func (d document) resolve(value any) any {
	for {
		ref, isRef := at(value, "$ref").(string)
		if !isRef {
			return value
		}
		path, local := strings.CutPrefix(ref, "#/")
		if !local {
			return nil
		}
		value = at(d, strings.Split(path, "/")...)
	}
}

// walk calls visit for every value in the document.
func walk(value any, path string, visit func(path string, value any)) {
	visit(path, value)
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			walk(member, path+"/"+name, visit)
		}
	case []any:
		for _, member := range v {
			walk(member, path+"/-", visit)
		}
	}
}

func TestTheDocumentIsAsyncAPI3AndEveryReferenceLeadsSomewhere(t *testing.T) {
	d := load(t)
	if version, _ := d["asyncapi"].(string); version != "3.0.0" {
		t.Errorf("asyncapi is %q", version)
	}
	known := []string{"asyncapi", "id", "info", "defaultContentType", "servers", "channels", "operations", "components"}
	for name := range d {
		if !slices.Contains(known, name) {
			t.Errorf("%s is no member of an AsyncAPI document", name)
		}
	}
	walk(map[string]any(d), "", func(path string, value any) {
		if ref := at(value, "$ref"); ref != nil && d.resolve(value) == nil {
			t.Errorf("%s: %v leads nowhere", path, ref)
		}
	})
	require := func(what string, all map[string]any, names ...string) {
		if len(all) == 0 {
			t.Errorf("there are no %s", what)
		}
		for key, value := range all {
			for _, name := range names {
				members, _ := d.resolve(value).(map[string]any)
				if _, there := members[name]; !there {
					t.Errorf("%s %s has no %s", what, key, name)
				}
			}
		}
	}
	require("info", map[string]any{"info": d["info"]}, "title", "version")
	require("servers", d.members("servers"), "host", "protocol")
	require("channels", d.members("channels"), "address", "messages", "servers")
	require("operations", d.members("operations"), "action", "channel")
	require("messages", d.members("components", "messages"), "payload", "headers", "examples")
	for name, channel := range d.members("channels") {
		if address := at(channel, "address"); address == nil {
			continue // of replies, which is known when a command comes
		}
		is := at(channel, "bindings", "amqp", "is")
		if is != "queue" && is != "routingKey" || at(channel, "bindings", "amqp", "bindingVersion") == nil {
			t.Errorf("channel %s has no AMQP binding", name)
		}
	}
	for name, operation := range d.members("operations") {
		if action := at(operation, "action"); action != "send" && action != "receive" {
			t.Errorf("operation %s: the action is %v", name, action)
		}
	}
}

func TestTheDocumentNamesTheEventsAndCommandsOfTheModulesWithTheirFields(t *testing.T) {
	d, registry := load(t), registry(t)
	var events, commands []string
	for _, m := range registry.Modules {
		for i := range m.Events {
			e := &m.Events[i]
			events = append(events, e.Name)
			d.compare(t, e.Fields, "components", "schemas", e.Name, "properties", "data", "properties", "data")
		}
		for i := range m.Commands {
			c := &m.Commands[i]
			commands = append(commands, c.Name)
			d.compare(t, c.Fields, "components", "schemas", c.Name, "properties", "data")
		}
	}
	for channel, want := range map[string][]string{"events": events, "commands": commands} {
		got := slices.Sorted(maps.Keys(d.members("channels", channel, "messages")))
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("channel %s has %v, want %v", channel, got, want)
		}
	}
}

// compare holds an object schema to a table of fields.
func (d document) compare(t *testing.T, fields []es.Spec, path ...string) {
	t.Helper()
	where := strings.Join(path, "/")
	properties := d.members(append(slices.Clone(path), "properties")...)
	var names, required []string
	for i := range fields {
		f := &fields[i]
		names = append(names, f.Name)
		if f.Required {
			required = append(required, f.Name)
		}
		want := "string"
		if f.Kind.IsInteger() {
			want = "integer"
		}
		if got := at(properties[f.Name], "type"); got != want {
			t.Errorf("%s: the type of %s is %v, want %s", where, f.Name, got, want)
		}
	}
	var documented []string
	list, _ := at(d, append(slices.Clone(path), "required")...).([]any)
	for _, name := range list {
		documented = append(documented, name.(string))
	}
	slices.Sort(names)
	slices.Sort(required)
	slices.Sort(documented)
	if got := slices.Sorted(maps.Keys(properties)); !slices.Equal(got, names) {
		t.Errorf("%s: the members are %v, want %v", where, got, names)
	}
	if !slices.Equal(documented, required) {
		t.Errorf("%s: required are %v, want %v", where, documented, required)
	}
}

func TestEveryExampleKeepsItsSchema(t *testing.T) {
	d := load(t)
	for name, message := range d.members("components", "messages") {
		for _, example := range at(message, "examples").([]any) {
			if at(example, "payload") == nil {
				t.Errorf("%s: an example has no payload", name)
			}
			for part, value := range example.(map[string]any) {
				for _, problem := range d.problems(at(message, part), plain(t, value), name+"/"+part) {
					t.Error(problem)
				}
			}
		}
	}
}

func TestTheCommandsOfTheExamplesAreDecidedAndTheirEventsAreAsDescribed(t *testing.T) {
	d, registry := load(t), registry(t)
	published := capture{ready: make(chan struct{}, 100)}
	store := memstore.New()
	defer store.Close()
	e := engine.New(engine.Options{
		Anonymous: access.Local,
		Registry:  registry, Store: store, Bus: &published, Views: memviews.New(registry), Observer: ports.Silent{},
		Now: func() time.Time { return time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC) }, EventsTopic: "daybook.events", Source: "/daybook",
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { e.RunCommands(ctx); done <- struct{}{} }()
	go func() { e.RunRelay(ctx); done <- struct{}{} }()
	execute := func(command string, changes ...string) {
		example := at(d, "components", "messages", command, "examples").([]any)[0]
		text, err := json.Marshal(plain(t, at(example, "payload")))
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := wire.DecodeEnvelope(registry, []byte(strings.NewReplacer(changes...).Replace(string(text))))
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		if _, err := e.Execute(ctx, envelope.Request(es.Metadata{})); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	execute("create")
	execute("create", "acc-101", "acc-102", "cmd-1", "other-1")
	execute("create", "acc-101", "acc-103", "cmd-1", "other-2")
	for _, command := range []string{"deposit", "withdraw", "transfer", "correct", "set-overdraft-limit", "freeze", "unfreeze", "add-holder", "remove-holder", "close"} {
		execute(command)
	}
	seen := map[string]bool{}
	for len(seen) < len(d.members("channels", "events", "messages")) {
		<-published.ready
		for _, m := range published.take() {
			kind := m.Headers["eventType"]
			seen[kind] = true
			var event any
			if err := json.Unmarshal(m.Body, &event); err != nil {
				t.Fatal(err)
			}
			message := at(d, "components", "messages", kind)
			for _, problem := range d.problems(at(message, "payload"), event, kind) {
				t.Error(problem)
			}
			example := at(message, "examples").([]any)[0]
			for _, path := range [][]string{{}, {"data"}, {"data", "data"}} {
				want := at(plain(t, at(example, "payload")), path...).(map[string]any)
				if got := at(event, path...).(map[string]any); !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
					t.Errorf("%s: %v has the members %v, its example %v", kind, path, got, want)
				}
			}
			for name, value := range m.Headers {
				if name == "content-type" {
					if value != at(message, "contentType") {
						t.Errorf("%s: the content type is %s", kind, value)
					}
				} else if at(d, "components", "schemas", "eventHeaders", "properties", name) == nil {
					t.Errorf("%s: the header %s is not described", kind, name)
				}
			}
		}
	}
	cancel()
	<-done
	<-done
}

func registry(t *testing.T) *es.Registry {
	t.Helper()
	r, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// plain is a value of YAML as JSON has it.
func plain(t *testing.T, value any) any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
