package rabbitbus

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// window is what a subscription has in hand of one consumer: what is handed out and not acked, in order, and what comes next.
type window struct {
	*subscription
	*consumer
	valid      context.Context // ends when the deliveries are void
	invalidate context.CancelFunc

	out   []handed        // not acked, or not the first that is not
	next  *handed         // to be handed out
	again []amqp.Delivery // to be handed out before others, after a nack

	acked    int // acks that are not sent
	ackedTag uint64
	sendAcks *time.Timer
}

// handed is one delivery and the message made of it.
type handed struct {
	delivery amqp.Delivery
	*message.Message
	done context.CancelFunc // ends the message's context
}

func newWindow(s *subscription, c *consumer) *window {
	w := &window{subscription: s, consumer: c, sendAcks: time.NewTimer(time.Hour)}
	w.sendAcks.Stop()
	w.valid, w.invalidate = context.WithCancel(s.ctx)
	return w
}

// take makes the delivery the next to be handed out. Every time it is a new message, so that what a subscriber does to it is not
// seen by the next delivery.
func (w *window) take(d amqp.Delivery) {
	m := fromAMQP(&d)
	ctx, done := context.WithCancel(w.valid)
	m.SetContext(ctx)
	w.next = &handed{d, m, done}
}

// serve hands out messages until the subscription ends or the consumer is gone.
func (w *window) serve() {
	for {
		if w.next == nil && len(w.again) > 0 {
			w.take(w.again[0])
			w.again = w.again[1:]
		}
		var in <-chan amqp.Delivery
		var out chan<- *message.Message
		var next *message.Message
		switch {
		case w.next == nil:
			in = w.deliveries
		case len(w.out) < w.ahead:
			out, next = w.subscription.out, w.next.Message
		}
		var acked, nacked <-chan struct{}
		if len(w.out) > 0 {
			acked, nacked = w.out[0].Acked(), w.out[0].Nacked()
		}
		select {
		case d, open := <-in:
			if !open {
				return
			}
			w.take(d)
		case out <- next:
			w.out = append(w.out, *w.next)
			w.next = nil
		case <-acked:
			w.ack()
		case <-nacked:
			if !w.repeat() {
				return
			}
		case <-w.sendAcks.C:
			w.flush()
		case <-w.gone:
			return
		case <-w.valid.Done():
			return
		}
	}
}

// ack takes note of the first messages that are acked. The acks of several are sent as one.
func (w *window) ack() {
	for len(w.out) > 0 && isClosed(w.out[0].Acked()) {
		w.out[0].done()
		w.ackedTag = w.out[0].delivery.DeliveryTag
		w.acked++
		w.out = w.out[1:]
	}
	switch {
	case w.acked >= max(1, w.prefetch()/4):
		w.flush()
	case w.acked == 1:
		w.sendAcks.Reset(ackPause)
	}
}

// flush sends the acks noted so far. If it fails the connection is lost, which is noticed elsewhere.
func (w *window) flush() {
	w.sendAcks.Stop()
	if w.acked > 0 {
		w.ch.Ack(w.ackedTag, true) //nolint:errcheck // see above
		w.acked = 0
	}
}

// repeat prepares to hand out again what was not acked, and reports false if the subscription or the consumer ended first.
func (w *window) repeat() bool {
	for _, h := range w.out {
		select {
		case <-h.Acked():
		case <-h.Nacked():
		case <-w.gone:
			return false
		case <-w.valid.Done():
			return false
		}
	}
	w.flush()
	failed := w.ackSingly()
	if w.next != nil {
		failed = append(failed, w.next.delivery)
		w.next.done()
	}
	w.again, w.next, w.out = append(failed, w.again...), nil, nil
	pause := time.NewTimer(w.broker.options.NackPause)
	defer pause.Stop()
	select {
	case <-pause.C:
		return true
	case <-w.gone:
	case <-w.valid.Done():
	}
	return false
}

// ackSingly acks what is acked behind others that are not, and gives those.
func (w *window) ackSingly() (rest []amqp.Delivery) {
	for _, h := range w.out {
		h.done()
		if isClosed(h.Acked()) {
			w.ch.Ack(h.delivery.DeliveryTag, false) //nolint:errcheck // as for flush
		} else {
			rest = append(rest, h.delivery)
		}
	}
	return rest
}

// finish ends a subscription: what is out gets a moment to be acked, and what is not goes back to the queue.
func (w *window) finish() {
	defer w.ch.Close()
	defer w.flush()
	limit := time.NewTimer(grace)
	defer limit.Stop()
	for _, h := range w.out {
		select {
		case <-h.Acked():
		case <-h.Nacked():
		case <-w.gone:
			return
		case <-limit.C:
			w.ackSingly()
			return
		}
	}
	w.ackSingly()
}

// abandon ends the contexts of what is out, as its deliveries are void, and waits for it: it will come again, and one message is
// not handled twice at once.
func (w *window) abandon() {
	w.invalidate()
	w.sendAcks.Stop()
	w.ch.Close() //nolint:errcheck // it is gone
	for _, h := range w.out {
		select {
		case <-h.Acked():
		case <-h.Nacked():
		case <-w.ctx.Done():
			return
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
