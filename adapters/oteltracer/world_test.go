package oteltracer

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"daybook/adapters/httpapi"
	"daybook/adapters/membus"
	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/adapters/watermillbus"
	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// recorded is tracing whose spans stay here.
func recorded(tb testing.TB) (*Tracing, *tracetest.InMemoryExporter) {
	tb.Helper()
	spans := tracetest.NewInMemoryExporter()
	tracing, err := newTracing(tb.Context(), Options{Store: "memory", Bus: "memory", EventsTopic: "daybook.events"}, sdktrace.NewSimpleSpanProcessor(spans))
	if err != nil {
		tb.Fatal(err)
	}
	return tracing, spans
}

// world is a whole Daybook in memory behind a real server, traced.
type world struct {
	store  ports.Store
	server *httptest.Server
}

func newWorld(tb testing.TB, tracing *Tracing) *world {
	tb.Helper()
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		tb.Fatal(err)
	}
	bus, err := watermillbus.New(membus.New(membus.Options{}), watermillbus.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{store: memstore.New()}
	views := memviews.New(registry)
	e := engine.New(engine.Options{
		Anonymous: access.Local,
		Registry:  registry, Store: w.store, Bus: bus, Views: views, Observer: tracing.Observer(), Now: time.Now, EventsTopic: "daybook.events",
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range [...]func(context.Context){e.RunCommands, e.RunRelay, e.RunProjector} {
		running.Go(func() { run(ctx) })
	}
	w.server = httptest.NewServer(tracing.Handler(httpapi.New(httpapi.Options{Engine: e, Lifetime: ctx, Patience: 300 * time.Millisecond, Heartbeat: 20 * time.Millisecond})))
	tb.Cleanup(func() {
		stop()
		running.Wait()
		w.server.CloseClientConnections()
		w.server.Close()
		_, _, _ = bus.Close(), views.Close(), w.store.Close()
	})
	return w
}

// await gives the spans once enough of them is true, which it is asked after each millisecond.
func await(tb testing.TB, spans *tracetest.InMemoryExporter, enough func(tracetest.SpanStubs) bool) tracetest.SpanStubs {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	for {
		if all := spans.GetSpans(); enough(all) {
			return all
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			for _, s := range spans.GetSpans() {
				tb.Logf("%s %s links %v", s.Name, s.SpanContext.SpanID(), s.Links)
			}
			tb.Fatal("the spans did not come")
		}
	}
}

// linkedTo gives the span of the name that is linked to the request, or nil.
func linkedTo(all tracetest.SpanStubs, name string, request tracetest.SpanStub) *tracetest.SpanStub {
	for i := range all {
		if all[i].Name != name {
			continue
		}
		for _, link := range all[i].Links {
			if link.SpanContext.TraceID() == request.SpanContext.TraceID() && link.SpanContext.SpanID() == request.SpanContext.SpanID() {
				return &all[i]
			}
		}
	}
	return nil
}

// named gives the first span of the name, or nil.
func named(all tracetest.SpanStubs, name string) *tracetest.SpanStub {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}
