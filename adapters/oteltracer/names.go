package oteltracer

import (
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"daybook/core/ports"
)

// This file alone knows what spans and attributes are called. Those of HTTP and databases are stable conventions; those of
// messages are still being developed and may change with the version that is imported above.

// Names of spans. That of a request is its method and the pattern of its route.
const (
	spanBatch   = "batch"
	spanBegin   = "store begin"
	spanDecide  = "decide"
	spanCommit  = "store commit"
	spanPublish = "send " // and the topic
	spanProject = "project views"
)

// Attributes that no convention has.
const (
	keyCommands = attribute.Key("daybook.commands") // how many
	keyEvents   = attribute.Key("daybook.events")   // how many
	keyPosition = attribute.Key("daybook.position") // of the last event
	keyLag      = attribute.Key("daybook.lag")      // events between it and the head
	keyUnlinked = attribute.Key("daybook.unlinked") // some of the requests are not among the links, which are bounded
)

// service says who makes the spans; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES overrule it.
func service(o Options) []attribute.KeyValue {
	about := []attribute.KeyValue{semconv.ServiceName("daybook")}
	if o.Version != "" {
		about = append(about, semconv.ServiceVersion(o.Version))
	}
	if o.Process != "" {
		about = append(about, semconv.ServiceInstanceID(o.Process))
	}
	return about
}

// route is the pattern that took a request.
func route(pattern string) attribute.KeyValue { return semconv.HTTPRoute(pattern) }

// batch describes a batch.
func batch(c *ports.Commit) []attribute.KeyValue {
	return []attribute.KeyValue{keyCommands.Int(c.Commands), keyEvents.Int(len(c.Events)), keyPosition.Int64(int64(c.Head))}
}

// storeCall describes a call of the store of the driver; size is how many events it writes, zero for none.
func storeCall(driver, operation string, size int) []attribute.KeyValue {
	if driver == "postgres" {
		driver = "postgresql"
	}
	about := []attribute.KeyValue{semconv.DBSystemNameKey.String(driver), semconv.DBOperationName(operation)}
	if size > 1 { // a batch is two or more
		about = append(about, semconv.DBOperationBatchSize(size))
	}
	return about
}

// publishing describes messages that were sent to the topic by the bus of the driver.
func publishing(driver, topic string, p *ports.Passage) []attribute.KeyValue {
	about := []attribute.KeyValue{
		semconv.MessagingSystemKey.String(driver), semconv.MessagingDestinationName(topic),
		semconv.MessagingOperationName("send"), semconv.MessagingOperationTypeSend, keyPosition.Int64(int64(p.To)),
	}
	if len(p.Events) > 1 {
		about = append(about, semconv.MessagingBatchMessageCount(len(p.Events)))
	}
	return about
}
