package rabbitbus_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/adapters/rabbitbus"
	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

func TestWhatIsPublishedBeforeTheFirstSubscriberWaitsInTheDurableQueueAlsoOnceItWasDeleted(t *testing.T) {
	prefix := servers.RabbitPrefix(t)
	s := ports.Subscription{Topic: prefix + "commands", Name: "commands"}
	broker := open(t, rabbitbus.Options{URL: servers.Rabbit(t), Prefix: prefix, Durable: []ports.Subscription{s}})
	publish(t, broker, s.Topic, message.NewMessage("1", nil))
	if _, err := channel(t).QueueDelete(prefix+"commands", false, false, false); err != nil {
		t.Fatal(err)
	}
	publish(t, broker, s.Topic, message.NewMessage("2", nil)) // reaches no queue at first
	out, err := broker.Subscribe(t.Context(), s.Topic, s.Name, 1)
	if err != nil {
		t.Fatal(err)
	}
	if m := receive(t.Context(), t, out); m.UUID != "2" {
		t.Fatalf("got %s", m.UUID)
	}
}

func TestASubscriptionGoesOnAfterItsQueueWasDeleted(t *testing.T) {
	prefix := servers.RabbitPrefix(t)
	broker := open(t, rabbitbus.Options{URL: servers.Rabbit(t), Durable: []ports.Subscription{{Topic: prefix + "t", Name: "s"}}})
	out, err := broker.Subscribe(t.Context(), prefix+"t", "s", 1)
	if err != nil {
		t.Fatal(err)
	}
	ch := channel(t)
	if _, err := ch.QueueDelete(prefix+"t.s", false, false, false); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { // the subscription declares it again
		_, err := ch.QueueDeclarePassive(prefix+"t.s", true, false, false, false, nil)
		if err != nil {
			ch = channel(t)
		}
		return err == nil
	})
	publish(t, broker, prefix+"t", message.NewMessage("1", nil))
	if m := receive(t.Context(), t, out); m.UUID != "1" {
		t.Fatalf("got %s", m.UUID)
	}
}

