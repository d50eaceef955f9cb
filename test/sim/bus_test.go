package sim

import (
	"context"
	"fmt"
	"slices"

	"daybook/core/ports"
)

// bus carries messages to subscribers in any order, loses some and repeats some.
type bus struct {
	*world

	taken         []string        // the ids of all messages, as they were published
	told          map[string]bool // those of which the publisher was told that they were taken
	subscriptions []*subscription
}

type subscription struct {
	ctx     context.Context
	topic   string
	waiting []ports.Message
}

// link is the bus as one process reaches it.
type link struct {
	*bus
	*process
}

var _ ports.Bus = (*link)(nil)

// Publish may take the messages, or the first of them, and say that it has not.
func (l *link) Publish(ctx context.Context, topic string, messages ...ports.Message) error {
	w := l.bus.world
	c := &call{from: l.process, kind: changes, what: fmt.Sprintf("publish %s to %s", messages[0].ID, messages[len(messages)-1].ID)}
	c.act = func() error {
		for _, m := range messages {
			l.take(topic, m)
		}
		return nil
	}
	f, err := w.await(ctx, c)
	switch {
	case err != nil:
		return err
	case f == refused:
		for _, m := range messages[:w.random.IntN(len(messages))] {
			l.take(topic, m)
		}
		return ports.ErrBusUnavailable
	case f == dead:
		return ports.ErrBusClosed
	}
	_ = c.act()
	if f == silent {
		return ports.ErrBusUnavailable
	}
	for _, m := range messages {
		l.told[m.ID] = true
	}
	return nil
}

// take puts a message into the queues of subscribers, or does not.
func (b *bus) take(topic string, m ports.Message) {
	b.taken = append(b.taken, m.ID)
	for _, s := range b.subscriptions {
		if s.topic != topic || b.storm && b.random.Float64() < b.luck.lost {
			continue
		}
		s.waiting = append(s.waiting, m)
		if b.storm && b.random.Float64() < b.luck.repeated {
			s.waiting = append(s.waiting, m)
		}
	}
}

// Subscribe delivers from a goroutine of its own.
func (l *link) Subscribe(ctx context.Context, on ports.Subscription, h ports.Handler) error {
	w := l.bus.world
	s := &subscription{topic: on.Topic}
	return w.port(ctx, &call{from: l.process, kind: reads, what: "subscribe to " + on.Topic, act: func() error {
		s.ctx = as(ctx, "bus")
		l.subscriptions = append(l.subscriptions, s)
		l.life.running.Go(func() { l.deliver(s, h) })
		return nil
	}}, ports.ErrBusUnavailable)
}

// deliver hands a subscriber its messages, one at a time and in any order, until its context ends.
func (l *link) deliver(s *subscription, h ports.Handler) {
	w := l.bus.world
	for s.ctx.Err() == nil {
		c := &call{from: l.process, kind: local, what: "deliver", ready: func() bool { return len(s.waiting) > 0 }}
		if f, err := w.await(s.ctx, c); err != nil || f == dead {
			break
		}
		i := w.random.IntN(len(s.waiting))
		m := s.waiting[i]
		s.waiting = slices.Delete(s.waiting, i, i+1)
		if err := h(s.ctx, m); err != nil && !ports.Dead(err) && s.ctx.Err() == nil {
			s.waiting = append(s.waiting, m)
		}
	}
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	l.subscriptions = slices.DeleteFunc(l.subscriptions, func(other *subscription) bool { return other == s })
}

// SubscribeAhead, and what follows, is not what the engine uses.
func (l *link) SubscribeAhead(context.Context, ports.Subscription, int, ports.Starter) error {
	return ports.ErrBusClosed
}

// DeadMessages implements ports.Bus.
func (l *link) DeadMessages(context.Context, string, int) ([]ports.Message, error) { return nil, nil }

// Settle implements ports.Bus.
func (l *link) Settle(context.Context, string, string, bool) (ports.Message, error) {
	return ports.Message{}, ports.ErrNoDeadMessage
}

// Healthy implements ports.Bus.
func (l *link) Healthy() error { return nil }

// Close implements ports.Bus.
func (l *link) Close() error { return nil }
