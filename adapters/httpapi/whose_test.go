package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"daybook/core/access"
)

// noting is an audit log that remembers what it was told.
type noting struct {
	noAudit
	mu      sync.Mutex
	entries []access.Entry
}

func (n *noting) Note(e access.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entries = append(n.entries, e)
}

// of takes what was noted since it was last asked, about one subject.
func (n *noting) of(subject string) (of []access.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.entries {
		if e.Subject == subject {
			of = append(of, e)
		}
	}
	n.entries = nil
	return of
}

// attempts are the ways in which somebody tries a command on an account that it is refused on for whose that is. Each gives the status of
// the last answer.
func (g *guarded) attempts(name, command, body string) map[string]func(id string) int {
	path := func(id string) string { return "/v1/accounts/" + id + "/" + command }
	all := map[string]func(string) int{
		"with a key, again": func(id string) int {
			for range 2 {
				g.as(name, path(id), body, "Idempotency-Key: "+id+command)
			}
			g.audit.of(who[name].Subject)
			return g.as(name, path(id), body, "Idempotency-Key: "+id+command).status
		},
	}
	for _, version := range []string{"0", "1", "3", "9"} {
		all["expecting version "+version] = func(id string) int { return g.as(name, path(id), body, `If-Match: "`+version+`"`).status }
	}
	for door, send := range doors {
		all["by "+door] = func(id string) int {
			g.accounts++ // for another key
			return send(g, name, id, command, body)
		}
	}
	return all
}

func TestEveryRefusalForWhoseAnAccountIsIsInTheAuditLogWhateverItIsAnswered(t *testing.T) {
	g := newGuarded(t)
	for _, ct := range g.engine.Registry.Modules[0].Commands {
		if ct.Needs == access.Govern || ct.Creates { // which is refused whosever the account is
			continue
		}
		for _, name := range []string{"stranger", "holder"} {
			id, event := g.prepared(ct.Name)
			body := strings.Replace(bodies[ct.Name], "EVENT", event, 1)
			for what, try := range g.attempts(name, ct.Name, body) {
				if onAccount[ct.Needs][name] == 200 && !(name == "stranger" && (strings.HasPrefix(what, "expecting") || what == "by a dry run")) {
					continue // it is theirs to do
				}
				g.audit.of("")
				if status := try(id); status < 400 {
					t.Errorf("%s %s as %s is answered %d", ct.Name, what, name, status)
				}
				if got := g.audit.of(who[name].Subject); len(got) != 1 || got[0].Detail == "" && got[0].Outcome != "forbidden" {
					t.Errorf("%s %s as %s on another's account: the audit log has %+v", ct.Name, what, name, got)
				}
				g.accounts++
				try(fmt.Sprintf("none-%d", g.accounts))
				if got := g.audit.of(who[name].Subject); len(got) != 0 {
					t.Errorf("%s %s as %s on no account: the audit log has %+v", ct.Name, what, name, got)
				}
			}
		}
	}
}

func TestEveryReadingThatIsRefusedForWhoseAnAccountIsIsInTheAuditLog(t *testing.T) {
	g := newGuarded(t)
	id, event := g.prepared("")
	queries := map[string][]string{
		"/v1/accounts/{id}": {"?version=1", "?version=99", "?position=1", "?at=2001-01-01T00:00:00Z", "?effectiveAt=2001-01-01T00:00:00Z", "?" + g.least()},
	}
	asked := 0
	for _, rt := range g.api.routes {
		ofEvent := strings.HasPrefix(rt.path, "/v1/events/{id}")
		if rt.method != http.MethodGet || !ofEvent && !strings.HasPrefix(rt.path, "/v1/accounts/{id}") {
			continue
		}
		there, none := id, "acc-none"
		if ofEvent {
			there, none = event, "evt-999999"
		}
		queried := queries[rt.path]
		if queried == nil {
			queried = []string{""}
		}
		for _, query := range queried {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				asked++
				g.audit.of("")
				if status := g.asked(method, strings.Replace(rt.path, "{id}", there, 1)+query, "stranger"); status != http.StatusNotFound {
					t.Errorf("%s %s%s is answered %d", method, rt.path, query, status)
				}
				if got := g.audit.of("eve"); len(got) != 1 || got[0].Detail == "" {
					t.Errorf("%s %s%s of another's account: the audit log has %+v", method, rt.path, query, got)
				}
				g.asked(method, strings.Replace(rt.path, "{id}", none, 1)+query, "stranger")
				if got := g.audit.of("eve"); len(got) != 0 {
					t.Errorf("%s %s%s of no account: the audit log has %+v", method, rt.path, query, got)
				}
			}
		}
	}
	if asked < 16 {
		t.Errorf("%d readings were tried", asked)
	}
}
