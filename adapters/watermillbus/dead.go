package watermillbus

import (
	"context"
	"log/slog"
	"maps"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"daybook/core/ports"
)

// deadLetters is where the poison queue publishes: it finds the topic's own dead letters and says the reason as the port
// promises. Watermill's own headers stay, so that its tools can send the message back.
type deadLetters struct {
	pub message.Publisher
	log *slog.Logger
}

// Publish ignores the topic, which the poison queue fixes for all handlers of a router.
func (d deadLetters) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		topic, reason := m.Metadata[middleware.PoisonedTopicKey], m.Metadata[middleware.ReasonForPoisonedKey]
		m.Metadata[ports.HeaderReason] = reason
		if err := d.pub.Publish(ports.DeadLetters(topic), m); err != nil {
			return err
		}
		d.log.Warn("a message can never succeed and went to the dead letters", "topic", topic, "message", m.UUID, "reason", reason)
	}
	return nil
}

// Close does nothing: the publisher is the bus's.
func (deadLetters) Close() error { return nil }

// bury publishes a message that was handled outside the router, and can never succeed, to the dead letters of its topic.
func (b *Bus) bury(topic string, m *message.Message, reason error) error {
	dead := m.Copy()
	dead.SetContext(m.Context())
	dead.Metadata[middleware.PoisonedTopicKey] = topic
	dead.Metadata[middleware.ReasonForPoisonedKey] = reason.Error()
	return deadLetters{b.broker, b.log}.Publish("", dead)
}

// DeadMessages asks the broker.
func (b *Bus) DeadMessages(ctx context.Context, topic string, limit int) ([]ports.Message, error) {
	if err := b.refused(ctx); err != nil {
		return nil, err
	}
	kept, err := b.broker.Dead(ctx, ports.DeadLetters(topic), limit)
	if err != nil {
		return nil, b.fault(ctx, err)
	}
	messages := make([]ports.Message, len(kept))
	for i, m := range kept {
		messages[i] = deadMessage(m)
	}
	return messages, nil
}

// deadMessage is a kept message as the port gives it.
func deadMessage(m *message.Message) ports.Message {
	headers := withoutPoison(m.Metadata)
	headers[ports.HeaderReason] = m.Metadata[ports.HeaderReason]
	return ports.Message{ID: m.UUID, Headers: headers, Body: m.Payload}
}

// Settle publishes the message again, if asked to, before the broker lets it go.
func (b *Bus) Settle(ctx context.Context, topic, id string, retry bool) (settled ports.Message, err error) {
	if err := b.refused(ctx); err != nil {
		return settled, err
	}
	found, err := b.broker.Settle(ctx, ports.DeadLetters(topic), id, func(m *message.Message) error {
		settled = deadMessage(m)
		if !retry {
			return nil
		}
		again := &message.Message{UUID: m.UUID, Metadata: withoutPoison(m.Metadata), Payload: m.Payload}
		again.Metadata[ports.HeaderRetry] = "true"
		again.SetContext(ctx)
		return b.broker.Publish(topic, again)
	})
	switch {
	case err != nil:
		return ports.Message{}, b.fault(ctx, err)
	case !found:
		return ports.Message{}, ports.ErrNoDeadMessage.Say("There is no dead message %q of %s: it was settled before, or never was.", id, topic)
	}
	return settled, nil
}

// withoutPoison is the headers as they were before the message was dead.
func withoutPoison(headers map[string]string) map[string]string {
	headers = maps.Clone(headers)
	if headers == nil {
		headers = map[string]string{}
	}
	for _, key := range []string{
		ports.HeaderReason, middleware.ReasonForPoisonedKey, middleware.PoisonedTopicKey, middleware.PoisonedHandlerKey, middleware.PoisonedSubscriberKey,
	} {
		delete(headers, key)
	}
	return headers
}
