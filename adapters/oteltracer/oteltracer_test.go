package oteltracer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"daybook/core/es"
	"daybook/core/ports"
)

const (
	traceID      = "0af7651916cd43dd8448eb211c80319c"
	parentSpan   = "b7ad6b7169203331"
	traceparent  = "00-" + traceID + "-" + parentSpan + "-01"
	notSampled   = "00-" + traceID + "-" + parentSpan + "-00"
	depositRoute = "POST /v1/accounts/{id}/deposit"
)

func (w *world) post(tb testing.TB, path, body, parent string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Traceparent", parent)
	answer, err := w.server.Client().Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode >= 300 {
		tb.Fatalf("%s: %d %s", path, answer.StatusCode, text)
	}
}

func TestADepositIsOneStoryFromTheRequestToTheViews(t *testing.T) {
	tracing, spans := recorded(t)
	w := newWorld(t, tracing)
	w.post(t, "/v1/accounts/acc-1/create", `{"owner":"Ada","currency":"EUR"}`, notSampled)
	w.post(t, "/v1/accounts/acc-1/deposit", `{"amount":100}`, traceparent)
	all := await(t, spans, func(all tracetest.SpanStubs) bool {
		request := named(all, depositRoute)
		return request != nil && linkedTo(all, spanProject, *request) != nil && linkedTo(all, spanPublish+"daybook.events", *request) != nil
	})
	request := *named(all, depositRoute)
	if request.Parent.SpanID().String() != parentSpan || request.SpanContext.TraceID().String() != traceID || request.SpanKind != trace.SpanKindServer {
		t.Errorf("the request's span is %s %v in trace %s, want a server's below %s in %s", request.Parent.SpanID(), request.SpanKind, request.SpanContext.TraceID(), parentSpan, traceID)
	}
	if !slices.Contains(request.Attributes, route("/v1/accounts/{id}/deposit")) {
		t.Errorf("the request's span has no route: %v", request.Attributes)
	}
	events, err := w.store.ReadFeed(t.Context(), 0, 10)
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if got, want := events[1].Traceparent(), "00-"+traceID+"-"+request.SpanContext.SpanID().String()+"-01"; got != want {
		t.Errorf("the event says it comes from %q, want %q", got, want)
	}
	batch := linkedTo(all, spanBatch, request)
	if batch == nil {
		t.Fatal("no batch is linked to the request")
	}
	at := batch.StartTime
	for _, name := range []string{spanBegin, spanDecide, spanCommit} {
		step := named(all, name)
		if step == nil || step.Parent.SpanID() != batch.SpanContext.SpanID() || !step.StartTime.Equal(at) {
			t.Fatalf("the batch has no step %q that begins when the one before ends: %+v", name, step)
		}
		at = step.EndTime
	}
	if !at.Equal(batch.EndTime) {
		t.Errorf("the batch ends at %v, its last step at %v", batch.EndTime, at)
	}
	for _, s := range all {
		if s.SpanContext.SpanID() == request.SpanContext.SpanID() {
			continue
		}
		if len(s.Links) == 0 && !s.Parent.IsValid() {
			t.Errorf("the span %q is joined to nothing", s.Name)
		}
	}
}

func TestARequestThatIsNotSampledLeavesNoSpanAnywhere(t *testing.T) {
	tracing, spans := recorded(t)
	o := tracing.Observer()
	e := es.Recorded{Metadata: []byte(`{"principal":"local","traceparent":"` + notSampled + `"}`)}
	none := es.Recorded{Metadata: []byte(`{"principal":"local"}`)}
	o.Committed(ports.Commit{Commands: 2, Events: []es.Recorded{e, none}})
	o.Relayed(ports.Passage{Events: []es.Recorded{e, none}})
	o.Projected(ports.Passage{To: 2}, 2)
	if all := spans.GetSpans(); len(all) > 0 {
		t.Errorf("%d spans", len(all))
	}
}

func TestTheSamplerOfTheEnvironmentDecidesForAllThatFollows(t *testing.T) {
	onlyOTel(t, "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0")
	tracing, spans := recorded(t)
	w := newWorld(t, tracing)
	w.post(t, "/v1/accounts/acc-1/create", `{"owner":"Ada","currency":"EUR"}`, traceparent)
	events, err := w.store.ReadFeed(t.Context(), 0, 10)
	if err != nil || len(events) != 1 || !strings.HasPrefix(events[0].Traceparent(), "00-"+traceID) || !strings.HasSuffix(events[0].Traceparent(), "-00") {
		t.Fatalf("%+v, %v: want an event of the trace that says it was not sampled", events, err)
	}
	if all := spans.GetSpans(); len(all) > 0 {
		t.Errorf("%d spans", len(all))
	}
}

