package watermillbus

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Broker is what a Bus runs over: a publisher and subscriber of Watermill, with what ports.Bus asks for beyond those two
// interfaces. All methods may be called concurrently.
type Broker interface {
	// Publisher publishes in the order given and blocks while a subscriber's queue is full, or until the context of a
	// message ends. What is published to a topic that ends in ".dead" is kept as well, for Dead and Settle.
	message.Publisher
	// Subscribe gives the messages of the topic, in order, to the subscriber of this name, as ports.Subscription says. Up to
	// ahead of them are handed out before the first is acknowledged; when that is 1, one that gets a Nack is handed out
	// again after a pause, before all others. When it is more, nobody sends a Nack. The channel is closed when ctx ends.
	Subscribe(ctx context.Context, topic, name string, ahead int) (<-chan *message.Message, error)
	// Healthy is nil while messages can be published and delivered, else why not. It does not ask anybody.
	Healthy() error
	// Dead gives up to limit of what is kept of a topic that ends in ".dead", oldest first, and takes nothing away.
	Dead(ctx context.Context, topic string, limit int) ([]*message.Message, error)
	// Settle takes away the first kept message with this id once use has succeeded with it; false: there is none.
	Settle(ctx context.Context, topic, id string, use func(*message.Message) error) (bool, error)
}
