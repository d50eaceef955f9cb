package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/test/books"
	"daybook/test/cluster"
)

// sender is another service: it sends commands by message and reads the answers from a queue of its own.
type sender struct {
	t        *testing.T
	conn     *amqp.Connection
	ch       *amqp.Channel
	commands string
	replies  string
}

func (w *world) sender() *sender {
	w.t.Helper()
	conn, err := amqp.Dial(w.broker)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		w.t.Fatal(err)
	}
	s := &sender{w.t, conn, ch, w.prefix + ".commands", w.prefix + "-replies"}
	if _, err := ch.QueueDeclare(s.replies, true, false, false, false, nil); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// send publishes a message; reply says whether an answer is wanted.
func (s *sender) send(id, body string, reply bool) {
	s.t.Helper()
	p := amqp.Publishing{MessageId: id, CorrelationId: "about " + id, DeliveryMode: amqp.Persistent, Body: []byte(body)}
	if reply {
		p.ReplyTo = s.replies
	}
	if err := s.ch.PublishWithContext(s.t.Context(), s.commands, "command", false, false, p); err != nil {
		s.t.Fatal(err)
	}
}

func envelope(c *books.Command) string {
	return fmt.Sprintf(`{"id":%q,"account":%q,"command":%q,"data":%s}`, c.Key, c.Account, c.Verb, cluster.Data(c))
}

func TestCommandsByMessageAreAppliedOnceAndInOrderThoughTheirConsumerIsKilled(t *testing.T) {
	t.Parallel()
	w := several(t)
	w.workers = append(w.workers, w.cluster.Start("second worker", elastic, "DAYBOOK_ROLES=relay,project,messages"))
	s := w.sender()
	const accounts = 10
	var sent []books.Command
	for n := range accounts {
		sent = append(sent, books.Command{Key: fmt.Sprint("create-", n), Account: fmt.Sprint("m-", n), Verb: "create"})
	}
	for n := range 3000 {
		sent = append(sent, books.Command{Key: fmt.Sprintf("msg-%05d", n), Account: fmt.Sprint("m-", w.random.IntN(accounts)), Verb: "deposit", Amount: int64(1 + n%7)})
	}
	kills, killed := times(4), 0
	for n := range sent {
		s.send(sent[n].Key, envelope(&sent[n]), true)
		if n%(len(sent)/(kills+1)) == len(sent)/(kills+1)-1 {
			p := w.workers[killed%2] // the one that is served: the other came later
			killed++
			p.Kill()
			p.Start()
		}
	}
	finals := s.answers(sent)
	books := cluster.ReadBooks(t, w.apis[0].URL())
	cluster.CheckAnswers(t, books, finals)
	w.inOrder(books, sent)
	for _, p := range w.apis {
		cluster.CheckViews(t, books, p.URL(), recovery)
	}
	w.listener.Check(t, books, recovery)
}

// The broker gives a consumer up that is silent for two heartbeats. What that one had taken is then with both.
func TestCommandsByMessageAreAppliedOnceAndInOrderThoughTheirConsumerStandsStill(t *testing.T) {
	t.Parallel()
	w := several(t)
	w.workers = append(w.workers, w.cluster.Start("second worker", elastic, "DAYBOOK_ROLES=relay,project,messages"))
	s := w.sender()
	sent := []books.Command{{Key: "create", Account: "m", Verb: "create"}}
	for n := range 2000 {
		sent = append(sent, books.Command{Key: fmt.Sprintf("msg-%05d", n), Account: "m", Verb: "deposit", Amount: 1})
	}
	for n := range sent {
		s.send(sent[n].Key, envelope(&sent[n]), true)
		if n == len(sent)/2 {
			w.workers[0].Signal(syscall.SIGSTOP)
		}
	}
	began := time.Now()
	var one books.Account
	cluster.Within(t, recovery, "another consumer takes over", func(ctx context.Context) error {
		err := cluster.Get(ctx, w.apis[0].URL()+"/v1/accounts/m", &one)
		if err == nil && one.Version < int64(len(sent))*3/4 {
			err = fmt.Errorf("the account is at version %d", one.Version)
		}
		return err
	})
	t.Logf("another consumer was at version %d %.1fs after the first stood still", one.Version, time.Since(began).Seconds())
	w.workers[0].Signal(syscall.SIGCONT)
	finals := s.answers(sent)
	books := cluster.ReadBooks(t, w.apis[0].URL())
	cluster.CheckAnswers(t, books, finals)
	w.inOrder(books, sent)
	for _, p := range w.apis {
		cluster.CheckViews(t, books, p.URL(), recovery)
	}
	w.listener.Check(t, books, recovery)
}

