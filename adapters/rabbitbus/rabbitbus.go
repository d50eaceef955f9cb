// Package rabbitbus is a Watermill Pub/Sub over RabbitMQ (AMQP 0.9.1): confirmed and ordered publishing, quorum queues with one
// active consumer, and connections that come back by themselves. It knows topics, queues and messages of Watermill alone; what
// messages mean, retries and what makes a message dead belong to watermillbus.
package rabbitbus

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/core/ports"
)

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("rabbitbus: closed")

// Options tune a Broker; the zero value of each but URL means its default.
type Options struct {
	// URL is amqp://user:password@host:port/vhost, or amqps. It appears in no error and in no log.
	URL string
	// Prefix begins the topics that are exchanges of ours. A topic without it is a queue of somebody else, such as the replyTo
	// of a request. "" makes every topic an exchange.
	Prefix string
	// Durable are the named subscriptions whose queues are declared at once, so that nothing published before the first
	// subscriber comes is lost.
	Durable []ports.Subscription
	// DeliveryLimit is, by topic, how often a message may come back from a consumer that did not ack it before the broker moves
	// it to the topic's dead letters. A topic that is not there has no limit.
	DeliveryLimit map[string]int
	// Window is how many messages may be on their way to the broker without its confirmation; default 512.
	Window int
	// Prefetch is how many messages a subscription may hold, handed out or not; default 256. One that asks for more ahead gets
	// more. With a delivery limit it is what the subscription asks for, as what comes back unseen counts too.
	Prefetch int
	// NackPause is between a nack and the next delivery of the message; default one second.
	NackPause time.Duration
	// Patience is how long a call whose context has no deadline waits for a broker that cannot be reached; default 30 seconds.
	Patience time.Duration
	// StartPatience is how long Open waits for a broker that cannot be reached; default 10 seconds.
	StartPatience time.Duration
	// Heartbeat is how often each side says that it is there; three missing ones end a connection. Default 5 seconds.
	Heartbeat time.Duration
	// Log gets lost connections and dropped replies as warnings; default none.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	positive(&o.Window, 512)
	positive(&o.Prefetch, 256)
	positive(&o.NackPause, time.Second)
	positive(&o.Patience, 30*time.Second)
	positive(&o.StartPatience, 10*time.Second)
	positive(&o.Heartbeat, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.DeliveryLimit = maps.Clone(o.DeliveryLimit)
	return o
}

func positive[T int | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

// Broker is a connection to RabbitMQ, or rather two: a publisher that the broker slows down must not slow down consumers. Both
// come back by themselves when they are lost. All methods may be called concurrently.
type Broker struct {
	options    Options
	topology   topology
	publishing *link
	consuming  *link // made when it is first needed

	ctx     context.Context // ends when Close begins
	end     context.CancelFunc
	mu      sync.Mutex // lets nothing be entered once Close has begun
	entered sync.WaitGroup

	deadMu  sync.Mutex    // one at a time looks at dead messages, as what is looked at is hidden from others
	looking *amqp.Channel // through which; nil before the first time
}

var _ message.Publisher = (*Broker)(nil)

// Open connects and declares the durable queues. Wrong credentials and queues that exist with other properties are errors. A
// broker that cannot be reached within Options.StartPatience, or before ctx ends, is none: the connection is tried again and
// again, and calls wait for it.
func Open(ctx context.Context, o Options) (*Broker, error) {
	if _, err := amqp.ParseURI(o.URL); err != nil {
		// the parser's words would show the password
		return nil, errors.New("rabbitbus: the URL cannot be read: it must have the form amqp://user:password@host:5672/vhost")
	}
	o = o.withDefaults()
	b := &Broker{options: o, topology: newTopology(o)}
	b.ctx, b.end = context.WithCancel(context.Background())
	b.publishing = newLink(o, "publishing", b.startOutbox)
	b.consuming = newLink(o, "consuming", func(*session) error { return nil })
	start, cancel := context.WithTimeout(ctx, o.StartPatience)
	defer cancel()
	if _, err := b.publishing.session(start); hopeless(err) {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Healthy is nil while the broker can be reached and takes messages; else it says why not. It does not ask the broker.
func (b *Broker) Healthy() error {
	if b.ctx.Err() != nil {
		return ErrClosed
	}
	return errors.Join(b.publishing.healthy(), b.consuming.healthy())
}

// Close ends the subscriptions and then the connections. Messages that are being handled get a moment to be acked; what is not
// acked goes back to its queue. Calls that wait return ErrClosed. Closing twice is no error.
func (b *Broker) Close() error {
	b.mu.Lock()
	b.end()
	b.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		b.entered.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(2 * grace): // a connection that hangs; closing it ends what waits for it
	}
	b.publishing.close()
	b.consuming.close()
	<-ended
	return nil
}

// enter reports whether the broker is open; then the caller must call entered.Done, and Close waits for that.
func (b *Broker) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return false
	}
	b.entered.Add(1)
	return true
}

// entering calls use while the broker is open, with a context that ends when it is closed.
func (b *Broker) entering(ctx context.Context, use func(context.Context) error) error {
	if !b.enter() {
		return ErrClosed
	}
	defer b.entered.Done()
	ctx, cancel := b.within(ctx)
	defer cancel()
	return b.ended(use(ctx))
}

// within is ctx, ended also when the broker is closed. The function must be called when it is no longer needed.
func (b *Broker) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// ended tells a call that was ended by Close from others.
func (b *Broker) ended(err error) error {
	if err != nil && b.ctx.Err() != nil {
		return ErrClosed
	}
	return err
}

// Subscriber is the broker as Watermill's own tools see it: subscriptions by this name, one message at a time. Closing it closes
// the broker.
type Subscriber struct {
	broker *Broker
	name   string
}

var (
	_ message.Subscriber           = Subscriber{}
	_ message.SubscribeInitializer = Subscriber{}
)

// Subscriber gives the subscriber of this name.
func (b *Broker) Subscriber(name string) Subscriber { return Subscriber{b, name} }

// Subscribe gives the messages of the topic, one at a time.
func (s Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return s.broker.Subscribe(ctx, topic, s.name, 1)
}

// SubscribeInitialize declares the subscription's queue, so that messages wait in it.
func (s Subscriber) SubscribeInitialize(topic string) error {
	return s.broker.entering(context.Background(), func(ctx context.Context) error {
		session, err := s.broker.consuming.session(ctx)
		if err != nil {
			return err
		}
		ch, err := session.conn.Channel()
		if err != nil {
			return words("no channel", err)
		}
		defer ch.Close()
		_, err = s.broker.topology.declareSubscription(ch, ports.Subscription{Topic: topic, Name: s.name})
		return err
	})
}

// Close closes the broker.
func (s Subscriber) Close() error { return s.broker.Close() }
