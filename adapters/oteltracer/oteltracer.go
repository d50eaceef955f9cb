// Package oteltracer makes OpenTelemetry traces: a span for each HTTP request, and spans after the fact for each batch, each
// publishing and each projection, linked to the requests whose commands they carry. What joins them is the trace context
// in the events' metadata: neither the core nor any other adapter knows of a tracer. Names of the semantic conventions
// stand in names.go alone; what is configured, OpenTelemetry's own environment variables say.
package oteltracer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Options say what the spans tell about this process.
type Options struct {
	Version     string       // of the build
	Process     string       // tells this process from others of the service
	Store       string       // the driver of the store
	Bus         string       // the driver of the bus
	EventsTopic string       // where the relay publishes
	Log         *slog.Logger // where it is said that spans could not be delivered; default: nowhere
}

// Tracing makes spans and sends them to a collector. A nil Tracing is one that is off: it adds nothing to what it is asked
// to trace. Its methods may be called concurrently.
type Tracing struct {
	options Options
	// requests samples as the environment says. background makes a span whenever a request that it belongs to was sampled,
	// in whichever process that was, so that no trace lacks its end.
	requests, background *sdktrace.TracerProvider
}

// Open starts tracing as the environment asks, or gives nil if it does not: without OTEL_EXPORTER_OTLP_ENDPOINT (or
// …_TRACES_ENDPOINT), with OTEL_SDK_DISABLED=true, OTEL_TRACES_EXPORTER=none or OTEL_TRACES_SAMPLER=always_off. Its error
// names the variable that is wrong. Nothing is connected yet; a collector that is away costs spans, nothing else.
func Open(ctx context.Context, o Options) (*Tracing, error) {
	if on, err := wanted(); !on {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("the exporter of traces cannot be made from the variables OTEL_EXPORTER_OTLP_…: %w", err)
	}
	spans := sdktrace.NewBatchSpanProcessor(exporter)
	t, err := newTracing(ctx, o, spans)
	if err != nil {
		return nil, errors.Join(err, spans.Shutdown(ctx))
	}
	otel.SetErrorHandler(newComplaints(t.options.Log))
	return t, nil
}

// newTracing makes tracing that hands its spans to p.
func newTracing(ctx context.Context, o Options, p sdktrace.SpanProcessor) (*Tracing, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(service(o)...), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("the variable OTEL_RESOURCE_ATTRIBUTES cannot be read: %w", err)
	}
	return &Tracing{
		options:  o,
		requests: sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSpanProcessor(p)),
		background: sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithSpanProcessor(p),
			sdktrace.WithSampler(sdktrace.AlwaysSample())),
	}, nil
}

// scope names this instrumentation.
const scope = "daybook/adapters/oteltracer"

func (t *Tracing) tracer() trace.Tracer { return t.background.Tracer(scope) }

// closeIn is how long Close tries to deliver what is still here.
const closeIn = 3 * time.Second

// Close delivers the spans that ended, for a few seconds at the most, and ends. What cannot be delivered is lost and logged.
func (t *Tracing) Close() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeIn)
	defer cancel()
	for _, p := range [...]*sdktrace.TracerProvider{t.requests, t.background} {
		if err := p.Shutdown(ctx); err != nil {
			t.options.Log.Warn("the last traces could not be delivered", "error", err)
		}
	}
	return nil
}

// wanted reports whether the environment asks for traces, or which of its variables is wrong.
func wanted() (bool, error) {
	const tracesEndpoint, endpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
	name := endpoint
	if os.Getenv(tracesEndpoint) != "" {
		name = tracesEndpoint
	}
	target, exporter := os.Getenv(name), word("OTEL_TRACES_EXPORTER")
	if target == "" || word("OTEL_SDK_DISABLED") == "true" || exporter == "none" || word("OTEL_TRACES_SAMPLER") == "always_off" {
		return false, nil
	}
	if exporter != "" && exporter != "otlp" {
		return false, fmt.Errorf("environment variable OTEL_TRACES_EXPORTER cannot be %q; it is otlp or none", exporter)
	}
	if u, err := url.Parse(target); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return false, fmt.Errorf("environment variable %s must be the URL of a collector, such as http://localhost:4318", name)
	}
	switch protocol := cmp.Or(word("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), word("OTEL_EXPORTER_OTLP_PROTOCOL")); protocol {
	case "", "http/protobuf", "http/json":
		return true, nil
	default:
		return false, fmt.Errorf("environment variable OTEL_EXPORTER_OTLP_PROTOCOL cannot be %q; it is http/protobuf or http/json", protocol)
	}
}

func word(variable string) string { return strings.ToLower(strings.TrimSpace(os.Getenv(variable))) }
