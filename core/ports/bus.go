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

// Bus carries messages to those who subscribed before they were published; it may lose, repeat or, after a failure of the
// bus itself, reorder them, so nothing may depend on it for truth. All methods may be called concurrently.
type Bus interface {
	// Publish returns nil when the bus has taken all messages, in the order given. It blocks while a subscriber's queue
	// is full, and returns the context's error if that ends first. To publish where nobody subscribed is no error.
	Publish(ctx context.Context, topic string, messages ...Message) error
	// Subscribe calls h for each message of the topic published after it returns, one at a time and in order, until the
	// context ends or the bus is closed. A message whose handling fails blocks those behind it, of this subscription
	// only, until it succeeds or is dead. Dead messages are published to DeadLetters(topic) with the reason in the header
	// "reason". Several subscriptions of one topic each get every message.
	Subscribe(ctx context.Context, topic, subscriber string, h Handler) error
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
