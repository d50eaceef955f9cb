package engine

import (
	"context"
	"strconv"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// Headers of the messages that carry events.
const (
	HeaderEventType   = "eventType"
	HeaderAggregateID = "aggregateId"
	HeaderPosition    = "position"
	HeaderContentType = "content-type"
	HeaderTraceparent = "traceparent" // W3C trace context of the command, if it had one
)

// relayPage is how many events are published in one go.
const relayPage = 1024

// relayPace is how long the relay rests after a page that was not full. An idle ledger publishes at once; a busy one publishes
// what came meanwhile together, which leaves more of the processor to commands.
const relayPace = 3 * time.Millisecond

// RelayCheckpoint is the name under which the relay to a topic keeps how far it is.
func RelayCheckpoint(topic string) string { return relayPrefix + topic }

// relay is the follower that publishes the feed.
func (e *Engine) relay() *follower {
	return &follower{
		Engine: e, name: RelayCheckpoint(e.EventsTopic), work: "relay to " + e.EventsTopic, page: relayPage, pace: relayPace,
		take: func(ctx context.Context, events []es.Recorded) (int, error) {
			began := e.Now()
			messages := make([]ports.Message, len(events))
			for i := range events {
				messages[i] = e.eventMessage(&events[i])
			}
			// gofail: var beforePublish struct{}
			if err := e.Bus.Publish(ctx, e.EventsTopic, messages...); err != nil {
				return 0, err
			}
			// gofail: var afterConfirmBeforeMark struct{}
			e.Observer.Relayed(ports.Passage{To: events[len(events)-1].Position, Events: events, Began: began, Ended: e.Now()})
			return len(events), nil
		},
	}
}

func (e *Engine) eventMessage(r *es.Recorded) ports.Message {
	m := ports.Message{
		ID: r.Position.EventID(),
		Headers: map[string]string{
			HeaderEventType:   r.Type,
			HeaderAggregateID: string(r.Stream),
			HeaderPosition:    strconv.FormatUint(uint64(r.Position), 10),
			HeaderContentType: "application/cloudevents+json; charset=UTF-8",
		},
	}
	trace := r.Traceparent()
	if trace != "" {
		m.Headers[HeaderTraceparent] = trace
	}
	m.Body = appendCloudEvent(make([]byte, 0, 1024+len(r.Data)+len(r.Metadata)), e.Source, r, trace)
	return m
}

// appendCloudEvent appends the event as a CloudEvent 1.0 in structured JSON: the subject is the aggregate, the time is when
// it happened in the world, and data is the event exactly as it is stored. traceparent is the distributed tracing extension.
func appendCloudEvent(dst []byte, source string, r *es.Recorded, trace string) []byte {
	dst = append(dst, `{"specversion":"1.0","id":"evt-`...)
	dst = strconv.AppendUint(dst, uint64(r.Position), 10)
	dst = append(dst, `","source":`...)
	dst = es.AppendString(dst, source)
	dst = append(dst, `,"type":`...)
	dst = es.AppendString(dst, r.Type)
	dst = append(dst, `,"subject":`...)
	dst = es.AppendString(dst, string(r.Stream))
	dst = append(dst, `,"time":"`...)
	dst = es.AppendTime(dst, r.EffectiveAt)
	dst = append(dst, `","datacontenttype":"application/json"`...)
	if trace != "" {
		dst = append(dst, `,"traceparent":`...)
		dst = es.AppendString(dst, trace)
	}
	dst = append(dst, `,"data":`...)
	dst = r.AppendJSON(dst)
	return append(dst, '}')
}
