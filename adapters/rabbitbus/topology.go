package rabbitbus

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/core/ports"
)

// topology says which exchanges and queues there are. A topic is a durable topic exchange of its name; a named subscription is a
// durable quorum queue, bound to all of it, of which one consumer at a time is served. A topic of dead letters has a queue of
// its own name, which keeps them for whoever looks.
type topology struct {
	prefix  string
	durable map[string][]ports.Subscription // by topic
	limits  map[string]int                  // by topic
}

func newTopology(o Options) topology {
	t := topology{prefix: o.Prefix, durable: map[string][]ports.Subscription{}, limits: o.DeliveryLimit}
	for _, s := range o.Durable {
		t.durable[s.Topic] = append(t.durable[s.Topic], s)
	}
	return t
}

// ours reports whether the topic is an exchange; else it is a queue of somebody else.
func (t *topology) ours(topic string) bool { return strings.HasPrefix(topic, t.prefix) }

// keeps reports whether some queue gets everything that is published to the topic.
func (t *topology) keeps(topic string) bool {
	return t.ours(topic) && (len(t.durable[topic]) > 0 || deadLetters(topic))
}

func deadLetters(topic string) bool { return strings.HasSuffix(topic, ports.DeadLetters("")) }

// queueName is the name of a named subscription's queue.
func queueName(s ports.Subscription) string {
	if strings.HasSuffix(s.Topic, "."+s.Name) {
		return s.Topic
	}
	return s.Topic + "." + s.Name
}

// arguments are those of a named subscription's queue.
func (t *topology) arguments(s ports.Subscription) amqp.Table {
	args := amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}
	if deadLetters(queueName(s)) {
		// Looked at by getting messages, which a queue with a single consumer refuses. Only with a limit does what is given back
		// keep its place instead of going to the end.
		args["x-delivery-limit"] = int64(1 << 30)
		return args
	}
	args[amqp.SingleActiveConsumerArg] = true
	if limit := t.limits[s.Topic]; limit > 0 {
		args["x-delivery-limit"] = int64(limit)
		args["x-dead-letter-exchange"] = ports.DeadLetters(s.Topic)
		args["x-dead-letter-strategy"] = "at-least-once"
		args[amqp.QueueOverflowArg] = amqp.QueueOverflowRejectPublish // which that strategy needs
	}
	return args
}

// start is all that must be there before anything is published, in a fixed order.
func (t *topology) start(ch *amqp.Channel) error {
	topics := make([]string, 0, len(t.durable))
	for topic := range t.durable {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	for _, topic := range topics {
		if err := t.declareTopic(ch, topic); err != nil {
			return err
		}
	}
	return nil
}

// declareTopic declares the topic's exchange and the queues that get everything published to it.
func (t *topology) declareTopic(ch *amqp.Channel, topic string) error {
	if topic == "" {
		return errors.New("rabbitbus: a topic must have a name")
	}
	if err := ch.ExchangeDeclare(topic, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return otherwise("exchange", topic, err)
	}
	for _, s := range t.durable[topic] {
		if _, err := t.declareQueue(ch, s); err != nil {
			return err
		}
	}
	if deadLetters(topic) {
		_, err := t.declareQueue(ch, ports.Subscription{Topic: topic, Name: "dead"})
		return err
	}
	return nil
}

// declareSubscription declares what the subscription needs and gives its queue's name.
func (t *topology) declareSubscription(ch *amqp.Channel, s ports.Subscription) (string, error) {
	if !t.ours(s.Topic) {
		return "", fmt.Errorf("rabbitbus: the topic %q does not begin with %q, so it cannot be subscribed to", s.Topic, t.prefix)
	}
	if err := t.declareTopic(ch, s.Topic); err != nil {
		return "", err
	}
	return t.declareQueue(ch, s)
}

// declareQueue declares the subscription's queue and binds it to its topic, whose exchange is there.
func (t *topology) declareQueue(ch *amqp.Channel, s ports.Subscription) (string, error) {
	name, named, args := "", s.Name != "", amqp.Table(nil)
	if named {
		name, args = queueName(s), t.arguments(s)
	}
	if _, buried := args["x-dead-letter-exchange"]; buried {
		if err := t.declareTopic(ch, ports.DeadLetters(s.Topic)); err != nil {
			return "", err
		}
	}
	queue, err := ch.QueueDeclare(name, named, !named, !named, false, args)
	if err != nil {
		return "", otherwise("queue", name, err)
	}
	if err := ch.QueueBind(queue.Name, "#", s.Topic, false, nil); err != nil {
		return "", words(fmt.Sprintf("the queue %q cannot be bound to %q", queue.Name, s.Topic), err)
	}
	return queue.Name, nil
}

// words puts the broker's or the network's error into ours. Neither shows the URL.
func words(what string, err error) error { return fmt.Errorf("rabbitbus: %s: %w", what, err) }

// otherwise is why something could not be declared, and the remedy when it exists with other properties.
func otherwise(kind, name string, err error) error {
	var e *amqp.Error
	if errors.As(err, &e) && e.Code == amqp.PreconditionFailed {
		return words(fmt.Sprintf("the %s %q exists with other properties; consume what is in it and delete it, "+
			"so that it is declared anew, or configure what it was declared with", kind, name), err)
	}
	return words(fmt.Sprintf("the %s %q cannot be declared", kind, name), err)
}
