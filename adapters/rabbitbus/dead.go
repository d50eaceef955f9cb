package rabbitbus

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// errEnough ends a look at dead messages.
var errEnough = errors.New("enough")

// Dead gives up to limit messages of a topic that ends in ".dead", oldest first, and leaves them where they are. While it looks at them nobody
// else sees them.
func (b *Broker) Dead(ctx context.Context, topic string, limit int) ([]*message.Message, error) {
	var found []*message.Message
	if limit <= 0 {
		return nil, ctx.Err()
	}
	err := b.lookAt(ctx, topic, func(d *amqp.Delivery) error {
		found = append(found, fromAMQP(d))
		if len(found) == limit {
			return errEnough
		}
		return nil
	})
	return found, err
}

// Settle calls use with the first message kept in a topic that ends in ".dead" that has this id, and takes it away if that succeeds. It reports
// whether there was one. Every message before it is read; those after it are not.
func (b *Broker) Settle(ctx context.Context, topic, id string, use func(*message.Message) error) (bool, error) {
	found := false
	err := b.lookAt(ctx, topic, func(d *amqp.Delivery) error {
		m := fromAMQP(d)
		if m.UUID != id {
			return nil
		}
		found = true
		m.SetContext(ctx)
		if err := use(m); err != nil {
			return err
		}
		if err := d.Ack(false); err != nil {
			return words("the dead message could not be taken away", err)
		}
		return errEnough
	})
	return found, err
}

// lookAt calls see for each message kept in the topic until it returns an error; errEnough is none. What see did not ack goes
// back to where it was.
func (b *Broker) lookAt(ctx context.Context, topic string, see func(*amqp.Delivery) error) error {
	b.deadMu.Lock()
	defer b.deadMu.Unlock()
	return b.onChannel(ctx, func(ch *amqp.Channel) error {
		if err := b.topology.declareTopic(ch, topic); err != nil {
			return err
		}
		for ctx.Err() == nil {
			d, ok, err := ch.Get(topic, false)
			if err != nil {
				return words("the dead messages in "+topic+" cannot be read", err)
			}
			if !ok {
				return nil
			}
			switch err := see(&d); {
			case errors.Is(err, errEnough):
				return nil
			case err != nil:
				return err
			}
		}
		return ctx.Err()
	})
}
