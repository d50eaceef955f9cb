package wire

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
)

// Problem is an error as clients see it (RFC 9457), with its stable code. AppendJSON writes it.
type Problem struct {
	Type      string        // the path of a page that explains the code
	Title     string        // the code as words
	Status    int           // as in HTTP
	Detail    string        // what is wrong this time and what to do
	Code      string        // stable, snake_case
	Instance  string        // the path that was asked for; "" leaves it out
	RequestID string        // finds the request in the log; "" leaves it out
	Errors    []fault.Field // which parts of the request are wrong
	Figures   []fault.Detail
	Unknown   bool          // whether the command happened is not known
	Retry     time.Duration // when a retry may succeed; zero where none is safe
}

// ErrorsPage is the path of the page that explains the codes.
const ErrorsPage = "/docs/errors"

// statuses is the one table from kinds of failure to statuses.
var statuses = map[fault.Kind]int{
	fault.Internal:    http.StatusInternalServerError,
	fault.Invalid:     http.StatusBadRequest,
	fault.Denied:      http.StatusForbidden,
	fault.NotFound:    http.StatusNotFound,
	fault.Rejected:    http.StatusUnprocessableEntity,
	fault.Conflict:    http.StatusConflict,
	fault.Unavailable: http.StatusServiceUnavailable,
	fault.Unknown:     http.StatusServiceUnavailable,
}

// special holds the codes for which HTTP has a status of its own.
var special = map[string]int{
	"version_mismatch":       http.StatusPreconditionFailed,
	"body_too_large":         http.StatusRequestEntityTooLarge,
	"too_many_lines":         http.StatusRequestEntityTooLarge,
	"unsupported_media_type": http.StatusUnsupportedMediaType,
	"method_not_allowed":     http.StatusMethodNotAllowed,
	"request_timeout":        http.StatusRequestTimeout,
	"unauthenticated":        http.StatusUnauthorized,
	"rate_limited":           http.StatusTooManyRequests,
}

// Status is the status of a fault.
func Status(f *fault.Fault) int {
	if s, ok := special[f.Code]; ok {
		return s
	}
	return statuses[f.Kind]
}

// NewProblem makes the problem document of an error. The cause of an error is never in it.
func NewProblem(err error, instance, requestID string) *Problem {
	f := fault.Of(err)
	p := &Problem{
		Type: ErrorsPage + "#" + f.Code, Title: title(f.Code), Status: Status(f), Detail: f.Msg, Code: f.Code,
		Instance: instance, RequestID: requestID, Errors: f.Fields, Figures: f.Details, Retry: f.RetryAfter,
	}
	switch f.Kind {
	case fault.Unknown:
		p.Unknown = true
		p.Retry = max(p.Retry, time.Second)
	case fault.Unavailable:
		p.Retry = max(p.Retry, time.Second)
	case fault.Internal:
		p.Detail += " The request id finds the cause in the log."
	}
	return p
}

// Unsettled corrects the advice of an error whose outcome is unknown: without a key, sending the command again might do it
// twice. Other errors are returned as they are.
func Unsettled(err error, key string) error {
	f := fault.Of(err)
	if f.Kind != fault.Unknown || key != "" {
		return err
	}
	return f.Say("The connection to the store failed while the command was being written: it may or may not have happened. " +
		"It had no idempotency key, so look at the events before you send it again.")
}

func title(code string) string {
	words := strings.ReplaceAll(code, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// AppendJSON appends the problem as one JSON object. The figures of a refusal are members of it.
func (p *Problem) AppendJSON(dst []byte) []byte {
	dst = appendMember(append(dst, '{'), "type", p.Type)
	dst = appendMember(append(dst, ','), "title", p.Title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	dst = appendMember(append(dst, ','), "detail", p.Detail)
	dst = appendMember(append(dst, ','), "code", p.Code)
	if p.Instance != "" {
		dst = appendMember(append(dst, ','), "instance", p.Instance)
	}
	if p.RequestID != "" {
		dst = appendMember(append(dst, ','), "requestId", p.RequestID)
	}
	for _, f := range p.Figures {
		dst = append(dst, ',')
		dst = es.AppendString(dst, f.Name)
		dst = append(dst, ':')
		dst = strconv.AppendInt(dst, f.Value, 10)
	}
	if p.Unknown {
		dst = appendMember(append(dst, ','), "outcome", "unknown")
	}
	if len(p.Errors) > 0 {
		dst = p.appendErrors(dst)
	}
	return append(dst, '}')
}

func (p *Problem) appendErrors(dst []byte) []byte {
	dst = append(dst, `,"errors":[`...)
	for i, e := range p.Errors {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMember(append(dst, '{'), "pointer", e.Pointer)
		dst = appendMember(append(dst, ','), "detail", e.Detail)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func appendMember(dst []byte, name, value string) []byte {
	dst = es.AppendString(dst, name)
	dst = append(dst, ':')
	return es.AppendString(dst, value)
}