func TestARequestOfAPlainClientIsAnsweredWhereItAsksFor(t *testing.T) {
	prefix := servers.RabbitPrefix(t)
	var log bytes.Buffer
	broker := open(t, rabbitbus.Options{
		URL: servers.Rabbit(t), Prefix: prefix, Durable: []ports.Subscription{{Topic: prefix + "commands", Name: "commands"}},
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	out, err := broker.Subscribe(t.Context(), prefix+"commands", "commands", 1)
	if err != nil {
		t.Fatal(err)
	}
	ch := channel(t)
	replies, err := ch.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	// an outsider may send to the queue itself
	request := amqp.Publishing{
		MessageId: "cmd-1", CorrelationId: "c", ReplyTo: "amq.rabbitmq.reply-to", ContentType: "application/json", Body: []byte("{}"),
		Headers: amqp.Table{"traceparent": "00-1-2-01", "n": int32(7), "yes": true, "at": time.Unix(0, 0), "raw": []byte("x"), "list": []any{"a"}, "none": nil},
	}
	if err := ch.Publish("", prefix+"commands", true, false, request); err != nil {
		t.Fatal(err)
	}
	m := receive(t.Context(), t, out)
	replyTo := m.Metadata["replyTo"]
	for name, want := range map[string]string{
		"correlationId": "c", "content-type": "application/json", "traceparent": "00-1-2-01",
		"n": "7", "yes": "true", "at": "1970-01-01T00:00:00Z", "raw": "x", "list": `["a"]`, "none": "", "replyTo": replyTo,
	} {
		if got, there := m.Metadata[name]; got != want || !there {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if m.UUID != "cmd-1" || len(m.Metadata) != 10 {
		t.Errorf("got %s with %v", m.UUID, m.Metadata)
	}
	reply := message.NewMessage("re-cmd-1", []byte("done"))
	reply.Metadata = message.Metadata{"correlationId": "c", "content-type": "application/json", "replyTo": strings.Repeat("long", 100)}
	publish(t, broker, replyTo, reply)
	answer := <-replies
	if answer.CorrelationId != "c" || answer.MessageId != "re-cmd-1" || string(answer.Body) != "done" || answer.ContentType != "application/json" ||
		answer.DeliveryMode != amqp.Persistent || len(answer.Headers) != 1 || answer.Headers["replyTo"] != reply.Metadata["replyTo"] {
		t.Errorf("the answer is %+v", answer)
	}
	publish(t, broker, "amq.gen-nobody", message.NewMessage("re-cmd-2", nil))
	if !strings.Contains(log.String(), "amq.gen-nobody") {
		t.Errorf("a dropped reply left no word: %q", log.String())
	}
}

func TestWhatComesBackTooOftenIsDeadWithItsReasonUntilItIsSettled(t *testing.T) {
	faulttable.Covers(t, "F35", faulttable.RabbitMQ)
	prefix := servers.RabbitPrefix(t)
	topic := prefix + "commands"
	o := rabbitbus.Options{
		URL: servers.Rabbit(t), Prefix: prefix, DeliveryLimit: map[string]int{topic: 1},
		Durable: []ports.Subscription{{Topic: topic, Name: "commands"}},
	}
	broker := open(t, o)
	publish(t, broker, topic, message.NewMessage("1", []byte("x")))
	for range 2 { // a process that dies with the message in hand, twice
		crashing := open(t, o)
		out, err := crashing.Subscribe(t.Context(), topic, "commands", 1)
		if err != nil {
			t.Fatal(err)
		}
		receive(t.Context(), t, out)
		if err := crashing.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var dead []*message.Message
	await(t, func() (some bool) {
		var err error
		if dead, err = broker.Dead(t.Context(), topic+".dead", 10); err != nil {
			t.Fatal(err)
		}
		return len(dead) == 1
	})
	if m := dead[0]; m.UUID != "1" || string(m.Payload) != "x" || len(m.Metadata) != 1 || !strings.Contains(m.Metadata["reason"], "delivery_limit") {
		t.Fatalf("dead is %s with %v", m.UUID, m.Metadata)
	}
	no := errors.New("no")
	if found, err := broker.Settle(t.Context(), topic+".dead", "1", func(*message.Message) error { return no }); !found || !errors.Is(err, no) {
		t.Fatalf("Settle: %v, %v", found, err)
	}
	for _, want := range []bool{true, false} {
		if found, err := broker.Settle(t.Context(), topic+".dead", "1", func(*message.Message) error { return nil }); found != want || err != nil {
			t.Fatalf("Settle: %v, %v", found, err)
		}
	}
}

func TestDeadMessagesKeepTheirOrderHoweverOftenTheyAreLookedAt(t *testing.T) {
	prefix := servers.RabbitPrefix(t)
	broker := open(t, rabbitbus.Options{URL: servers.Rabbit(t)})
	publish(t, broker, prefix+"t.dead", numbered(t.Context(), "p", 0, 5)...)
	for range 50 {
		for limit, want := range []string{"", "p/0", "p/0 p/1", "p/0 p/1 p/2"} {
			dead, err := broker.Dead(t.Context(), prefix+"t.dead", limit)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(message.Messages(dead).IDs(), " "); got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		}
	}
}

func TestOneSubscriberOfANameIsServedAndTheNextTakesOverInOrder(t *testing.T) {
	faulttable.Covers(t, "F38", faulttable.RabbitMQ)
	topic := servers.RabbitPrefix(t) + "t"
	first, second := open(t, rabbitbus.Options{URL: servers.Rabbit(t)}), open(t, rabbitbus.Options{URL: servers.Rabbit(t)})
	served, err := first.Subscribe(t.Context(), topic, "s", 1)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := second.Subscribe(t.Context(), topic, "s", 1)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, first, topic, numbered(t.Context(), "p", 0, 6)...)
	for range 3 {
		receive(t.Context(), t, served).Ack()
	}
	receive(t.Context(), t, served)
	select {
	case m := <-waiting:
		t.Fatalf("%s came to the second", m.UUID)
	default:
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"p/3", "p/4", "p/5"} {
		m := receive(t.Context(), t, waiting)
		if m.UUID != want {
			t.Fatalf("got %s, want %s", m.UUID, want)
		}
		m.Ack()
	}
}

func TestAfterANackAllThatWereOutAndNotAckedComeAgainInOrder(t *testing.T) {
	topic := servers.RabbitPrefix(t) + "t"
	broker := open(t, rabbitbus.Options{URL: servers.Rabbit(t), NackPause: time.Millisecond})
	out, err := broker.Subscribe(t.Context(), topic, "s", 3)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, broker, topic, numbered(t.Context(), "p", 0, 5)...)
	a, b, c := receive(t.Context(), t, out), receive(t.Context(), t, out), receive(t.Context(), t, out)
	b.Ack()
	a.Nack()
	c.Nack()
	for _, want := range []string{"p/0", "p/2", "p/3", "p/4"} {
		m := receive(t.Context(), t, out)
		if m.UUID != want {
			t.Fatalf("got %s, want %s", m.UUID, want)
		}
		m.Ack()
	}
}

func TestAMessageThatAMQPCannotCarryIsRefusedAndHurtsNoOther(t *testing.T) {
	topic := servers.RabbitPrefix(t) + "t"
	broker := open(t, rabbitbus.Options{URL: servers.Rabbit(t)})
	for what, metadata := range map[string]message.Metadata{
		"the name of a header is too long": {strings.Repeat("n", 256): ""},
		"a header has no name":             {"": "x"},
		"the headers are too long":         {"a": strings.Repeat("x", 1<<16)},
	} {
		m := message.NewMessage("1", nil)
		m.Metadata = metadata
		if err := broker.Publish(topic, m); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	for _, topic := range []string{"", strings.Repeat("t", 256)} {
		if err := broker.Publish(topic, message.NewMessage("1", nil)); err == nil {
			t.Errorf("a topic of %d bytes: no error", len(topic))
		}
	}
	publish(t, broker, topic, message.NewMessage(strings.Repeat("long", 100), nil))
}

func publish(t *testing.T, broker *rabbitbus.Broker, topic string, messages ...*message.Message) {
	t.Helper()
	if err := broker.Publish(topic, messages...); err != nil {
		t.Fatal(err)
	}
}
