package httpapi

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/es"
)

// typeName makes the name of a schema of a word, such as SetOverdraftLimit of set-overdraft-limit.
func typeName(word string) string {
	var name strings.Builder
	for part := range strings.SplitSeq(word, "-") {
		name.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return name.String()
}

func keySchema() *huma.Schema {
	return &huma.Schema{Type: "string", Pattern: `^[!-~]{1,255}$`, Description: "The idempotency key."}
}

// envelopeSchema is one line of a bulk request, of any module.
func envelopeSchema(reg *es.Registry) *huma.Schema {
	s := &huma.Schema{Description: "One command with its address."}
	for _, m := range reg.Modules {
		for i := range m.Commands {
			t := &m.Commands[i]
			e := with(with(object(t.Doc), "id", keySchema()), m.Noun, &huma.Schema{Type: "string", Pattern: es.IDPattern})
			with(with(e, "command", &huma.Schema{Type: "string", Enum: []any{t.Name}}), "data", ref(typeName(m.Noun)+typeName(t.Name)))
			s.OneOf = append(s.OneOf, optionally(e, "expectedVersion", numberSchema(0, es.MaxAmount)))
		}
	}
	return s
}

// answerLineSchema is one line of a bulk answer: accepted or refused.
func answerLineSchema(reg *es.Registry) *huma.Schema {
	refused := with(with(object("Refused."), "status", numberSchema(400, 599)), "error", ref("Problem"))
	optionally(optionally(refused, "id", keySchema()), "line", &huma.Schema{Type: "integer", Description: "The number of a line that could not be read, from 1."})
	optionally(refused, "replayed", &huma.Schema{Type: "boolean"})
	s := &huma.Schema{Description: "The answer to one line.", OneOf: []*huma.Schema{refused}}
	for _, m := range reg.Modules {
		accepted := with(with(object("Accepted."), "id", keySchema()), "status", numberSchema(200, 201))
		s.OneOf = append(s.OneOf, with(standing(m, accepted), "replayed", &huma.Schema{Type: "boolean"}))
	}
	return s
}

func effectiveSchema() *huma.Schema {
	s := with(with(object("The balance of what had happened in the world by effectiveAt, as known at the time at."), "id", &huma.Schema{Type: "string"}), "currency", &huma.Schema{Type: "string"})
	return with(with(with(s, "balance", numberSchema(-es.MaxAmount, es.MaxAmount)), "effectiveAt", timeSchema()), "at", timeSchema())
}

func statementSchema() *huma.Schema {
	words, amount := &huma.Schema{Type: "string"}, numberSchema(-es.MaxAmount, es.MaxAmount)
	openTime := timeSchema()
	openTime.Nullable = true
	entry := with(with(with(with(object(""), "id", words), "eventType", words), "effectiveAt", timeSchema()), "recordedAt", timeSchema())
	with(with(with(with(entry, "amount", amount), "balance", amount), "version", numberSchema(1, es.MaxAmount)), "position", numberSchema(1, es.MaxAmount))
	for _, name := range []string{"corrects", "transferId", "counterparty", "reference", "description"} {
		optionally(entry, name, words)
	}
	s := with(with(with(object("What moved a balance over [from, to) of effective time."), "id", words), "currency", words), "from", openTime)
	with(with(with(s, "to", openTime), "at", timeSchema()), "openingBalance", amount)
	with(with(s, "entries", &huma.Schema{Type: "array", Items: entry}), "closingBalance", amount)
	return optionally(s, "next", &huma.Schema{Type: "string", Description: "The cursor of the next page; not there on the last one."})
}

func checkSchema() *huma.Schema {
	yesNo := &huma.Schema{Type: "boolean"}
	return optionally(with(with(with(object(""), "name", &huma.Schema{Type: "string"}), "ok", yesNo), "needed", yesNo), "detail", &huma.Schema{Type: "string"})
}

func statusSchema() *huma.Schema {
	words, number := &huma.Schema{Type: "string"}, numberSchema(0, es.MaxAmount)
	view := with(with(object(""), "name", words), "open", &huma.Schema{Type: "boolean"})
	optionally(optionally(view, "position", number), "lag", number)
	optionally(view, "reason", &huma.Schema{Type: "string", Description: "Why nothing is known of it; then position and lag are absent."})
	parked := with(with(with(object(""), "view", words), "id", words), "reason", words)
	drivers := with(with(with(object("The adapters behind the ports."), "store", words), "bus", words), "views", words)
	build := optionally(optionally(with(object(""), "version", words), "revision", words), "go", words)
	s := with(with(object("How far everything is."), "head", number), "archived", number)
	with(s, "views", &huma.Schema{Type: "array", Items: view})
	optionally(with(with(s, "parked", &huma.Schema{Type: "array", Items: parked}), "queued", number), "parkedCount", number)
	return with(with(s, "drivers", drivers), "build", build)
}
