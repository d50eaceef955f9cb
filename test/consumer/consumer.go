// Package consumer is an example of another service that follows Daybook's events over RabbitMQ, written with nothing but an AMQP
// client: it knows the exchange's name and the form of a CloudEvent, and no package of Daybook.
package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Event is as much of a CloudEvent as this service needs.
type Event struct {
	ID      string          `json:"id"`      // the same for every delivery
	Type    string          `json:"type"`    // such as MoneyDeposited
	Subject string          `json:"subject"` // the account
	Time    time.Time       `json:"time"`
	Data    json.RawMessage `json:"data"` // the event as Daybook stores it
}

// Consumer follows the events from the moment its queue is bound.
type Consumer struct {
	URL      string
	Exchange string            // daybook.events
	Queue    string            // this service's own; it keeps what comes while the service is away
	Handle   func(Event) error // called for each event once, in order; after an error the event comes again with the next Run
	Handled  map[string]bool   // ids; a real service keeps them with what Handle writes, in one transaction
	Bound    func()            // called when the queue is bound; may be nil

	conn    *amqp.Connection // these three while Run lasts
	channel *amqp.Channel
	events  <-chan amqp.Delivery
}

// Run follows the events until ctx ends or the connection is lost; then it can be called again.
func (c *Consumer) Run(ctx context.Context) error {
	if err := c.connect(); err != nil {
		return err
	}
	defer c.conn.Close()
	if c.Bound != nil {
		c.Bound()
	}
	for {
		select {
		case d, open := <-c.events:
			if !open {
				return errors.New("the connection was lost")
			}
			if err := c.take(&d); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connect declares the queue, binds it to all events and begins to consume. One active consumer at a time keeps the order when
// the service runs twice.
func (c *Consumer) connect() (err error) {
	if c.conn, err = amqp.Dial(c.URL); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() {
		if err != nil {
			c.conn.Close()
		}
	}()
	if c.channel, err = c.conn.Channel(); err != nil {
		return err
	}
	if err = c.channel.ExchangeDeclare(c.Exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return err
	}
	args := amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum, amqp.SingleActiveConsumerArg: true}
	if _, err = c.channel.QueueDeclare(c.Queue, true, false, false, false, args); err != nil {
		return err
	}
	if err = c.channel.QueueBind(c.Queue, "#", c.Exchange, false, nil); err != nil {
		return err
	}
	if err = c.channel.Qos(100, 0, false); err != nil {
		return err
	}
	c.events, err = c.channel.Consume(c.Queue, "", false, false, false, false, nil)
	return err
}

// take handles one delivery and acknowledges it afterwards, so that a crash in between repeats it.
func (c *Consumer) take(d *amqp.Delivery) error {
	var e Event
	if err := json.Unmarshal(d.Body, &e); err != nil {
		return fmt.Errorf("message %s is no event: %w", d.MessageId, err)
	}
	if !c.Handled[e.ID] {
		if err := c.Handle(e); err != nil {
			return err
		}
		c.Handled[e.ID] = true
	}
	return d.Ack(false)
}
