package oteltracer

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"daybook/core/es"
	"daybook/core/ports"
)

// Observer is a ports.Observer that makes spans of what has happened, with the times it is told. A span is made when one of
// the requests it belongs to was sampled. Its methods may be called concurrently.
type Observer struct {
	tracer  trace.Tracer
	options Options
}

// Observer makes the spans of what goes on behind requests; nil when tracing is off.
func (t *Tracing) Observer() ports.Observer {
	if t == nil {
		return nil
	}
	return &Observer{t.tracer(), t.options}
}

// Committed makes the span of a batch, linked to its requests, with those of its three steps in it.
func (o *Observer) Committed(c ports.Commit) {
	requests, all := linksOf(c.Events)
	if len(requests) == 0 {
		return
	}
	ctx, span := o.tracer.Start(context.Background(), spanBatch, trace.WithTimestamp(c.Began), trace.WithLinks(requests...),
		trace.WithAttributes(batch(&c)...), trace.WithAttributes(keyUnlinked.Bool(!all)))
	o.step(ctx, spanBegin, trace.SpanKindClient, c.Began, c.Locked, storeCall(o.options.Store, "begin", 0))
	o.step(ctx, spanDecide, trace.SpanKindInternal, c.Locked, c.Decided, nil)
	o.step(ctx, spanCommit, trace.SpanKindClient, c.Decided, c.Ended, storeCall(o.options.Store, "commit", len(c.Events)))
	span.End(trace.WithTimestamp(c.Ended))
}

func (o *Observer) step(ctx context.Context, name string, kind trace.SpanKind, began, ended time.Time, about []attribute.KeyValue) {
	_, span := o.tracer.Start(ctx, name, trace.WithTimestamp(began), trace.WithSpanKind(kind), trace.WithAttributes(about...))
	span.End(trace.WithTimestamp(ended))
}

// Relayed makes the span of a publishing.
func (o *Observer) Relayed(p ports.Passage) {
	o.passage(spanPublish+o.options.EventsTopic, trace.SpanKindProducer, &p, publishing(o.options.Bus, o.options.EventsTopic, &p))
}

// Projected makes the span of a projection.
func (o *Observer) Projected(p ports.Passage, head es.Position) {
	o.passage(spanProject, trace.SpanKindInternal, &p, []attribute.KeyValue{
		keyEvents.Int(len(p.Events)), keyPosition.Int64(int64(p.To)), keyLag.Int64(int64(head - min(p.To, head))),
	})
}

func (o *Observer) passage(name string, kind trace.SpanKind, p *ports.Passage, about []attribute.KeyValue) {
	requests, all := linksOf(p.Events)
	if len(requests) == 0 {
		return
	}
	_, span := o.tracer.Start(context.Background(), name, trace.WithTimestamp(p.Began), trace.WithSpanKind(kind), trace.WithLinks(requests...),
		trace.WithAttributes(about...), trace.WithAttributes(keyUnlinked.Bool(!all)))
	span.End(trace.WithTimestamp(p.Ended))
}

// Decided makes nothing: a request has its span already.
func (o *Observer) Decided(ports.Decision) {}

// Parked makes nothing.
func (o *Observer) Parked(string, string, error) {}

// Failed makes nothing.
func (o *Observer) Failed(string, error) {}

// Led makes nothing.
func (o *Observer) Led(string, ports.Token, bool) {}

// linksMost is how many requests one span is linked to. OpenTelemetry's own bound is 128.
const linksMost = 64

// linksOf gives a link to each request behind the events that was sampled, and whether these are all.
func linksOf(events []es.Recorded) (links []trace.Link, all bool) {
	last := ""
	for i := range events {
		parent := events[i].Traceparent()
		if parent == last { // the events of one request stand together
			continue
		}
		last = parent
		request, ok := parse(parent)
		if !ok || linked(links, request) {
			continue
		}
		if len(links) == linksMost {
			return links, false
		}
		links = append(links, trace.Link{SpanContext: request})
	}
	return links, true
}

func linked(links []trace.Link, request trace.SpanContext) bool {
	for i := range links {
		if links[i].SpanContext.SpanID() == request.SpanID() && links[i].SpanContext.TraceID() == request.TraceID() {
			return true
		}
	}
	return false
}

// parse reads a traceparent in the form that es.Recorded gives, and reports whether it is of a request that was sampled.
func parse(parent string) (trace.SpanContext, bool) {
	const sampled = "13579bdf" // last digits of flags whose lowest bit is set
	if parent == "" || strings.IndexByte(sampled, parent[len(parent)-1]) < 0 {
		return trace.SpanContext{}, false
	}
	traceID, err := trace.TraceIDFromHex(parent[3:35])
	if err != nil {
		return trace.SpanContext{}, false
	}
	spanID, err := trace.SpanIDFromHex(parent[36:52])
	if err != nil {
		return trace.SpanContext{}, false
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled, Remote: true}), true
}
