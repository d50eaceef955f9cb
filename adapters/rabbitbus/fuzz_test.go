package rabbitbus

import (
	"maps"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// FuzzDelivery takes any message through the form that it has at the broker and back, and any delivery that another program could have
// published.
func FuzzDelivery(f *testing.F) {
	f.Add("evt-17", "eventType", "MoneyDeposited", "commands.answers", []byte(`{"id":"evt-17"}`))
	f.Add("", "content-type", "", "x-death", []byte{})
	f.Fuzz(func(t *testing.T, id, name, value, replyTo string, body []byte) {
		m := message.NewMessage(id, body)
		m.Metadata[name], m.Metadata[headerReplyTo] = value, replyTo
		if p, err := toAMQP(m); err == nil {
			got := fromAMQP(&amqp.Delivery{MessageId: p.MessageId, Headers: p.Headers, ContentType: p.ContentType, ReplyTo: p.ReplyTo, CorrelationId: p.CorrelationId, Body: p.Body})
			if got.UUID == "" || id != "" && got.UUID != id && name != headerMessageID || string(got.Payload) != string(body) {
				t.Errorf("the message %q comes back as %q with %q", id, got.UUID, got.Payload)
			}
			if !reserved(name) && !maps.Equal(got.Metadata, m.Metadata) {
				t.Errorf("the headers %q come back as %q", m.Metadata, got.Metadata)
			}
		}
		for _, any := range []any{nil, int64(len(value)), []byte(value), amqp.Table{name: value}, []any{value, nil}, amqp.Decimal{Value: 1}} {
			d := amqp.Delivery{MessageId: id, ReplyTo: replyTo, Body: body, Headers: amqp.Table{name: any, "x-first-death-reason": any}}
			if one, two := fromAMQP(&d), fromAMQP(&d); one.UUID == "" || one.UUID != two.UUID {
				t.Errorf("a delivery is the message %q, and then %q", one.UUID, two.UUID)
			}
		}
	})
}

// reserved are the names of headers that the broker writes, or that carry what does not fit elsewhere.
func reserved(name string) bool {
	switch name {
	case "", headerMessageID, "x-death", "x-delivery-count", "x-first-death-reason":
		return true
	}
	return strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}
