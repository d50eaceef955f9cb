package httpapi

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"daybook/adapters/msgapi"
	"daybook/core/access"
	"daybook/core/ports"
)

// deadLetterRoutes are for commands that came by message and could never succeed.
func (s *server) deadLetterRoutes() []route {
	const one = "/v1/admin/dead-letters/{id}"
	id := pathParam("id", &huma.Schema{Type: "string", MinLength: ptr(1)}, "The message's id.")
	return []route{
		{
			method: http.MethodGet, path: "/v1/admin/dead-letters", right: access.DeadLetters, serve: s.deadLetters, params: []*huma.Param{limitParam()},
			operation: describeDeadLetters("list-dead-letters", "Commands that came by message and could never succeed",
				"Oldest first. They stay until they are tried again or discarded.", "The dead letters.", "DeadLetterList"),
		},
		{
			method: http.MethodGet, path: one, right: access.DeadLetters, serve: s.deadLetter, params: []*huma.Param{id},
			operation: describeDeadLetters("get-dead-letter", "One dead letter", "", "The dead letter.", "DeadLetter", http.StatusNotFound),
		},
		{
			method: http.MethodPost, path: one + "/retry", right: access.DeadLetters, serve: s.settleDeadLetter(true), params: []*huma.Param{id}, privilege: writtenUp,
			operation: describeSettling("retry-dead-letter", "Send a dead letter's command again", "With the same id, so it happens once at the most."),
		},
		{
			method: http.MethodPost, path: one + "/discard", right: access.DeadLetters, serve: s.settleDeadLetter(false), params: []*huma.Param{id}, privilege: writtenUp,
			operation: describeSettling("discard-dead-letter", "Throw a dead letter away", ""),
		},
	}
}

func ptr[T any](v T) *T { return &v }

func describeDeadLetters(id, summary, description, words, schema string, faults ...int) huma.Operation {
	op := operation(id, "operations", summary, description)
	answers(&op, http.StatusOK, words, jsonMedia, ref(schema))
	addFaults(&op, append(faults, http.StatusServiceUnavailable)...)
	return op
}

func describeSettling(id, summary, description string) huma.Operation {
	return describeDeadLetters(id, summary, description, "It is done.", "DeadLetter", http.StatusNotFound)
}

func deadLetterSchema() *huma.Schema {
	words := &huma.Schema{Type: "string"}
	headers := &huma.Schema{Type: "object", AdditionalProperties: words}
	s := with(with(with(object("A command that came by message and could never succeed."), "id", words), "reason", words), "headers", headers)
	return optionally(optionally(s, "body", &huma.Schema{Type: "string", Description: "As it was sent; not there for those who may not read all accounts."}),
		"bodyBase64", &huma.Schema{Type: "string", Description: "Instead of body, when that is no text."})
}

// deadLetterDocument is a dead letter as clients see it.
type deadLetterDocument struct {
	ID         string            `json:"id"`
	Reason     string            `json:"reason"`
	Headers    map[string]string `json:"headers"`
	Body       *string           `json:"body,omitempty"`
	BodyBase64 string            `json:"bodyBase64,omitempty"`
}

// hidden stands for a credential: who settles dead letters has no business with those of who sent them.
const hidden = "***"

func deadLetterOf(m ports.Message) deadLetterDocument {
	d := deadLetterDocument{ID: printable(m.ID), Reason: printable(m.Headers[ports.HeaderReason]), Headers: map[string]string{}}
	for name, value := range m.Headers {
		switch name {
		case ports.HeaderReason:
		case msgapi.HeaderAuthorization:
			d.Headers[name] = hidden
		default:
			d.Headers[printable(name)] = printable(value)
		}
	}
	switch {
	case m.Body == nil:
	case utf8.Valid(m.Body):
		d.Body = ptr(string(m.Body))
	default:
		d.BodyBase64 = base64.StdEncoding.EncodeToString(m.Body)
	}
	return d
}

// printable is s as JSON can carry it: others may send what is no UTF-8.
func printable(s string) string { return strings.ToValidUTF8(s, "�") }

// deadLetters serves the oldest ones.
func (s *server) deadLetters(w http.ResponseWriter, r *http.Request, q *values) error {
	limit := q.limit()
	if err := q.fault(); err != nil {
		return err
	}
	messages, err := s.Engine.DeadLetters(r.Context(), limit)
	if err != nil {
		return err
	}
	items := make([][]byte, len(messages))
	for i, m := range messages {
		if items[i], err = json.Marshal(deadLetterOf(m), json.Deterministic(true)); err != nil {
			return err
		}
	}
	answerList(w, len(items), "", func(dst []byte, i int) []byte { return append(dst, items[i]...) })
	return nil
}

func (s *server) deadLetter(w http.ResponseWriter, r *http.Request, _ *values) error {
	m, err := s.Engine.DeadLetter(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answerValue(w, http.StatusOK, deadLetterOf(m))
}

// settleDeadLetter answers with what was settled.
func (s *server) settleDeadLetter(retry bool) handler {
	return func(w http.ResponseWriter, r *http.Request, _ *values) error {
		m, err := s.Engine.SettleDeadLetter(r.Context(), r.PathValue("id"), retry)
		if err != nil {
			return err
		}
		return answerValue(w, http.StatusOK, deadLetterOf(m))
	}
}
