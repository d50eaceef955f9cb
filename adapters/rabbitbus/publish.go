package rabbitbus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// attempts is how often the same message is published without success before Publish gives up.
const attempts = 8

var (
	errRefused    = errors.New("rabbitbus: the broker refused to take the message")
	errUnroutable = errors.New("rabbitbus: the message reached no queue, although its topic has one")
)

// Publish returns nil when the broker has confirmed all messages, in their order. When the connection is lost meanwhile, it waits
// for the next one and publishes again what was not confirmed. It ends with the first message's context, whose error it
// returns; some messages may have been taken then. A message for a queue of somebody else that is not there is dropped.
func (b *Broker) Publish(topic string, messages ...*message.Message) error {
	if !b.enter() {
		return ErrClosed
	}
	defer b.entered.Done()
	if len(messages) == 0 {
		return nil
	}
	batch, err := b.topology.batch(topic, messages)
	if err != nil {
		return err
	}
	ctx, cancel := b.within(messages[0].Context())
	defer cancel()
	for failures := 0; ; failures++ {
		before := len(batch.items)
		err := b.attempt(ctx, batch)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return b.ended(errors.Join(context.Cause(ctx), err))
		case len(batch.items) < before:
			failures = 0
		case failures >= attempts, hopeless(err):
			return b.ended(err)
		}
		rest(ctx, backoff(failures))
	}
}

// attempt publishes the batch over the present connection and leaves in it what was not confirmed.
func (b *Broker) attempt(ctx context.Context, batch *batch) error {
	s, err := b.publishing.session(ctx)
	if err != nil {
		return err
	}
	flight := &flight{batch: *batch, ctx: ctx, result: make(chan error, 1)}
	err = flight.over(s, b.options.Patience)
	confirmed := flight.confirmed.Load()
	batch.items = batch.items[confirmed:]
	if len(batch.items) == 0 {
		return nil
	}
	return err
}

// batch is what one Publish sends.
type batch struct {
	topic string
	ours  bool // the topic is an exchange
	kept  bool // a message that reaches no queue is an error
	items []item
}

// item is one message with where it goes.
type item struct {
	exchange, key string
	mandatory     bool
	publishing    amqp.Publishing
}

// flight is a batch, or the rest of one, on its way over one session.
type flight struct {
	batch
	ctx       context.Context // ends when nobody waits any more
	confirmed atomic.Int64    // of the first messages
	failed    atomic.Bool
	result    chan error // gets one value: nil when all are confirmed
}

// over hands the flight to the session's outbox and waits for its end. Without a deadline it gives up when nothing has been
// confirmed for as long as its patience.
func (f *flight) over(s *session, patience time.Duration) error {
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	f.ctx = ctx
	var tick <-chan time.Time
	if _, limited := ctx.Deadline(); !limited {
		ticker := time.NewTicker(patience)
		defer ticker.Stop()
		tick = ticker.C
	}
	flights := s.outbox.flights
	for seen := int64(-1); ; {
		select {
		case flights <- f:
			flights = nil
		case err := <-f.result:
			return err
		case <-s.done:
			return s.err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
			now := f.confirmed.Load()
			if now == seen {
				return fmt.Errorf("rabbitbus: the broker has confirmed nothing for %s", patience)
			}
			seen = now
		}
	}
}

// end says how the flight ended; only the first time counts.
func (f *flight) end(err error) {
	if !f.failed.Swap(true) {
		f.result <- err
	}
}

// outbox publishes over one session. One goroutine sends, one takes the confirmations in the order of sending.
type outbox struct {
	session  *session
	topology *topology
	ch       *amqp.Channel
	returns  chan amqp.Return
	closed   chan *amqp.Error
	flights  chan *flight
	window   chan sent // what is sent and not confirmed; full, it holds up the sender
	declared map[string]bool
	undo     chan string // topics to be declared again
	dropped  func(item, amqp.Return)
}

// sent is a message that awaits its confirmation.
type sent struct {
	flight  *flight
	n       int // in the flight's items
	confirm *amqp.DeferredConfirmation
}

