package oteltracer

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

// collector is a server that takes spans over OTLP/HTTP.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	kinds  []string
	bodies []string
}

func newCollector(tb testing.TB) *collector {
	tb.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.kinds = append(c.kinds, r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type"))
		c.bodies = append(c.bodies, string(text))
	}))
	tb.Cleanup(c.Close)
	return c
}

// onlyOTel sets variables of OpenTelemetry and no others of its.
func onlyOTel(t *testing.T, variables ...string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for _, entry := range variables {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
}

func TestSpansReachTheCollectorThatTheEnvironmentNames(t *testing.T) {
	c := newCollector(t)
	onlyOTel(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.URL, "OTEL_SERVICE_NAME=ledger", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test")
	for _, protocol := range []string{"http/protobuf", "http/json"} {
		t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
		tracing, err := Open(t.Context(), Options{Version: "1.2.3", Process: "one", Store: "memory", Bus: "memory", EventsTopic: "daybook.events"})
		if err != nil || tracing == nil {
			t.Fatal(tracing, err)
		}
		w := newWorld(t, tracing)
		w.post(t, "/v1/accounts/acc-1/create", `{"owner":"Ada","currency":"EUR"}`, traceparent)
		if err := tracing.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bodies) < 2 || c.kinds[0] != "POST /v1/traces application/x-protobuf" || c.kinds[len(c.kinds)-1] != "POST /v1/traces application/json" {
		t.Fatalf("the collector got %q", c.kinds)
	}
	for _, body := range []string{c.bodies[0], c.bodies[len(c.bodies)-1]} {
		for _, want := range []string{"POST /v1/accounts/{id}/create", spanBatch, spanCommit, "ledger", "deployment.environment.name", "1.2.3", "service.instance.id"} {
			if !strings.Contains(body, want) {
				t.Errorf("the collector was not told %q", want)
			}
		}
	}
	if last := c.bodies[len(c.bodies)-1]; !json.Valid([]byte(last)) || !strings.Contains(strings.ToLower(last), traceID) {
		t.Errorf("not the trace of the request: %s", last)
	}
}

func TestTracingIsOffUnlessTheEnvironmentAsksForIt(t *testing.T) {
	const on = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"
	for _, variables := range [][]string{
		nil, {on, "OTEL_SDK_DISABLED=true"}, {on, "OTEL_TRACES_EXPORTER=none"}, {on, "OTEL_TRACES_SAMPLER=always_off"},
	} {
		onlyOTel(t, append(variables, "OTEL_SERVICE_NAME=ledger")...)
		tracing, err := Open(t.Context(), Options{})
		if tracing != nil || err != nil {
			t.Errorf("with %v it is %v, %v", variables, tracing, err)
		}
		for _, entry := range variables {
			name, _, _ := strings.Cut(entry, "=")
			t.Setenv(name, "")
		}
	}
}

func TestTracingThatIsOffAddsNothing(t *testing.T) {
	var off *Tracing
	if off.Observer() != nil || off.Close() != nil {
		t.Error("it must have no observer, and nothing to close")
	}
	mux := http.NewServeMux()
	if off.Handler(mux) != http.Handler(mux) {
		t.Error("the handler must be as it was")
	}
}

func TestAnEnvironmentThatCannotBeFollowedIsAnErrorThatNamesTheVariable(t *testing.T) {
	const on = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"
	for _, c := range []struct {
		variables []string
		want      string
	}{
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=user:secret@collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be the URL"},
		{[]string{on, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be the URL"},
		{[]string{on, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, `OTEL_EXPORTER_OTLP_PROTOCOL cannot be "grpc"; it is http/protobuf or http/json`},
		{[]string{on, "OTEL_TRACES_EXPORTER=zipkin"}, `OTEL_TRACES_EXPORTER cannot be "zipkin"; it is otlp or none`},
		{[]string{on, "OTEL_RESOURCE_ATTRIBUTES=nonsense"}, "OTEL_RESOURCE_ATTRIBUTES cannot be read"},
	} {
		t.Run(c.variables[len(c.variables)-1], func(t *testing.T) {
			onlyOTel(t, c.variables...)
			tracing, err := Open(t.Context(), Options{})
			if tracing != nil || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("it is %v, %v; want %q", tracing, err, c.want)
			}
		})
	}
}
