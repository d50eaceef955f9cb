package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/test/books"
)

// Sender is another service: it sends commands by message and reads the answers from a queue of its own. Its methods are called from
// the test's goroutine.
type Sender struct {
	t        testing.TB
	ch       *amqp.Channel
	commands string
	replies  string
}

// NewSender connects to the broker. A process must have started, so that what commands are sent to is there.
func NewSender(t testing.TB, url, prefix string) *Sender {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatalf("the broker cannot be reached: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	s := &Sender{t, ch, prefix + ".commands", prefix + "-replies"}
	if _, err := ch.QueueDeclare(s.replies, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// Envelope is a command as messages and lines carry it.
func Envelope(c *books.Command) string {
	return fmt.Sprintf(`{"id":%q,"account":%q,"command":%q,"data":%s}`, c.Key, c.Account, c.Verb, Data(c))
}

// Send publishes a message; reply says whether an answer is wanted.
func (s *Sender) Send(id, body string, reply bool) {
	s.t.Helper()
	p := amqp.Publishing{MessageId: id, CorrelationId: "about " + id, DeliveryMode: amqp.Persistent, Body: []byte(body)}
	if reply {
		p.ReplyTo = s.replies
	}
	if err := s.ch.PublishWithContext(s.t.Context(), s.commands, "command", false, false, p); err != nil {
		s.t.Fatal(err)
	}
}

// Answers reads replies until each command has one. One that comes again says the same. It is called once.
func (s *Sender) Answers(sent []books.Command) map[string]Final {
	s.t.Helper()
	commands := map[string]books.Command{}
	for _, c := range sent {
		commands[c.Key] = c
	}
	deliveries, err := s.ch.Consume(s.replies, "", true, true, false, false, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	finals, again := map[string]Final{}, 0
	for len(finals) < len(sent) {
		select {
		case <-ctx.Done():
			s.t.Fatalf("%d of %d commands were answered", len(finals), len(sent))
		case d := <-deliveries:
			a := &Answer{Body: string(d.Body)}
			id := struct{ ID string }{}
			if err := json.Unmarshal(d.Body, a); err != nil || json.Unmarshal(d.Body, &id) != nil || d.CorrelationId != "about "+id.ID {
				s.t.Fatalf("an answer about %q is %s", d.CorrelationId, d.Body)
			}
			if first, ok := finals[id.ID]; ok {
				again++
				if first.Answer.Position != a.Position || first.Answer.Status != a.Status {
					s.t.Errorf("%s was answered %s and then %s", id.ID, first.Answer.Body, a.Body)
				}
			}
			finals[id.ID] = Final{Command: commands[id.ID], Answer: a}
		}
	}
	s.t.Logf("%d commands were answered, %d of them again", len(finals), again)
	return finals
}