func TestASpanIsLinkedToEachRequestOnceAndToABoundedNumber(t *testing.T) {
	tracing, spans := recorded(t)
	var events []es.Recorded
	for i := range 2 * linksMost {
		for range 2 {
			parent := fmt.Sprintf("00-%s-%016x-01", traceID, i+1)
			events = append(events, es.Recorded{Metadata: []byte(`{"principal":"local","traceparent":"` + parent + `"}`)})
		}
	}
	tracing.Observer().Relayed(ports.Passage{To: 9, Events: append(events[:4], events[0])})
	tracing.Observer().Relayed(ports.Passage{To: 9, Events: events})
	all := spans.GetSpans()
	if len(all) != 2 || len(all[0].Links) != 2 || len(all[1].Links) != linksMost {
		t.Fatalf("%d spans: %v", len(all), all)
	}
	if !slices.Contains(all[1].Attributes, keyUnlinked.Bool(true)) || !slices.Contains(all[0].Attributes, keyUnlinked.Bool(false)) {
		t.Error("a span must say whether it lacks links")
	}
}

func TestCommandsAndAnswersStillFlowBothWaysAtOnce(t *testing.T) {
	tracing, spans := recorded(t)
	w := newWorld(t, tracing)
	body, lines := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/v1/commands", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	answer, err := w.server.Client().Do(r) // the answer begins before anything was sent
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	in := bufio.NewScanner(answer.Body)
	for i := range 3 {
		_, _ = fmt.Fprintf(lines, `{"id":"c-%d","command":"create","account":"acc-%d","data":{"owner":"Ada","currency":"EUR"}}`+"\n", i, i)
		if !in.Scan() || !strings.Contains(in.Text(), fmt.Sprintf("acc-%d", i)) {
			t.Fatalf("line %d was answered by %q, %v", i, in.Text(), in.Err())
		}
	}
	_ = lines.Close()
	if in.Scan() || in.Err() != nil {
		t.Fatalf("after the last line comes %q, %v", in.Text(), in.Err())
	}
	all := await(t, spans, func(all tracetest.SpanStubs) bool { return named(all, "POST /v1/commands") != nil })
	if linkedTo(all, spanBatch, *named(all, "POST /v1/commands")) == nil {
		t.Error("no batch is linked to the stream of commands")
	}
}

func TestALiveFeedStillArrivesAtOnceAndEndsForAClientThatStalls(t *testing.T) {
	tracing, spans := recorded(t)
	w := newWorld(t, tracing)
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "GET /v1/feed HTTP/1.1\r\nHost: daybook\r\n\r\n")
	in := bufio.NewScanner(conn)
	w.post(t, "/v1/accounts/acc-1/create", `{"owner":"Ada","currency":"EUR"}`, notSampled)
	for in.Scan() && !strings.HasPrefix(in.Text(), "id: 1") { // it comes while the feed goes on
	}
	if in.Err() != nil || !strings.HasPrefix(in.Text(), "id: 1") {
		t.Fatalf("the feed ends with %q, %v", in.Text(), in.Err())
	}
	text := strings.Repeat("x", 200)
	for i := 0; i < 200 && named(spans.GetSpans(), "GET /v1/feed") == nil; i++ { // nobody reads on, until the server's patience ends
		var many strings.Builder
		for j := range 1000 {
			_, _ = fmt.Fprintf(&many, `{"id":"d-%d-%d","command":"deposit","account":"acc-1","data":{"amount":1,"description":"%s"}}`+"\n", i, j, text)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/v1/commands", strings.NewReader(many.String()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-ndjson")
		answer, err := w.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	if named(spans.GetSpans(), "GET /v1/feed") == nil {
		t.Error("the feed goes on for a client that takes nothing")
	}
}

func TestAnAnswerThatIsCutOffIsAnErrorInItsSpan(t *testing.T) {
	tracing, spans := recorded(t)
	server := httptest.NewServer(tracing.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})))
	defer server.Close()
	answer, err := server.Client().Get(server.URL)
	if err == nil {
		_, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
	}
	if err == nil {
		t.Error("the client was told nothing")
	}
	all := await(t, spans, func(all tracetest.SpanStubs) bool { return len(all) == 1 })
	if all[0].Status.Code != codes.Error {
		t.Errorf("the span's status is %v", all[0].Status)
	}
}

func TestWhatAsksForHealthIsNotTraced(t *testing.T) {
	tracing, spans := recorded(t)
	w := newWorld(t, tracing)
	for _, path := range untraced {
		answer, err := w.server.Client().Get(w.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	if all := spans.GetSpans(); len(all) > 0 {
		t.Errorf("%d spans", len(all))
	}
}

func TestACollectorThatIsAwayIsComplainedOfOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		c := newComplaints(slog.New(slog.NewJSONHandler(&log, nil)))
		for range 5 {
			c.Handle(errors.New("connection refused"))
		}
		<-time.After(complainEvery)
		c.Handle(errors.New("connection refused"))
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), `"others":4`) {
			t.Errorf("%d lines:\n%s", lines, log.String())
		}
	})
}
