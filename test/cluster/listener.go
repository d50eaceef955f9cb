package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/test/books"
)

// Listener is a queue that another service has bound to the events. It gets nothing until it is checked.
type Listener struct{ url, queue string }

// Listen declares the queue, as an operator does before the service runs.
func Listen(t testing.TB, url, prefix string) *Listener {
	t.Helper()
	l := &Listener{url, prefix + ".events.listener"}
	l.with(t, func(ch *amqp.Channel) error {
		events := prefix + ".events"
		if err := ch.ExchangeDeclare(events, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
			return err
		}
		if _, err := ch.QueueDeclare(l.queue, true, false, false, false, amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}); err != nil {
			return err
		}
		return ch.QueueBind(l.queue, "#", events, false, nil)
	})
	return l
}

func (l *Listener) with(t testing.TB, do func(*amqp.Channel) error) {
	t.Helper()
	conn, err := amqp.Dial(l.url)
	if err != nil {
		t.Fatalf("the broker cannot be reached: %v", err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		err = do(ch)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Check takes all messages and holds them against the books: every event came at least once, and for each account those that
// came for the first time came in the order of its versions. It gives what each event first came as, by position.
func (l *Listener) Check(t testing.TB, b *books.Books, limit time.Duration) (seen map[int64]json.RawMessage) {
	t.Helper()
	seen, total := map[int64]json.RawMessage{}, 0
	versions := map[string]int64{}
	l.with(t, func(ch *amqp.Channel) error {
		deliveries, err := ch.Consume(l.queue, "", true, true, false, false, nil)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		for len(seen) < len(b.Events) {
			select {
			case d, ok := <-deliveries:
				if !ok {
					return errors.New("the broker went away")
				}
				total++
				if err := take(&d, b, seen, versions); err != nil {
					t.Error(err)
				}
			case <-ctx.Done():
				return fmt.Errorf("of %d events the listener got %d within %v", len(b.Events), len(seen), limit)
			}
		}
		return nil
	})
	t.Logf("the listener got all %d events, in %d messages", len(seen), total)
	return seen
}

// take holds one message against the books.
func take(d *amqp.Delivery, b *books.Books, seen map[int64]json.RawMessage, versions map[string]int64) error {
	text, _ := d.Headers["position"].(string)
	position, err := strconv.ParseInt(text, 10, 64)
	if err != nil || position < 1 || position > b.Head {
		return fmt.Errorf("a message has the position %q", text)
	}
	if seen[position] != nil || position <= b.After { // again
		return nil
	}
	e := &b.Events[position-b.After-1]
	var body struct {
		ID, Subject, Type string
		Data              json.RawMessage
	}
	var data books.Event
	if err := errors.Join(json.Unmarshal(d.Body, &body), json.Unmarshal(body.Data, &data)); err != nil {
		return err
	}
	seen[position] = body.Data
	if body.ID != e.ID || body.Subject != e.AggregateID || body.Type != e.EventType || data.Version != e.Version || d.RoutingKey != e.EventType {
		return fmt.Errorf("the message %s differs from position %d: %+v", d.Body, position, *e)
	}
	if e.Version != versions[e.AggregateID]+1 {
		return fmt.Errorf("the first delivery of version %d of %s came after that of version %d", e.Version, e.AggregateID, versions[e.AggregateID])
	}
	versions[e.AggregateID] = e.Version
	return nil
}
