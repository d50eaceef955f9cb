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
