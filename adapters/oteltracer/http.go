package oteltracer

import (
	"net/http"
	"slices"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	metricoff "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// untraced are asked for all the time and tell nothing.
var untraced = []string{"/livez", "/readyz", "/metrics"}

// Handler makes a span of each request that next serves, as a part of the trace that the request says it belongs to, and
// passes the request on as if it came from that span: what next keeps of the header traceparent leads back to it. Streams go
// through: what http.ResponseController can do to the connection it still can. When tracing is off it is next itself.
func (t *Tracing) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	context := propagation.TraceContext{}
	inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		span := trace.SpanFromContext(r.Context())
		context.Inject(r.Context(), propagation.HeaderCarrier(r.Header))
		whole := false
		defer func() {
			if r.Pattern != "" {
				span.SetAttributes(route(r.Pattern))
			}
			if !whole { // it panicked, which is how net/http wants an answer to be cut off
				span.SetStatus(codes.Error, "the answer was cut off")
			}
		}()
		next.ServeHTTP(w, r)
		whole = true
	})
	traced := otelhttp.NewHandler(inside, "request", otelhttp.WithTracerProvider(t.requests), otelhttp.WithPropagators(context),
		otelhttp.WithMeterProvider(metricoff.NewMeterProvider()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(untraced, r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		traced.ServeHTTP(w, r)
	})
}
