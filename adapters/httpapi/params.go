package httpapi

import (
	"github.com/danielgtaylor/huma/v2"

	"daybook/core/es"
)

func queryParam(name string, schema *huma.Schema, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Schema: schema, Description: doc}
}

func headerParam(name, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "header", Schema: &huma.Schema{Type: "string"}, Description: doc}
}

func pathParam(name string, schema *huma.Schema, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "path", Required: true, Schema: schema, Description: doc}
}

func flagParam(name, doc string) *huma.Param {
	return queryParam(name, &huma.Schema{Type: "boolean", Default: false}, doc)
}

func idParam(m *es.Module) *huma.Param {
	return pathParam("id", &huma.Schema{Type: "string", Pattern: es.IDPattern, Examples: []any{"acc-101"}}, "The id of the "+m.Noun+", as the client chose it.")
}

func limitParam() *huma.Param {
	s := numberSchema(1, 1000)
	s.Default = 100
	return queryParam("limit", s, "How many at the most.")
}

func cursorParam() *huma.Param {
	return queryParam("cursor", &huma.Schema{Type: "string"}, "Where to go on: the next of the page before, with the same filters and sort.")
}

func feedCursorParam() *huma.Param {
	return queryParam("cursor", numberSchema(0, es.MaxAmount), "Where to go on: the next of the page before. The same as after.")
}

func minPositionParam(in, name string) *huma.Param {
	return &huma.Param{Name: name, In: in, Schema: numberSchema(0, es.MaxAmount),
		Description: "Wait until the view has reached this position: 503 if it does not in time, 422 if the store has no such position yet."}
}
