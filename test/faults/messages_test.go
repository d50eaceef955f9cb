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

	"daybook/test/books"
	"daybook/test/cluster"
	"daybook/test/faulttable"
)

func (w *world) sender() *cluster.Sender {
	w.t.Helper()
	return cluster.NewSender(w.t, w.broker, w.prefix)
}

func TestCommandsByMessageAreAppliedOnceAndInOrderThoughTheirConsumerIsKilled(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F32", faulttable.Production, again())
	faulttable.Covers(t, "F38", faulttable.Production, again())
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
		s.Send(sent[n].Key, cluster.Envelope(&sent[n]), true)
		if n%(len(sent)/(kills+1)) == len(sent)/(kills+1)-1 {
			p := w.workers[killed%2] // the one that is served: the other came later
			killed++
			p.Kill()
			p.Start()
		}
	}
	finals := s.Answers(sent)
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
	faulttable.Covers(t, "F38", faulttable.Production, again())
	w := several(t)
	w.workers = append(w.workers, w.cluster.Start("second worker", elastic, "DAYBOOK_ROLES=relay,project,messages"))
	s := w.sender()
	sent := []books.Command{{Key: "create", Account: "m", Verb: "create"}}
	for n := range 2000 {
		sent = append(sent, books.Command{Key: fmt.Sprintf("msg-%05d", n), Account: "m", Verb: "deposit", Amount: 1})
	}
	for n := range sent {
		s.Send(sent[n].Key, cluster.Envelope(&sent[n]), true)
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
	finals := s.Answers(sent)
	books := cluster.ReadBooks(t, w.apis[0].URL())
	cluster.CheckAnswers(t, books, finals)
	w.inOrder(books, sent)
	for _, p := range w.apis {
		cluster.CheckViews(t, books, p.URL(), recovery)
	}
	w.listener.Check(t, books, recovery)
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
	faulttable.Covers(t, "F35", faulttable.Production, again())
	faulttable.Covers(t, "F36", faulttable.Production, again())
	w := several(t)
	s := w.sender()
	s.Send("poison", `{"id":"poison","account":`, false)
	s.Send("unknown", `{"id":"unknown","account":"d-1","command":"steal","data":{}}`, false)
	s.Send("early", `{"id":"early","account":"d-1","command":"deposit","data":{"amount":5}}`, false)
	s.Send("late", `{"id":"late","account":"d-2","command":"create","data":{"owner":"Ada","currency":"EUR"}}`, true)
	s.Answers([]books.Command{{Key: "late"}}) // what is behind them is not held up

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