// startOutbox declares the topology and lets the session publish.
func (b *Broker) startOutbox(s *session) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return words("no channel", err)
	}
	if err := b.topology.start(ch); err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return words("the broker does not confirm", err)
	}
	o := &outbox{
		session: s, topology: &b.topology, ch: ch, flights: make(chan *flight), declared: map[string]bool{},
		// As many can be returned as are on their way, and one more is with either goroutine: the connection never waits for us.
		returns: ch.NotifyReturn(make(chan amqp.Return, b.options.Window+2)),
		closed:  ch.NotifyClose(make(chan *amqp.Error, 1)),
		window:  make(chan sent, b.options.Window),
		undo:    make(chan string, 1),
		dropped: func(i item, r amqp.Return) {
			b.options.Log.Warn("a message was dropped: its queue is not there", "queue", i.key, "message", i.publishing.MessageId, "reason", r.ReplyText)
		},
	}
	s.outbox = o
	b.publishing.running.Go(o.send)
	b.publishing.running.Go(o.confirm)
	return nil
}

// send publishes flights one after another until the session is over.
func (o *outbox) send() {
	for {
		select {
		case f := <-o.flights:
			if err := o.sendFlight(f); err != nil {
				f.end(err)
			}
		case topic := <-o.undo:
			delete(o.declared, topic)
		case err := <-o.closed: // the channel alone, such as when an exchange was deleted
			if err == nil {
				err = amqp.ErrClosed
			}
			o.session.lose(words("the channel was closed", err))
			return
		case <-o.session.done:
			return
		}
	}
}

func (o *outbox) sendFlight(f *flight) error {
	if err := o.declare(f); err != nil {
		return err
	}
	for n := range f.items {
		if f.failed.Load() || f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		i := &f.items[n]
		confirm, err := o.ch.PublishWithDeferredConfirm(i.exchange, i.key, i.mandatory, false, i.publishing)
		if err != nil {
			return words("cannot publish", err)
		}
		// gofail: var afterPublishBeforeConfirm struct{}
		select {
		case o.window <- sent{f, n, confirm}:
		case <-o.session.done:
			return o.session.err
		}
	}
	return nil
}

// declare makes sure that the flight's exchange is there, once per session: to publish to one that is not ends the channel.
func (o *outbox) declare(f *flight) error {
	if !f.ours || o.declared[f.topic] {
		return nil
	}
	ch, err := o.session.conn.Channel() // a refusal closes it
	if err != nil {
		return words("no channel", err)
	}
	defer ch.Close()
	if err := o.topology.declareTopic(ch, f.topic); err != nil {
		return err
	}
	o.declared[f.topic] = true
	return nil
}

// confirm settles what was sent, in order, until the session is over.
func (o *outbox) confirm() {
	var returned []amqp.Return // not yet matched, in the order of sending
	for {
		select {
		case s := <-o.window:
			select {
			case <-s.confirm.Done():
			case <-o.session.done:
				return
			}
			returned = o.returnedSoFar(returned) // a return comes before its confirmation
			if i := &s.flight.items[s.n]; len(returned) > 0 && i.is(&returned[0]) {
				o.unroutable(s, i, returned[0])
				returned = returned[1:]
			}
			o.settle(s)
		case <-o.session.done:
			return
		}
	}
}

func (o *outbox) returnedSoFar(returned []amqp.Return) []amqp.Return {
	for {
		select {
		case r, open := <-o.returns:
			if !open {
				return returned
			}
			returned = append(returned, r)
		default:
			return returned
		}
	}
}

func (i *item) is(r *amqp.Return) bool {
	return i.mandatory && i.publishing.MessageId == r.MessageId && i.exchange == r.Exchange && i.key == r.RoutingKey
}

// unroutable fails the flight if its topic has a queue, which must have been deleted, and lets the topic be declared again.
func (o *outbox) unroutable(s sent, i *item, r amqp.Return) {
	if !s.flight.kept {
		o.dropped(*i, r)
		return
	}
	select {
	case o.undo <- s.flight.topic:
	default:
	}
	s.flight.end(errUnroutable)
}

func (o *outbox) settle(s sent) {
	f := s.flight
	switch {
	case f.failed.Load():
	case !s.confirm.Acked():
		f.end(errRefused)
	default:
		if f.confirmed.Add(1) == int64(len(f.items)) {
			f.end(nil)
		}
	}
}
