package httpapi

import (
	"maps"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/es"
)

// schemaPrefix is where the document keeps its schemas.
const schemaPrefix = "#/components/schemas/"

func ref(name string) *huma.Schema { return &huma.Schema{Ref: schemaPrefix + name} }

func bound(n int64) *float64 {
	f := float64(n)
	return &f
}

func numberSchema(low, high int64) *huma.Schema {
	return &huma.Schema{Type: "integer", Format: "int64", Minimum: bound(low), Maximum: bound(high)}
}

func textSchema(most int) *huma.Schema {
	least := 1
	return &huma.Schema{Type: "string", MinLength: &least, MaxLength: &most}
}

func timeSchema() *huma.Schema {
	return &huma.Schema{Type: "string", Format: "date-time", Examples: []any{"2025-10-28T09:00:00Z"}}
}

// fieldSchema is what a field's values must be.
func fieldSchema(spec *es.Spec) *huma.Schema {
	s := &huma.Schema{}
	switch spec.Kind {
	case es.KindAmount:
		s = numberSchema(1, es.MaxAmount)
	case es.KindLimit, es.KindNumber:
		s = numberSchema(0, es.MaxAmount)
	case es.KindBalance:
		s = numberSchema(-es.MaxAmount, es.MaxAmount)
	case es.KindID:
		s = &huma.Schema{Type: "string", Pattern: es.IDPattern}
	case es.KindText:
		s = textSchema(es.MaxText)
	case es.KindTexts:
		s = &huma.Schema{Type: "array", Items: textSchema(es.MaxText)}
	case es.KindTime:
		s = timeSchema()
	case es.KindWord:
		s = &huma.Schema{Type: "string"}
		for _, w := range spec.Words {
			s.Enum = append(s.Enum, w)
		}
	case es.KindCurrency:
		s = &huma.Schema{Type: "string", Examples: []any{"EUR"}}
	}
	s.Description = spec.Doc
	if spec.Needs != "" {
		s.Description += " " + whoMay(spec.Needs)
	}
	return s
}

// objectSchema is an object with these fields and no others.
func objectSchema(doc string, fields []es.Spec) *huma.Schema {
	s := object(doc)
	for i := range fields {
		s.Properties[fields[i].Name] = fieldSchema(&fields[i])
		if fields[i].Required {
			s.Required = append(s.Required, fields[i].Name)
		}
	}
	return s
}

