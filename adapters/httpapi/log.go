package httpapi

import (
	"net/http"
	"strings"
)

// about is what a line of the log says of a request, by which it is found with the others of the same request, trace or
// account.
func about(r *http.Request, requestID string, more ...any) []any {
	fields := []any{"request", requestID}
	if _, rest, ok := strings.Cut(r.Header.Get("Traceparent"), "-"); ok {
		trace, _, _ := strings.Cut(rest, "-")
		fields = append(fields, "trace", trace)
	}
	if account := r.PathValue("id"); account != "" {
		fields = append(fields, "account", account)
	}
	return append(fields, more...)
}
