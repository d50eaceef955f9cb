// Package membus is a Watermill Pub/Sub inside one process: ordered, bounded, and at least once while the process lives.
// It knows topics and messages of Watermill alone; what they mean, retries and dead letters belong to watermillbus.
package membus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrClosed is returned by Publish and Subscribe after Close.
var ErrClosed = errors.New("membus: closed")

// Options tune a Bus; the zero value of each means its default.
type Options struct {
	Queue     int           // messages that wait in one subscription before Publish blocks; default 1024
	NackPause time.Duration // between a nack and the next delivery of the message; default one second
}

// Bus is a message.Publisher, and Subscriber makes it a message.Subscriber. Every subscription of a topic gets every message
// published to the topic after Subscribe returned, in the order of each publisher. All methods may be called concurrently.
type Bus struct {
	options Options

	mu            sync.RWMutex
	subscriptions map[string][]*subscription    // by topic; the slices are replaced, never changed, so Publish reads them unlocked
	kept          map[string][]*message.Message // by topic that ends in ".dead": messages that nobody has settled
	closed        chan struct{}
	running       sync.WaitGroup // the subscriptions' goroutines
}

var _ message.Publisher = (*Bus)(nil)

// New gives an open Bus. Close it to end its goroutines.
func New(o Options) *Bus {
	if o.Queue <= 0 {
		o.Queue = 1024
	}
	if o.NackPause <= 0 {
		o.NackPause = time.Second
	}
	return &Bus{options: o, subscriptions: map[string][]*subscription{}, kept: map[string][]*message.Message{}, closed: make(chan struct{})}
}

// Publish puts the messages into the queue of each subscription of the topic and blocks while one of them is full: until
// there is room, the subscription ends, the message's context ends (its error is returned) or the bus is closed. It holds no
// lock meanwhile. The messages must not be changed afterwards; subscribers get copies that share the payload.
func (b *Bus) Publish(topic string, messages ...*message.Message) error {
	if err := b.refused(); err != nil {
		return err
	}
	if strings.HasSuffix(topic, ".dead") {
		b.keep(topic, messages)
	}
	b.mu.RLock()
	subscriptions := b.subscriptions[topic]
	b.mu.RUnlock()
	for _, m := range messages {
		for _, s := range subscriptions {
			if err := b.enqueue(s, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bus) enqueue(s *subscription, m *message.Message) error {
	select {
	case s.queue <- m: // tried alone first: the usual case, and the cheapest form of select
		return nil
	default:
	}
	select {
	case s.queue <- m:
		return nil
	case <-s.ctx.Done():
		return b.refused()
	case <-m.Context().Done():
		return m.Context().Err()
	}
}

// Subscribe gives the messages of the topic. Names mean nothing here, since no message outlives the process. When ahead is 1
// the next one comes after the last one's Ack, and after a Nack the same one comes again when the pause is over; else they
// come as fast as they are taken. The channel is closed when ctx ends or the bus is closed, and what is queued is dropped.
func (b *Bus) Subscribe(ctx context.Context, topic, _ string, ahead int) (<-chan *message.Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refused(); err != nil {
		return nil, err
	}
	s := newSubscription(ctx, b.options, ahead)
	b.subscriptions[topic] = append(slices.Clip(b.subscriptions[topic]), s)
	b.running.Go(func() {
		defer b.remove(topic, s)
		s.run()
	})
	return s.out, nil
}

// Close ends all subscriptions and waits until their channels are closed. Closing twice is no error.
func (b *Bus) Close() error {
	b.mu.Lock()
	if b.refused() == nil {
		close(b.closed)
		for _, subscriptions := range b.subscriptions {
			for _, s := range subscriptions {
				s.end()
			}
		}
	}
	b.mu.Unlock()
	b.running.Wait()
	return nil
}

func (b *Bus) refused() error {
	select {
	case <-b.closed:
		return ErrClosed
	default:
		return nil
	}
}

func (b *Bus) remove(topic string, s *subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(b.subscriptions[topic]), func(other *subscription) bool { return other == s })
	if b.subscriptions[topic] = rest; len(rest) == 0 {
		delete(b.subscriptions, topic)
	}
}

// Healthy is nil until Close.
func (b *Bus) Healthy() error { return b.refused() }

// Subscriber is the bus as a message.Subscriber, one message at a time.
func (b *Bus) Subscriber() message.Subscriber { return subscriber{b} }

type subscriber struct{ bus *Bus }

func (s subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return s.bus.Subscribe(ctx, topic, "", 1)
}

func (s subscriber) Close() error { return s.bus.Close() }
