package ports

import (
	"context"

	"daybook/core/fault"
)

// Faults of a bus.
var (
	// ErrBusUnavailable: the messages may not have been taken; publish them again.
	ErrBusUnavailable = fault.New(fault.Unavailable, "bus_unavailable", "The bus cannot be reached right now.")
	// ErrBusClosed: the bus was closed.
	ErrBusClosed = fault.New(fault.Unavailable, "bus_closed", "The bus is closed.")
	// ErrNoDeadMessage: it was settled before, or never was.
	ErrNoDeadMessage = fault.New(fault.NotFound, "message_not_found", "There is no dead message with this id.")
)

// Headers that the bus gives to messages.
const (
	HeaderReason = "reason" // why a message is dead
	HeaderRetry  = "retry"  // "true": it was dead, and somebody wants it to be tried again
)

// Message is what crosses the bus. Headers and Body are shared: neither who published them nor who gets them may change them.
type Message struct {
	ID      string            // the same for every delivery of the message
	Headers map[string]string // small printable texts
	Body    []byte
}

// Handler takes one message. nil: done. A fault of kind Invalid, Denied, NotFound, Rejected or Conflict: it can never
// succeed, so the message goes to the dead letters. Any other error, or a panic: it is delivered again after a pause.
type Handler func(ctx context.Context, m Message) error

// Starter begins to handle a message and returns how to wait for the end of that, which is as a Handler's. A panic of
// either is an error that ends the handling.
type Starter func(ctx context.Context, m Message) (end func() error)

// Subscription says whose messages of which topic are meant. Within a process, names are used once per topic.
type Subscription struct {
	Topic string
	// Name is the subscriber's. On a bus that outlives the process, messages wait for a named subscriber while it is away,
	// and of several processes that subscribe by one name one at a time is served. "" is a subscriber of its own each time,
	// whose messages go with it.
	Name string
}

// Bus carries messages to those who subscribed before they were published; it may lose, repeat or, after a failure of the
// bus itself, reorder them, so nothing may depend on it for truth. All methods may be called concurrently.
type Bus interface {
	// Publish returns nil when the bus has taken all messages, in the order given. It blocks while a subscriber's queue
	// is full, and returns the context's error if that ends first. To publish where nobody subscribed is no error.
	Publish(ctx context.Context, topic string, messages ...Message) error
	// Subscribe calls h for each message of the topic published after it returns, one at a time and in order, until the
	// context ends or the bus is closed. A message whose handling fails blocks those behind it, of this subscription
	// only, until it succeeds or is dead. Dead messages are published to DeadLetters(topic) with the reason in the header
	// "reason". Several subscriptions of one topic, with different names or none, each get every message.
	Subscribe(ctx context.Context, s Subscription, h Handler) error
	// SubscribeAhead is Subscribe for handling that takes its time: messages are started one at a time and in order, up to
	// ahead of them before the first has ended. When one ends in an error that may pass, no more are started; once all that
	// were started have ended, that one and those behind it that did not succeed are started again after a pause, in order.
	SubscribeAhead(ctx context.Context, s Subscription, ahead int, start Starter) error
	// DeadMessages gives up to limit dead messages of the topic that nobody has settled yet, oldest first.
	DeadMessages(ctx context.Context, topic string, limit int) ([]Message, error)
	// Settle takes one of them away: with retry it is published to the topic again first, without the reason and with the
	// header "retry". The first with this id is meant, and given as DeadMessages gives it; ErrNoDeadMessage: there is none.
	Settle(ctx context.Context, topic, id string, retry bool) (Message, error)
	// Healthy is nil while messages can be published and delivered, else ErrBusUnavailable or ErrBusClosed with the cause. It
	// answers at once from what it knows.
	Healthy() error
	// Close ends all subscriptions, waits for handlers that run, and makes later calls fail with ErrBusClosed. Closing
	// twice is no error.
	Close() error
}

// DeadLetters is the topic of the messages of topic that could not be handled.
func DeadLetters(topic string) string { return topic + ".dead" }

// Dead reports whether a message whose handling ended in err can never succeed.
func Dead(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Denied, fault.NotFound, fault.Rejected, fault.Conflict:
		return true
	}
	return false
}
