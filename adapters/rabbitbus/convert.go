package rabbitbus

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/core/ports"
)

// Headers that are properties of an AMQP message. One that does not fit into a property stays a header.
const (
	headerMessageID     = "messageId" // only when the id does not fit
	headerContentType   = "content-type"
	headerReplyTo       = "replyTo"
	headerCorrelationID = "correlationId"
	headerEventType     = "eventType" // the routing key
)

// longest is how many bytes a property, a name or a routing key has at most.
const longest = 255

// most is how many bytes the headers of a message have at most: with them a message must fit into one frame.
const most = 64 << 10

// directReply begins the names of pseudo queues for replies. The broker calls a mandatory message to one unroutable even when it
// delivers it.
const directReply = "amq.rabbitmq.reply-to"

// batch makes ready what is to be published to the topic.
func (t *topology) batch(topic string, messages []*message.Message) (*batch, error) {
	if topic == "" || len(topic) > longest {
		return nil, fmt.Errorf("rabbitbus: a topic has 1 to %d bytes, not %d", longest, len(topic))
	}
	b := &batch{topic: topic, ours: t.ours(topic), kept: t.keeps(topic), items: make([]item, len(messages))}
	for n, m := range messages {
		publishing, err := toAMQP(m)
		if err != nil {
			return nil, err
		}
		i := item{key: topic, publishing: publishing, mandatory: b.kept}
		if b.ours {
			i.exchange = topic
			if kind := m.Metadata[headerEventType]; kind != "" && len(kind) <= longest {
				i.key = kind
			}
		} else {
			i.mandatory = !strings.HasPrefix(topic, directReply)
		}
		b.items[n] = i
	}
	return b, nil
}

func toAMQP(m *message.Message) (amqp.Publishing, error) {
	p := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: m.Payload}
	set := func(property *string, name, value string) {
		if value != "" && len(value) <= longest {
			*property = value
			return
		}
		if p.Headers == nil {
			p.Headers = make(amqp.Table, len(m.Metadata))
		}
		p.Headers[name] = value
	}
	if m.UUID != "" {
		set(&p.MessageId, headerMessageID, m.UUID)
	}
	size := 0
	for name, value := range m.Metadata {
		if size += len(name) + len(value); size > most {
			return p, fmt.Errorf("rabbitbus: the headers of message %.40q have more than %d bytes", m.UUID, most)
		}
		switch name {
		case headerContentType:
			set(&p.ContentType, name, value)
		case headerReplyTo:
			set(&p.ReplyTo, name, value)
		case headerCorrelationID:
			set(&p.CorrelationId, name, value)
		case "":
			return p, errors.New("rabbitbus: a header has no name")
		default:
			if len(name) > longest {
				return p, fmt.Errorf("rabbitbus: the name of a header has %d bytes; at most %d are possible", len(name), longest)
			}
			if p.Headers == nil {
				p.Headers = make(amqp.Table, len(m.Metadata))
			}
			p.Headers[name] = value
		}
	}
	return p, nil
}

// fromAMQP is the message of a delivery. What the broker itself wrote into its headers is left out, but for the reason why it
// gave a message up.
func fromAMQP(d *amqp.Delivery) *message.Message {
	m := message.NewMessage(d.MessageId, d.Body)
	for name, value := range map[string]string{
		headerContentType: d.ContentType, headerReplyTo: d.ReplyTo, headerCorrelationID: d.CorrelationId,
	} {
		if value != "" {
			m.Metadata[name] = value
		}
	}
	for name, value := range d.Headers {
		switch {
		case name == headerMessageID && m.UUID == "":
			m.UUID = text(value)
		case name == "x-first-death-reason":
			if _, given := d.Headers[ports.HeaderReason]; !given {
				m.Metadata[ports.HeaderReason] = "given up by the broker: " + text(value)
			}
		case name == "x-death", name == "x-delivery-count", strings.HasPrefix(name, "x-first-death-"), strings.HasPrefix(name, "x-last-death-"):
		default:
			m.Metadata[name] = text(value)
		}
	}
	if m.UUID == "" {
		m.UUID = fingerprint(d)
	}
	return m
}

// fingerprint is an id for a message that has none: the same for every delivery, and for messages of the same content.
func fingerprint(d *amqp.Delivery) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%q %q %q %q %d ", d.Exchange, d.RoutingKey, d.CorrelationId, d.ReplyTo, d.Timestamp.Unix())
	hash.Write(d.Body)
	return "sha256-" + hex.EncodeToString(hash.Sum(nil)[:16])
}

// text renders the value of a header that need not be a text.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return strings.ToValidUTF8(string(v), string(utf8.RuneError))
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	case amqp.Table, []any, amqp.Decimal:
		if rendered, err := json.Marshal(v); err == nil {
			return string(rendered)
		}
	}
	return fmt.Sprint(value)
}