func object(doc string) *huma.Schema {
	return &huma.Schema{Type: "object", Description: doc, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
}

// with adds a member that is always there.
func with(s *huma.Schema, name string, member *huma.Schema) *huma.Schema {
	s.Required = append(s.Required, name)
	return optionally(s, name, member)
}

// optionally adds a member that may be missing.
func optionally(s *huma.Schema, name string, member *huma.Schema) *huma.Schema {
	s.Properties[name] = member
	return s
}

func listSchema(item *huma.Schema) *huma.Schema {
	s := with(object("A page of a list."), "items", &huma.Schema{Type: "array", Items: item})
	return optionally(s, "next", &huma.Schema{Type: "string", Description: "The cursor of the next page; missing at the end."})
}

// schemas are the named ones of the document.
func (s *server) schemas() map[string]*huma.Schema {
	all := map[string]*huma.Schema{
		"Problem": problemSchema(), "Event": s.eventSchema(), "EventList": listSchema(ref("Event")),
		"Envelope": envelopeSchema(s.Engine.Registry), "AnswerLine": answerLineSchema(s.Engine.Registry),
		"Operation": operationSchema(),
		"Health": optionally(with(object("How the process is."), "status", &huma.Schema{Type: "string", Enum: []any{"ok", "unavailable"}}),
			"checks", &huma.Schema{Type: "array", Items: checkSchema()}),
		"Status": statusSchema(), "Proof": proofSchema(), "DeadLetter": deadLetterSchema(), "DeadLetterList": listSchema(ref("DeadLetter")),
	}
	if s.Keys != nil {
		maps.Copy(all, keySchemas())
	}
	maps.Copy(all, auditSchemas())
	for _, m := range s.Engine.Registry.Modules {
		all[typeName(m.Noun)] = documentSchema(m)
		all[typeName(m.Noun)+"List"] = listSchema(ref(typeName(m.Noun)))
		all[typeName(m.Noun)+"Answer"] = answerSchema(m)
		for i := range m.Commands {
			t := &m.Commands[i]
			all[typeName(m.Noun)+typeName(t.Name)] = objectSchema(t.Doc, t.Fields)
		}
		if m.Ledger != nil {
			all["EffectiveBalance"] = effectiveSchema()
			all["Statement"] = statementSchema()
		}
	}
	return all
}

func operationSchema() *huma.Schema {
	words, number := &huma.Schema{Type: "string"}, numberSchema(0, es.MaxAmount)
	s := object("Work that goes on after the request that started it.")
	with(with(s, "id", words), "kind", words)
	with(s, "state", &huma.Schema{Type: "string", Enum: []any{"running", "done", "failed"}})
	with(with(with(s, "position", number), "head", number), "percent", numberSchema(0, 100))
	optionally(optionally(optionally(s, "eventsPerSecond", number), "secondsLeft", number), "error", words)
	optionally(s, "heldBack", &huma.Schema{Type: "string", Description: "Of an archival: why some events stay that are old enough."})
	one := object("A field that is not as it was; of a document that was added or removed there is the id alone.")
	with(with(with(with(one, "id", words), "field", words), "old", words), "new", words)
	view := with(object("How a view was and is."), "name", words)
	view = with(with(view, "digest", words), "digestBefore", words)
	with(with(with(with(view, "same", number), "added", number), "removed", number), "changed", number)
	with(view, "differences", &huma.Schema{Type: "array", Items: one, Description: "The first few."})
	return optionally(s, "views", &huma.Schema{Type: "array", Items: view,
		Description: "When it is done, from the process that built the views: a SHA-256 of each as it is and as it was, and what changed."})
}

func problemSchema() *huma.Schema {
	words := &huma.Schema{Type: "string"}
	wrong := with(with(object(""), "pointer", &huma.Schema{Type: "string", Description: "RFC 6901, or the name of a parameter."}), "detail", words)
	s := with(with(with(with(with(object("What went wrong (RFC 9457). Figures of a refusal, such as the balance, are members of their own."),
		"type", &huma.Schema{Type: "string", Format: "uri-reference"}), "title", words), "status", numberSchema(400, 599)), "detail", words),
		"code", &huma.Schema{Type: "string", Description: "Stable; /docs/errors explains each.", Pattern: `^[a-z0-9_]+$`})
	optionally(optionally(s, "instance", words), "requestId", words)
	optionally(s, "outcome", &huma.Schema{Type: "string", Enum: []any{"unknown"}, Description: "It may or may not have happened: send it again with the same key."})
	optionally(s, "errors", &huma.Schema{Type: "array", Items: wrong})
	s.AdditionalProperties = &huma.Schema{Type: "integer", Format: "int64"}
	return s
}

func (s *server) eventSchema() *huma.Schema {
	names := &huma.Schema{Type: "string"}
	var data []*huma.Schema
	for _, m := range s.Engine.Registry.Modules {
		for i := range m.Events {
			data = append(data, objectSchema(m.Events[i].Name+": "+m.Events[i].Doc, m.Events[i].Fields))
			names.Examples = append(names.Examples, m.Events[i].Name)
		}
	}
	metadata := with(object("Where it came from."), "principal", &huma.Schema{Type: "string"})
	for _, name := range []string{"commandId", "requestId", "correlationId", "causationId", "traceparent"} {
		optionally(metadata, name, &huma.Schema{Type: "string"})
	}
	e := object("Something that happened, as it is stored.")
	with(with(with(e, "id", &huma.Schema{Type: "string", Pattern: `^evt-[1-9][0-9]*$`}), "aggregateId", &huma.Schema{Type: "string"}), "eventType", names)
	with(with(e, "timestamp", timeSchema()), "data", &huma.Schema{Type: "object", Description: "By event type, at its current schema; older events keep the shape of theirs.", AnyOf: append(data, &huma.Schema{Type: "object"})})
	with(with(with(e, "version", numberSchema(1, es.MaxAmount)), "position", numberSchema(1, es.MaxAmount)), "schema", numberSchema(1, 1<<31))
	with(with(e, "recordedAt", timeSchema()), "metadata", metadata)
	return optionally(e, "hash", &huma.Schema{
		Type: "string", Pattern: `^[0-9a-f]{64}$`, Description: "SHA-256 over the event, as it is here without this member, and the hash of the one before it in its stream.",
	})
}

func documentSchema(m *es.Module) *huma.Schema {
	s := object("The " + m.Noun + " as the view has it.")
	for i := range m.View.Fields {
		with(s, m.View.Fields[i].Name, fieldSchema(&m.View.Fields[i].Spec))
	}
	return s
}

func answerSchema(m *es.Module) *huma.Schema {
	event := with(with(with(with(object(""), "id", &huma.Schema{Type: "string"}), "eventType", &huma.Schema{Type: "string"}),
		"version", numberSchema(1, es.MaxAmount)), "position", numberSchema(1, es.MaxAmount))
	return optionally(standing(m, object("What the command did. position is the last it wrote, in whatever stream. "+
		"Who paid in and may not read the "+m.Noun+" is told no more than that; version, balance and events are not there.")),
		"events", &huma.Schema{Type: "array", Items: event})
}

func standing(m *es.Module, s *huma.Schema) *huma.Schema {
	with(optionally(with(s, m.Noun, &huma.Schema{Type: "string", Pattern: es.IDPattern}), "version", numberSchema(1, es.MaxAmount)), "position", numberSchema(0, es.MaxAmount))
	if m.Ledger != nil {
		optionally(s, "balance", numberSchema(-es.MaxAmount, es.MaxAmount))
	}
	return s
}