// answers reads replies until each command has one. One that comes again says the same.
func (s *sender) answers(sent []books.Command) map[string]cluster.Final {
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
	finals, again := map[string]cluster.Final{}, 0
	for len(finals) < len(sent) {
		select {
		case <-ctx.Done():
			s.t.Fatalf("%d of %d commands were answered", len(finals), len(sent))
		case d := <-deliveries:
			a := &cluster.Answer{Body: string(d.Body)}
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
			finals[id.ID] = cluster.Final{Command: commands[id.ID], Answer: a}
		}
	}
	s.t.Logf("%d commands were answered, %d of them again", len(finals), again)
	return finals
}

// inOrder checks that the commands of each account were applied in the order in which they were sent.
func (w *world) inOrder(b *books.Books, sent []books.Command) {
	w.t.Helper()
	last := map[string]int64{}
	for _, c := range sent {
		events := b.ByCommand[c.Key]
		if len(events) == 0 || events[0].Position <= last[c.Account] {
			w.t.Fatalf("%s was sent after what is at position %d of %s, and is %+v", c.Key, last[c.Account], c.Account, events)
		}
		last[c.Account] = events[0].Position
	}
}

func TestCommandsThatCanNeverSucceedWaitInTheDeadLettersForAnOperator(t *testing.T) {
	t.Parallel()
	w := several(t)
	s := w.sender()
	s.send("poison", `{"id":"poison","account":`, false)
	s.send("unknown", `{"id":"unknown","account":"d-1","command":"steal","data":{}}`, false)
	s.send("early", `{"id":"early","account":"d-1","command":"deposit","data":{"amount":5}}`, false)
	s.send("late", `{"id":"late","account":"d-2","command":"create","data":{"owner":"Ada","currency":"EUR"}}`, true)
	s.answers([]books.Command{{Key: "late"}}) // what is behind them is not held up

	var letters map[string]string
	cluster.Within(t, recovery, "three are dead", func(context.Context) error {
		letters = map[string]string{}
		for line := range strings.Lines(w.daybook("dlq", "ls", "-o", "ndjson")) {
			var letter struct{ ID, Reason string }
			if err := json.Unmarshal([]byte(line), &letter); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			letters[letter.ID] = letter.Reason
		}
		if len(letters) != 3 {
			return fmt.Errorf("the dead letters are %v", letters)
		}
		return nil
	})
	for id, reason := range map[string]string{"poison": "JSON", "unknown": "steal", "early": "account_not_found"} {
		if !strings.Contains(letters[id], reason) {
			t.Errorf("the reason of %s is %q", id, letters[id])
		}
	}
	if shown := w.daybook("dlq", "show", "early", "-o", "json"); !strings.Contains(shown, "deposit") {
		t.Errorf("the letter is shown as %s", shown)
	}
	post(t, w.apis[0], "d-1/create", `{"owner":"Ada","currency":"EUR"}`, "mended")
	w.daybook("dlq", "retry", "early")
	cluster.Within(t, recovery, "the command is applied once it can be", func(ctx context.Context) error {
		var one books.Account
		if err := cluster.Get(ctx, w.apis[0].URL()+"/v1/accounts/d-1?version=2", &one); err != nil || one.Balance != 5 {
			return fmt.Errorf("the account is %+v (%w)", one, err)
		}
		return nil
	})
	w.daybook("dlq", "discard", "poison", "unknown")
	if left := w.daybook("dlq", "ls", "-o", "ndjson"); left != "" {
		t.Errorf("the dead letters are %s", left)
	}
}

// daybook runs the command line against the first process and gives what it prints.
func (w *world) daybook(args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), binary(w.t), append(args, "--server", w.apis[0].URL())...)
	out, err := cmd.Output()
	if err != nil {
		var words string
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // os/exec gives it as it is
			words = string(exit.Stderr)
		}
		w.t.Fatalf("daybook %v: %v\n%s%s", args, err, out, words)
	}
	return string(out)
}
