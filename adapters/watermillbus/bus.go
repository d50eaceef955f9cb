// Package watermillbus is ports.Bus over publishers and subscribers of Watermill: one router with its middleware handles
// what was subscribed to. It knows no broker by name; a new one is another Broker given to New.
package watermillbus

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"daybook/core/ports"
)

// Options tune a Bus; the zero value of each means its default.
type Options struct {
	Retries    int           // of a message whose handling failed, before it is given back to the subscriber; default 3
	FirstRetry time.Duration // about the pause before the first retry; it grows from one to the next; default 100 ms
	LastRetry  time.Duration // the longest pause between two retries; default 2 s
	Log        *slog.Logger  // gets failures of handlers and dead letters as warnings; default none
}

// Bus is a ports.Bus. What is published must not be changed afterwards, and handlers must not change a message's body.
type Bus struct {
	broker Broker
	log    *slog.Logger
	router *message.Router

	nothing chan *message.Message // see keepRouting
	ctx     context.Context       // ends when Close begins, and every subscription's context with it
	end     context.CancelFunc

	firstRetry, lastRetry time.Duration

	mu      sync.RWMutex // lets nothing be entered once Close has begun
	closed  bool
	entered sync.WaitGroup // handlers and Subscribe calls that run
	closing sync.Once

	routing sync.WaitGroup // the router's goroutine
	names   atomic.Int64   // handlers named so far
}

var _ ports.Bus = (*Bus)(nil)

// New gives an open Bus over the broker, which it closes when it is closed itself.
func New(broker Broker, o Options) (*Bus, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Retries = cmp.Or(o.Retries, 3)
	o.FirstRetry = cmp.Or(o.FirstRetry, 100*time.Millisecond)
	o.LastRetry = cmp.Or(o.LastRetry, 2*time.Second)
	// Close promises to wait for handlers, so the router must not give up before they are done.
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 1<<63 - 1}, logger{o.Log})
	if err != nil {
		return nil, ports.ErrBusUnavailable.Because(err)
	}
	middlewares, err := chain(broker, o)
	if err != nil {
		return nil, ports.ErrBusUnavailable.Because(err)
	}
	router.AddMiddleware(middlewares...)
	b := &Bus{broker: broker, log: o.Log, router: router, nothing: make(chan *message.Message), firstRetry: o.FirstRetry, lastRetry: o.LastRetry}
	b.ctx, b.end = context.WithCancel(context.Background())
	b.keepRouting()
	failed := make(chan error, 1)
	b.routing.Go(func() { failed <- router.Run(b.ctx) })
	select {
	case <-router.Running():
		return b, nil
	case err := <-failed:
		b.end()
		close(b.nothing)
		return nil, ports.ErrBusUnavailable.Because(err)
	}
}

// keepRouting adds a handler that gets nothing, until nothing is closed: a router closes itself when its last handler has stopped, and
// panics when one is added meanwhile. So that handler lasts until nobody can subscribe any more.
func (b *Bus) keepRouting() {
	b.router.AddConsumerHandler("nothing", "", opened(b.nothing), func(*message.Message) error { return nil })
}

// Publish hands the messages to the publisher, with ctx as their context. A message without ID gets one. One that is
// published with a handler's context gets the header "correlation_id" of the message handled, unless it has its own.
func (b *Bus) Publish(ctx context.Context, topic string, messages ...ports.Message) error {
	if err := b.refused(ctx); err != nil {
		return err
	}
	out := make([]*message.Message, len(messages))
	for i, m := range messages {
		out[i] = &message.Message{UUID: m.ID, Metadata: correlated(ctx, m.Headers), Payload: m.Body}
		if m.ID == "" {
			out[i].UUID = watermill.NewUUID()
		}
		out[i].SetContext(ctx)
	}
	return b.fault(ctx, b.broker.Publish(topic, out...))
}

// Subscribe opens the subscription and then gives it to the router: a router that fails to subscribe keeps the handler and
// can never be closed.
func (b *Bus) Subscribe(ctx context.Context, s ports.Subscription, h ports.Handler) error {
	ctx, cancel, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer b.entered.Done()
	messages, err := b.broker.Subscribe(ctx, s.Topic, s.Name, 1)
	if err != nil {
		defer cancel()
		return b.fault(ctx, err)
	}
	b.router.AddConsumerHandler(s.Name+" "+strconv.FormatInt(b.names.Add(1), 10), s.Topic, opened(messages), b.handling(h))
	return b.fault(ctx, b.router.RunHandlers(b.ctx))
}

// begin enters the bus with a context that ends with ctx or the bus. The caller must call entered.Done unless it gives an
// error.
func (b *Bus) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := b.refused(ctx); err != nil {
		return nil, nil, err
	}
	if !b.enter() {
		return nil, nil, ports.ErrBusClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	forget := context.AfterFunc(b.ctx, cancel)
	context.AfterFunc(ctx, func() { forget() })
	return ctx, cancel, nil
}

// handling calls h, unless its subscription or the bus has ended since the message was sent.
func (b *Bus) handling(h ports.Handler) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		ctx := m.Context()
		if err := ctx.Err(); err != nil {
			return err
		}
		if !b.enter() {
			return context.Canceled
		}
		defer b.entered.Done()
		return h(ctx, ports.Message{ID: m.UUID, Headers: m.Metadata, Body: m.Payload})
	}
}

// Healthy asks the broker's adapter.
func (b *Bus) Healthy() error { return b.fault(context.Background(), b.broker.Healthy()) }

// Close ends the contexts of handlers that run before it waits for them. A handler must not call it.
func (b *Bus) Close() (err error) {
	b.closing.Do(func() {
		b.mu.Lock()
		b.closed = true
		b.mu.Unlock()
		b.end()
		b.entered.Wait()
		close(b.nothing)
		err = errors.Join(b.router.Close(), b.broker.Close())
		b.routing.Wait()
	})
	if err != nil {
		return ports.ErrBusUnavailable.Because(err)
	}
	return nil
}

// enter reports whether the bus is open; then the caller must call entered.Done, and Close waits for that.
func (b *Bus) enter() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.closed {
		b.entered.Add(1)
	}
	return !b.closed
}

// refused is why nothing can begin.
func (b *Bus) refused(ctx context.Context) error {
	if b.ctx.Err() != nil {
		return ports.ErrBusClosed
	}
	return ctx.Err()
}

// fault is an error of Watermill's side as the port promises it.
func (b *Bus) fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if refused := b.refused(ctx); refused != nil {
		return refused
	}
	return ports.ErrBusUnavailable.Because(err)
}

// opened is a subscription that exists already, in the form the router takes. It ends with its own context.
type opened <-chan *message.Message

// Subscribe gives the channel.
func (o opened) Subscribe(context.Context, string) (<-chan *message.Message, error) { return o, nil }

// Close does nothing: the router calls it for every handler when the bus closes.
func (opened) Close() error { return nil }
