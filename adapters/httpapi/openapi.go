package httpapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/fault"
)

// openAPIVersion is the version of the specification that the document follows.
const openAPIVersion = "3.1.0"

// document31 makes the document from the table of routes.
func (s *server) document31() ([]byte, error) { return json.Marshal(s.describe()) }

func (s *server) describe() *huma.OpenAPI {
	registry := huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer)
	maps.Copy(registry.Map(), s.schemas())
	version := s.Build.Version
	if version == "" {
		version = "unknown"
	}
	api := &huma.OpenAPI{
		OpenAPI: openAPIVersion,
		Info: &huma.Info{
			Title: "Daybook", Version: version,
			Description: "An event-sourced account ledger. Amounts are integers in the currency's minor unit; times are RFC 3339, answered in UTC. " +
				"Bodies are read strictly: unknown, duplicate and missing members are refused with a JSON pointer.",
		},
		Components: &huma.Components{Schemas: registry, SecuritySchemes: securitySchemes()},
		Tags:       s.tags(),
	}
	for i := range s.routes {
		rt := &s.routes[i]
		op := rt.operation
		op.Method, op.Path, op.Parameters = rt.method, rt.path, rt.params
		if reason := s.reasonParam(rt); reason != nil {
			op.Parameters = append(slices.Clip(op.Parameters), reason)
		}
		s.describeAccess(&op, rt.right)
		commonFaults(&op, rt)
		api.AddOperation(&op)
	}
	return api
}

// tags gives the groups of routes in the order in which a reader wants them.
func (s *server) tags() []*huma.Tag {
	var tags []*huma.Tag
	for _, m := range s.Engine.Registry.Modules {
		tags = append(tags, &huma.Tag{Name: m.Name})
	}
	for _, name := range []string{"bulk", "events", "operations", "documentation"} {
		tags = append(tags, &huma.Tag{Name: name})
	}
	return tags
}

// commonFaults adds what can come from every route.
func commonFaults(op *huma.Operation, rt *route) {
	addFaults(op, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusInternalServerError)
	if rt.method == http.MethodPost {
		addFaults(op, http.StatusForbidden)
	}
}

// addFaults says which statuses a route answers with a problem.
func addFaults(op *huma.Operation, statuses ...int) {
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	for _, status := range statuses {
		key := strconv.Itoa(status)
		if op.Responses[key] != nil {
			continue
		}
		op.Responses[key] = &huma.Response{
			Description: http.StatusText(status), Headers: faultHeaders(status),
			Content: map[string]*huma.MediaType{"application/problem+json": {Schema: ref("Problem"), Example: problemExample(status)}},
		}
	}
}

func faultHeaders(status int) map[string]*huma.Param {
	h := map[string]*huma.Param{"X-Request-Id": answerHeader("Finds the request in the log.")}
	switch status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h["Retry-After"] = answerHeader("Seconds after which a retry may succeed.")
	case http.StatusUnauthorized:
		h["WWW-Authenticate"] = answerHeader("Bearer.")
	case http.StatusMethodNotAllowed:
		h["Allow"] = answerHeader("The methods that are taken here.")
	}
	return h
}

func answerHeader(doc string) *huma.Param {
	return &huma.Param{Description: doc, Schema: &huma.Schema{Type: "string"}}
}

// examples has one fault for each status that is answered with a problem.
var examples = map[int]*fault.Fault{
	http.StatusBadRequest:            wire.ErrInvalidField.Say("/amount must be an integer from 1 to 9007199254740991 (2^53-1).").At("/amount", "must be an integer from 1 to 9007199254740991 (2^53-1)"),
	http.StatusUnauthorized:          access.ErrUnauthenticated,
	http.StatusForbidden:             access.ErrForbidden,
	http.StatusTooManyRequests:       errRateLimited,
	http.StatusNotFound:              fault.New(fault.NotFound, "account_not_found", "There is no account with this id."),
	http.StatusMethodNotAllowed:      errMethod,
	http.StatusConflict:              fault.New(fault.Conflict, "account_exists", "An account with this id exists already."),
	http.StatusPreconditionFailed:    fault.New(fault.Conflict, "version_mismatch", "The account is at version 3, not 2."),
	http.StatusRequestEntityTooLarge: errBodyTooLarge,
	http.StatusUnsupportedMediaType:  errMediaType,
	http.StatusRequestTimeout:        errTimeout,
	http.StatusUnprocessableEntity: fault.New(fault.Rejected, "insufficient_funds", "The balance and the overdraft limit do not cover this amount.").
		With("balance", 800).With("limit", 0).With("requested", 1000),
	http.StatusInternalServerError: fault.New(fault.Internal, "internal", "Something went wrong inside Daybook."),
	http.StatusServiceUnavailable:  fault.New(fault.Unavailable, "overloaded", "Too many commands are waiting; nothing was done. Try again shortly."),
}

func problemExample(status int) any {
	f := examples[status]
	if f == nil {
		return nil
	}
	return json.RawMessage(wire.NewProblem(f, "/v1/accounts/acc-101/withdraw", "4bf92f3577b34da6a3ce929d0e0e4736").AppendJSON(nil))
}

// answers says what a route answers with when all is well.
func answers(op *huma.Operation, status int, doc, mediaType string, schema *huma.Schema, headers ...string) {
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	response := &huma.Response{Description: doc, Headers: map[string]*huma.Param{"X-Request-Id": answerHeader("The request's id, given or made.")}}
	if schema != nil {
		response.Content = map[string]*huma.MediaType{mediaType: {Schema: schema}}
	}
	for _, h := range headers {
		response.Headers[h] = answerHeader(headerDocs[h])
	}
	op.Responses[strconv.Itoa(status)] = response
}

// headerDocs explains the headers of answers.
var headerDocs = map[string]string{
	"ETag":                 "The version, in quotes.",
	"Daybook-Position":     "The last position the command wrote; of a query, how far the view is.",
	"Idempotency-Replayed": "true: the first answer to this key, given again.",
	"Location":             "Where it can be found.",
}
