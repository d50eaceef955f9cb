package httpapi

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"daybook/adapters/wire"
	"daybook/core/es"
)

const jsonMedia = "application/json"

// operation starts the description of one operation.
func operation(id, tag, summary, description string) huma.Operation {
	return huma.Operation{OperationID: id, Tags: []string{tag}, Summary: summary, Description: description}
}

func describeCommand(m *es.Module, t *es.CommandType) huma.Operation {
	op := operation(t.Name+"-"+m.Noun, m.Name, strings.TrimSuffix(t.Doc, "."), t.Doc+" Emits "+strings.Join(t.Events, " and ")+".")
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{jsonMedia: {Schema: ref(typeName(m.Noun) + typeName(t.Name))}}}
	headers := []string{"ETag", "Daybook-Position", "Idempotency-Replayed"}
	answer := ref(typeName(m.Noun) + "Answer")
	answers(&op, http.StatusOK, "It was done, durably; with dryRun, it could be.", jsonMedia, answer, headers...)
	if status := wire.SuccessStatus(t); status == http.StatusCreated {
		answers(&op, status, "It was created, durably.", jsonMedia, answer, append(headers, "Location")...)
	}
	addFaults(&op, http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusRequestTimeout, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	return op
}

func describeBulk(reg *es.Registry) huma.Operation {
	op := operation("commands", "bulk", "Many commands in one request",
		"One envelope a line, of at most 65536 bytes; the id of each is its idempotency key. Lines are decided in the order sent and answered in that order, while "+
			"the client still sends; one refusal does not stop the rest. A line that cannot be read is answered with 400 and its number. Blank lines are passed over; a "+
			"request without lines has an empty answer. A client that neither sends nor reads for 30 seconds is cut off, and the lines that were decided stand. "+
			"With atomic=true all lines are accepted or none has an effect.")
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{linesType: {Schema: ref("Envelope"), Example: bulkExample(reg)}}}
	answers(&op, http.StatusOK, "An answer for each line.", linesType, ref("AnswerLine"))
	addFaults(&op, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusRequestTimeout, http.StatusServiceUnavailable)
	return op
}

func bulkExample(reg *es.Registry) any {
	if reg.ModuleByNoun("account") == nil {
		return nil
	}
	return `{"id":"cmd-1","account":"acc-101","command":"deposit","data":{"amount":1000}}` + "\n"
}

func describeDocument(m *es.Module) huma.Operation {
	op := operation("get-"+m.Noun, m.Name, "One "+m.Noun, "As the view has it; with at, version or position, as it was recorded then.")
	schema := ref(typeName(m.Noun))
	if m.Ledger != nil {
		op.Description += " With effectiveAt, its balance by effective time."
		schema = &huma.Schema{OneOf: []*huma.Schema{schema, ref("EffectiveBalance")}}
	}
	answers(&op, http.StatusOK, "The "+m.Noun+".", jsonMedia, schema, "ETag", "Daybook-Position")
	answers(&op, http.StatusNotModified, "It is as in If-None-Match.", "", nil, "ETag", "Daybook-Position")
	addFaults(&op, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	return op
}

func describeDocuments(m *es.Module) huma.Operation {
	op := operation("list-"+m.Name, m.Name, "Find "+m.Name, "Filters are combined with and.")
	answers(&op, http.StatusOK, "A page.", jsonMedia, ref(typeName(m.Noun)+"List"), "Daybook-Position")
	addFaults(&op, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	return op
}

func describeStream(m *es.Module) huma.Operation {
	op := operation("get-"+m.Noun+"-events", m.Name, "The events of one "+m.Noun, "Oldest first, as they are stored.")
	answers(&op, http.StatusOK, "A page.", jsonMedia, ref("EventList"))
	addFaults(&op, http.StatusNotFound, http.StatusServiceUnavailable)
	return op
}

func describeStatement(m *es.Module) huma.Operation {
	op := operation("get-"+m.Noun+"-statement", m.Name, "What moved the balance over a period",
		"Entries by effective time in [from, to), with the balance before, between and after. Without limit all of them, streamed; with limit a page, whose opening "+
			"and closing balance are those of the whole period. Pages of one statement fit together whatever is recorded meanwhile. As text/csv the columns are "+strings.Join(csvColumns, ", ")+
			"; the first row is the opening balance and the last one the closing balance. Texts that a spreadsheet would take for a formula start with an apostrophe.")
	answers(&op, http.StatusOK, "The statement.", jsonMedia, ref("Statement"))
	op.Responses["200"].Content["text/csv"] = &huma.MediaType{Schema: &huma.Schema{Type: "string"}}
	addFaults(&op, http.StatusNotFound, http.StatusServiceUnavailable)
	return op
}

func describeEvents() huma.Operation {
	op := operation("list-events", "events", "The store in position order", "As the events are stored, byte for byte.")
	answers(&op, http.StatusOK, "A page.", jsonMedia, ref("EventList"))
	addFaults(&op, http.StatusServiceUnavailable)
	return op
}

func describeEvent() huma.Operation {
	op := operation("get-event", "events", "One event", "As it is stored, byte for byte.")
	answers(&op, http.StatusOK, "The event.", jsonMedia, ref("Event"))
	addFaults(&op, http.StatusNotFound, http.StatusServiceUnavailable)
	return op
}

func describeFeed() huma.Operation {
	op := operation("follow-events", "events", "The live feed",
		"Server-sent events: id is the position, event the type, data the event as it is stored. What there is after the position comes first, then what comes, "+
			"without gap. A comment is sent when nothing happens for a while. Last-Event-ID goes before after.")
	words := &huma.Schema{Type: "string"}
	answers(&op, http.StatusOK, "The feed: the schema is that of each event of the stream.", "text/event-stream",
		with(with(with(object("One event."), "id", words), "event", words), "data", words))
	addFaults(&op, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	return op
}

func describeStatus() huma.Operation {
	op := operation("get-status", "operations", "How far everything is", "")
	answers(&op, http.StatusOK, "The status.", jsonMedia, ref("Status"))
	addFaults(&op, http.StatusServiceUnavailable)
	return op
}

func describeRebuild() huma.Operation {
	op := operation("rebuild-views", "operations", "Build the views again from the store", "They are built beside the old ones, which answer until the new ones take their place.")
	answers(&op, http.StatusAccepted, "It has started.", jsonMedia, ref("Operation"), "Location")
	addFaults(&op, http.StatusConflict, http.StatusServiceUnavailable)
	return op
}

func describeOperation() huma.Operation {
	op := operation("get-operation", "operations", "How an operation stands", "")
	answers(&op, http.StatusOK, "The operation.", jsonMedia, ref("Operation"))
	addFaults(&op, http.StatusNotFound, http.StatusServiceUnavailable)
	return op
}

func describeHealth(id, summary string) huma.Operation {
	op := operation(id, "operations", summary, "")
	answers(&op, http.StatusOK, "It is so.", jsonMedia, ref("Health"))
	if id == "ready" {
		answers(&op, http.StatusServiceUnavailable, "It cannot.", jsonMedia, ref("Health"))
	}
	return op
}

func describePage(id, summary, mediaType string) huma.Operation {
	op := operation(id, "documentation", summary, "")
	media, _, _ := strings.Cut(mediaType, ";")
	schema := &huma.Schema{Type: "string"}
	if media == jsonMedia {
		schema.Type = "object"
	}
	answers(&op, http.StatusOK, "The page.", media, schema)
	if strings.Contains(id, "assets") {
		addFaults(&op, http.StatusNotFound)
	}
	return op
}
