package watermillbus

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"daybook/core/ports"
)

// SubscribeAhead goes past the router, which knows of no order between messages that are handled at once.
func (b *Bus) SubscribeAhead(ctx context.Context, s ports.Subscription, ahead int, start ports.Starter) error {
	ctx, cancel, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer b.entered.Done()
	messages, err := b.broker.Subscribe(ctx, s.Topic, s.Name, ahead)
	if err != nil {
		defer cancel()
		return b.fault(ctx, err)
	}
	b.entered.Add(1) // one is held here, so Close has not begun to wait
	go func() {
		defer b.entered.Done()
		defer cancel()
		p := pipeline{bus: b, topic: s.Topic, messages: messages, start: start, slots: make(chan struct{}, ahead)}
		p.run(ctx)
	}()
	return nil
}

// pipeline starts messages in order and ends them in order, several at a time.
type pipeline struct {
	bus      *Bus
	topic    string
	messages <-chan *message.Message
	start    ports.Starter
	slots    chan struct{} // holds a token for each message that was started and has not ended
}

// started is a message on its way.
type started struct {
	m   *message.Message
	end func() error
}

func (p *pipeline) run(ctx context.Context) {
	var again []*message.Message
	for wait := p.bus.firstRetry; ctx.Err() == nil; {
		before := len(again)
		again = p.round(ctx, again)
		if len(again) == 0 {
			return // the subscription has ended
		}
		if before == 0 || len(again) != before { // something went well, so the failures are not in a row
			wait = p.bus.firstRetry
		}
		if !rest(ctx, wait) {
			return
		}
		wait = min(2*wait, p.bus.lastRetry)
	}
}

// round starts the messages of first and then new ones until one fails or the subscription ends, waits for all it started,
// and gives those to be started again.
func (p *pipeline) round(ctx context.Context, first []*message.Message) (again []*message.Message) {
	failed := make(chan struct{})
	onWay := make(chan started, cap(p.slots))
	var ends sync.WaitGroup
	ends.Go(func() {
		for s := range onWay {
			if !p.ended(ctx, s) {
				if again = append(again, s.m); len(again) == 1 {
					close(failed)
				}
			}
			<-p.slots
		}
	})
	for {
		m, rest := p.next(ctx, first, failed)
		if m == nil {
			close(onWay)
			ends.Wait()
			return append(again, rest...)
		}
		first = rest
		onWay <- p.begin(m)
	}
}

// next gives the message to be started next and what is left of first; nil when the round is over.
func (p *pipeline) next(ctx context.Context, first []*message.Message, failed <-chan struct{}) (*message.Message, []*message.Message) {
	select {
	case p.slots <- struct{}{}:
	case <-failed:
		return nil, first
	case <-ctx.Done():
		return nil, first
	}
	select {
	case <-failed: // it comes before anything else that is ready
		<-p.slots
		return nil, first
	default:
	}
	if len(first) > 0 {
		return first[0], first[1:]
	}
	select {
	case m, ok := <-p.messages:
		if ok {
			return m, nil
		}
	case <-failed:
	case <-ctx.Done():
	}
	<-p.slots
	return nil, nil
}

// begin calls start and turns its panic into an error of the message.
func (p *pipeline) begin(m *message.Message) (s started) {
	defer func() {
		if r := recover(); r != nil {
			err := fmt.Errorf("the handler panicked: %v\n%s", r, debug.Stack())
			s = started{m, func() error { return err }}
		}
	}()
	return started{m, p.start(withCorrelation(m), ports.Message{ID: m.UUID, Headers: m.Metadata, Body: m.Payload})}
}

// ended waits for the end of a message and reports whether it is done with: handled, or dead and buried.
func (p *pipeline) ended(ctx context.Context, s started) bool {
	err := p.end(s)
	switch {
	case err == nil:
	case ports.Dead(err):
		err = p.bus.bury(p.topic, s.m, err)
	}
	if err == nil {
		s.m.Ack()
		return true
	}
	if ctx.Err() == nil {
		p.bus.log.Warn("a message could not be handled and will be tried again", "topic", p.topic, "message", s.m.UUID, "error", err)
	}
	return false
}

func (p *pipeline) end(s started) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", r, debug.Stack())
		}
	}()
	return s.end()
}

// rest waits for d or until ctx ends, and reports whether there is a reason to go on.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
