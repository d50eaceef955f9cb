package membus

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// subscription is one subscriber's queue and the goroutine that serves it.
type subscription struct {
	ctx   context.Context // ends with the subscriber's context, or when the bus is closed
	end   context.CancelFunc
	queue chan *message.Message
	out   chan *message.Message // unbuffered: a message is taken from the queue only when it can be handed out
	ahead bool                  // messages are handed out before those before them are done
	pause time.Duration
}

func newSubscription(ctx context.Context, o Options, ahead int) *subscription {
	ctx, end := context.WithCancel(ctx)
	return &subscription{
		ctx: ctx, end: end,
		queue: make(chan *message.Message, o.Queue),
		out:   make(chan *message.Message),
		ahead: ahead > 1,
		pause: o.NackPause,
	}
}

// run delivers until the subscription ends.
func (s *subscription) run() {
	defer close(s.out)
	defer s.end()
	for {
		select {
		case m := <-s.queue:
			if s.ahead {
				s.hand(m)
				continue
			}
			for !s.deliver(m) {
				if !s.rest() {
					return
				}
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// deliver hands out a copy of m, so that what a subscriber does to it is not seen by others nor by the next delivery, and
// reports whether it was acknowledged. The copy's context ends with the delivery.
func (s *subscription) deliver(m *message.Message) bool {
	ctx, done := context.WithCancel(s.ctx)
	defer done()
	m = m.Copy()
	m.SetContext(ctx)
	select {
	case s.out <- m:
	case <-ctx.Done():
		return false
	}
	select {
	case <-m.Acked():
		return true
	case <-m.Nacked():
	case <-ctx.Done():
	}
	return false
}

// hand gives out a copy of m and does not wait for what becomes of it.
func (s *subscription) hand(m *message.Message) {
	m = m.Copy()
	m.SetContext(s.ctx)
	select {
	case s.out <- m:
	case <-s.ctx.Done():
	}
}

// rest lets the pause after a nack pass, and reports whether the subscription goes on.
func (s *subscription) rest() bool {
	timer := time.NewTimer(s.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}
