package rabbitbus

import (
	"cmp"
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/core/ports"
)

// ackPause is how long acks may wait for more of them, to be sent together.
const ackPause = time.Millisecond

// Subscribe gives the messages of the topic, in order; at most ahead of them are handed out before the first is acked. After a
// Nack, and when all that are out have been acked or nacked, those that were not acked are handed out again after a pause, in
// their order. When the connection is lost their contexts end, and they come again, before later ones, once all that are out
// have been acked or nacked. The channel is closed when ctx ends or the broker is closed; messages acked within a moment after
// that are done, the others go back to the queue.
func (b *Broker) Subscribe(ctx context.Context, topic, name string, ahead int) (<-chan *message.Message, error) {
	if !b.enter() {
		return nil, ErrClosed
	}
	s := &subscription{
		broker: b, Subscription: ports.Subscription{Topic: topic, Name: name},
		ahead: max(ahead, 1), out: make(chan *message.Message),
	}
	s.ctx, s.end = b.within(ctx)
	c, err := s.consume()
	if err != nil {
		defer b.entered.Done()
		defer s.end()
		return nil, b.ended(err)
	}
	go func() {
		defer b.entered.Done()
		defer s.end()
		s.run(c)
	}()
	return s.out, nil
}

// subscription is one subscriber and the goroutine that serves it.
type subscription struct {
	ports.Subscription
	broker *Broker
	ahead  int
	out    chan *message.Message // unbuffered: what is not taken is not out
	ctx    context.Context       // ends with the subscriber's context, or when the broker is closed
	end    context.CancelFunc
}

// prefetch is how many messages the broker sends that are not acked.
func (s *subscription) prefetch() int {
	if s.broker.topology.limits[s.Topic] > 0 {
		return s.ahead
	}
	return max(s.ahead, s.broker.options.Prefetch)
}

// consumer is a channel that delivers.
type consumer struct {
	ch         *amqp.Channel
	deliveries <-chan amqp.Delivery
	gone       <-chan struct{} // closed when it has ended: the channel was closed, or the queue deleted
}

// goneWith is closed when the channel delivers no more.
func goneWith(ch *amqp.Channel) <-chan struct{} {
	closed, canceled := ch.NotifyClose(make(chan *amqp.Error, 1)), ch.NotifyCancel(make(chan string, 1))
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-closed: //nolint:errcheck // whatever the reason
		case <-canceled:
		}
	}()
	return gone
}

// consume declares what the subscription needs and begins to consume.
func (s *subscription) consume() (*consumer, error) {
	session, err := s.broker.consuming.session(s.ctx)
	if err != nil {
		return nil, err
	}
	ch, err := session.conn.Channel()
	if err != nil {
		return nil, words("no channel", err)
	}
	c := &consumer{ch: ch, gone: goneWith(ch)}
	queue, err := s.broker.topology.declareSubscription(ch, s.Subscription)
	if err == nil {
		err = ch.Qos(s.prefetch(), 0, false)
	}
	if err == nil {
		c.deliveries, err = ch.Consume(queue, cmp.Or(s.Name, "unnamed"), false, false, false, false, nil)
	}
	if err != nil {
		ch.Close() //nolint:errcheck // nothing depends on it
		return nil, words("cannot subscribe to "+s.Topic, err)
	}
	return c, nil
}

// run serves the subscriber until the subscription ends, over one consumer after another.
func (s *subscription) run(c *consumer) {
	for c != nil {
		w := newWindow(s, c)
		w.serve()
		if s.ctx.Err() != nil {
			close(s.out)
			w.finish()
			return
		}
		w.abandon()
		c = s.again()
	}
	close(s.out)
}

// again gives the next consumer, or nil when the subscription has ended.
func (s *subscription) again() *consumer {
	for failures := 0; rest(s.ctx, backoff(failures)); failures++ {
		c, err := s.consume()
		if err == nil {
			return c
		}
		if s.ctx.Err() == nil {
			s.broker.options.Log.Warn("a subscription waits for RabbitMQ", "topic", s.Topic, "name", s.Name, "error", err)
		}
	}
	return nil
}
