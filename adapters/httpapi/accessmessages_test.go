package httpapi

import (
	"context"
	"strings"
	"testing"
	"time"

	"daybook/adapters/msgapi"
	"daybook/core/ports"
)

func TestAMessageOfWhoMayNotSendItIsADeadLetterThatShowsNoSecret(t *testing.T) {
	g := newGuarded(t)
	id, _ := g.prepared("")
	for name, code := range map[string]string{"nobody": "unauthenticated", "auditor": "forbidden"} {
		err := g.bus.Publish(g.ctx, "commands", ports.Message{ID: name, Body: []byte(envelope(name, id, "deposit", `{"amount":12345}`)),
			Headers: map[string]string{msgapi.HeaderAuthorization: "Bearer " + name}})
		if err != nil {
			t.Fatal(err)
		}
		path := "/v1/admin/dead-letters/" + name
		letter := g.untilThere(path, "Authorization: Bearer local")
		if !strings.Contains(letter.body, code) || !strings.Contains(letter.body, "12345") || strings.Contains(letter.body, "Bearer "+name) {
			t.Errorf("%s: got %s", name, letter.body)
		}
		for _, path := range []string{path, "/v1/admin/dead-letters"} {
			if a := g.get(path, "Authorization: Bearer operator").want(t, 200); !strings.Contains(a.body, code) || strings.Contains(a.body, "12345") {
				t.Errorf("%s of an operator: got %s", name, a.body)
			}
		}
	}
	if a := g.get("/v1/accounts/"+id+"?"+g.least(), "Authorization: Bearer owner").want(t, 200); a.json(t)["balance"] != 5.0 {
		t.Errorf("got %s", a.body)
	}
}

// untilThere asks until there is an answer.
func (g *guarded) untilThere(path string, headers ...string) answer {
	g.tb.Helper()
	ctx, cancel := context.WithTimeout(g.ctx, time.Minute)
	defer cancel()
	for {
		if a := g.get(path, headers...); a.status == 200 {
			return a
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			g.tb.Fatalf("%s did not come", path)
		}
	}
}

func TestAnAnswerIsNeverSentToTheLedgersOwnTopics(t *testing.T) {
	g := newGuarded(t)
	id, _ := g.prepared("")
	answers := make(chan string, 100)
	for _, topic := range []string{"events", "commands", "events.dead", "commands.dead", "events.theirs"} {
		err := g.bus.Subscribe(g.ctx, ports.Subscription{Topic: topic, Name: "watching"}, func(_ context.Context, m ports.Message) error {
			if strings.HasPrefix(m.ID, "re-") {
				answers <- m.ID + " in " + topic
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sent := 0
	for _, topic := range []string{"events", "commands", "events.dead", "commands.dead", "events.theirs"} {
		for name, said := range map[string]string{"teller": "replyTo", "nobody": "unauthenticated"} {
			for what, body := range map[string]string{
				"accepted":   envelope(name+topic, id, "deposit", `{"amount":1}`),
				"refused":    envelope(name+topic+"r", id, "withdraw", `{"amount":1000000}`),
				"unreadable": `{`,
			} {
				sent++
				key := name + "-" + topic + "-" + what
				err := g.bus.Publish(g.ctx, "commands", ports.Message{ID: key, Body: []byte(body), Headers: map[string]string{msgapi.HeaderReplyTo: topic, msgapi.HeaderAuthorization: "Bearer " + name}})
				if err != nil {
					t.Fatal(err)
				}
				if letter := g.untilThere("/v1/admin/dead-letters/"+key, "Authorization: Bearer operator").json(t); !strings.Contains(letter["reason"].(string), said) {
					t.Errorf("%s is dead for %v", key, letter["reason"])
				}
			}
		}
	}
	dead, err := g.bus.DeadMessages(t.Context(), "commands", 1000)
	if kept, _ := g.bus.DeadMessages(t.Context(), "events", 1000); err != nil || len(dead) != sent || len(kept) != 0 {
		t.Errorf("%d dead letters of %d messages, and %d of events, %v", len(dead), sent, len(kept), err)
	}
	if a := g.get("/v1/accounts/"+id+"?"+g.least(), "Authorization: Bearer owner").want(t, 200); a.json(t)["balance"] != 5.0 {
		t.Errorf("a command was carried out: %s", a.body)
	}
	if len(answers) > 0 {
		t.Errorf("answered: %s", <-answers)
	}
}
