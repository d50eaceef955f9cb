package rabbitbus

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Dead gives up to limit messages of a topic that ends in ".dead", oldest first, and leaves them where they are. While it looks
// at them other processes do not see them.
func (b *Broker) Dead(ctx context.Context, topic string, limit int) ([]*message.Message, error) {
	var found []*message.Message
	see := func(d *amqp.Delivery) {
		if len(found) < limit {
			found = append(found, fromAMQP(d))
		}
	}
	err := b.lookAt(ctx, topic, see, func() (taken uint64, _ error) { return 0, nil })
	return found, err
}

// Settle calls use with the first message kept in a topic that ends in ".dead" that has this id, and takes it away if that
// succeeds. It reports whether there was one.
func (b *Broker) Settle(ctx context.Context, topic, id string, use func(*message.Message) error) (bool, error) {
	var found *message.Message
	var tag uint64
	see := func(d *amqp.Delivery) {
		if m := fromAMQP(d); found == nil && m.UUID == id {
			found, tag = m, d.DeliveryTag
		}
	}
	err := b.lookAt(ctx, topic, see, func() (taken uint64, _ error) {
		if found == nil {
			return 0, nil
		}
		found.SetContext(ctx)
		return tag, use(found)
	})
	return found != nil, err
}

// lookAt calls see for all messages kept in the topic, then end, and takes away the one that end gives the tag of. It reads all of
// them each time, as a quorum queue puts what it is given back behind all else that was ever given back: only what is given back
// altogether keeps its order.
func (b *Broker) lookAt(ctx context.Context, topic string, see func(*amqp.Delivery), end func() (taken uint64, _ error)) error {
	b.deadMu.Lock()
	defer b.deadMu.Unlock()
	return b.entering(ctx, func(ctx context.Context) error {
		ch, err := b.deadChannel(ctx)
		if err != nil {
			return err
		}
		if err := b.topology.declareTopic(ch, topic); err != nil {
			return err
		}
		last, count := uint64(0), 0
		for ctx.Err() == nil {
			d, more, err := ch.Get(topic, false)
			if err != nil {
				return words("the messages in "+topic+" cannot be read", err)
			}
			if !more {
				break
			}
			last, count = d.DeliveryTag, count+1
			see(&d)
		}
		if err = ctx.Err(); err == nil {
			var taken uint64
			if taken, err = end(); taken > 0 && err == nil {
				err = ch.Ack(taken, false)
				if count--; taken == last {
					last--
				}
			}
		}
		if count > 0 {
			err = errors.Join(err, giveBack(ch, topic, last, count))
		}
		return err
	})
}

// giveBack puts the messages up to the tag back to where they were and waits until the queue has so many more, but not for long:
// it takes them back a moment after it was told, and who looks meanwhile would not see them.
func giveBack(ch *amqp.Channel, queue string, tag uint64, kept int) error {
	before, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err := errors.Join(err, ch.Nack(tag, true, true)); err != nil {
		return err
	}
	for limit := time.Now().Add(grace); time.Now().Before(limit); {
		now, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err != nil || now.Messages >= before.Messages+kept {
			return err
		}
	}
	return nil
}

// deadChannel is the channel all dead messages are looked at through while the connection lasts.
func (b *Broker) deadChannel(ctx context.Context) (*amqp.Channel, error) {
	if b.looking != nil && !b.looking.IsClosed() {
		return b.looking, nil
	}
	s, err := b.consuming.session(ctx)
	if err != nil {
		return nil, err
	}
	if b.looking, err = s.conn.Channel(); err != nil {
		return nil, words("no channel", err)
	}
	return b.looking, nil
}
