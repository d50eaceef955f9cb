package pgstore_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/adapters/pgstore"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/servers"
)

func TestAServiceWithStockWatermillFollowsTheEvents(t *testing.T) {
	url := servers.PostgresDatabase(t)
	store, err := pgstore.Open(t.Context(), pgstore.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)

	write := func(stream es.StreamID, n int) {
		drafts := make([]es.Recorded, n)
		for i := range drafts {
			drafts[i] = es.Recorded{Type: "Deposited", Schema: 1, Data: fmt.Appendf(nil, `{"n":%d}`, i), Metadata: []byte(`{"principal":"ada","commandId":"c1"}`)}
		}
		if _, err := ports.Append(t.Context(), store, time.Now(), stream, 0, drafts...); err != nil {
			t.Error(err)
		}
	}
	follow := func(group string) (<-chan *message.Message, func()) {
		feed, err := Feed(pool, group, watermill.NopLogger{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		messages, err := feed.Subscribe(ctx, "daybook")
		if err != nil {
			t.Fatal(err)
		}
		return messages, func() { cancel(); _ = feed.Close() }
	}
	read := func(messages <-chan *message.Message, from, to int) {
		t.Helper()
		for n := from; n <= to; n++ {
			m := <-messages
			if m == nil || m.UUID != fmt.Sprint("evt-", n) || m.Metadata.Get("position") != fmt.Sprint(n) {
				t.Fatalf("got %v, want position %d", m, n)
			}
			m.Ack()
		}
	}

	write("a", 30)
	messages, stop := follow("mailer")
	first := <-messages
	for name, want := range map[string]string{
		"name": "Deposited", "aggregateId": "a", "version": "1", "position": "1", "schema": "1", "principal": "ada", "commandId": "c1",
	} {
		if got := first.Metadata.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if first.UUID != "evt-1" || string(first.Payload) != `{"n":0}` {
		t.Errorf("the first message is %s with %s", first.UUID, first.Payload)
	}
	first.Nack() // it comes again, before the others
	read(messages, 1, 30)
	go write("b", 30) // while it follows
	read(messages, 31, 60)
	stop()

	write("c", 5)
	messages, stop = follow("mailer") // begins where it was, or at what it had not acked durably
	again := <-messages
	if position := again.Metadata.Get("position"); len(position) != 2 || position < "31" || position > "61" {
		t.Errorf("after a restart the group begins at %s", position)
	}
	again.Ack()
	for m := range messages {
		m.Ack()
		if m.Metadata.Get("position") == "65" {
			break
		}
	}
	stop()
	messages, stop = follow("auditor") // a group of its own begins at the beginning
	read(messages, 1, 65)
	stop()
}

func TestTheCodeInTheDocumentationIsTheCodeThatIsTested(t *testing.T) {
	page, err := os.ReadFile("../../docs/watermill.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("watermill_feed_test.go")
	if err != nil {
		t.Fatal(err)
	}
	want := "```go\n" + strings.Replace(string(code), "package pgstore_test", "package daybookfeed", 1) + "```\n"
	if !strings.Contains(string(page), want) {
		t.Error("docs/watermill.md does not show watermill_feed_test.go as it is: copy it there, as package daybookfeed")
	}
}
