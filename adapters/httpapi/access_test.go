package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"daybook/adapters/msgapi"
	"daybook/adapters/notary"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// who may ask, by what they show: the accounts of these tests are ada's, and hal is a holder of them.
var who = map[string]*access.Principal{
	"owner":    {Subject: "ada", Roles: []access.Role{access.Customer}},
	"holder":   {Subject: "hal", Roles: []access.Role{access.Customer}},
	"stranger": {Subject: "eve", Roles: []access.Role{access.Customer}},
	"teller":   {Subject: "tom", Roles: []access.Role{access.Teller}},
	"auditor":  {Subject: "aud", Roles: []access.Role{access.Auditor}},
	"operator": {Subject: "ops", Roles: []access.Role{access.Operator}},
	"without":  {Subject: "new"},
	"local":    access.Local,
	"nobody":   nil,
}

// onAccount is what each of them is answered about an account of ada's that is there: 200 stands for success.
var onAccount = map[access.Operation]map[string]int{
	access.Create:  {"owner": 200, "holder": 403, "stranger": 403, "teller": 200, "auditor": 403, "operator": 403, "without": 403, "nobody": 401, "local": 200},
	access.PayIn:   {"owner": 200, "holder": 200, "stranger": 200, "teller": 200, "auditor": 403, "operator": 403, "without": 403, "nobody": 401, "local": 200},
	access.Use:     {"owner": 200, "holder": 200, "stranger": 404, "teller": 200, "auditor": 403, "operator": 403, "without": 403, "nobody": 401, "local": 200},
	access.Entrust: {"owner": 200, "holder": 403, "stranger": 404, "teller": 200, "auditor": 403, "operator": 403, "without": 403, "nobody": 401, "local": 200},
	access.Govern:  {"owner": 403, "holder": 403, "stranger": 403, "teller": 200, "auditor": 403, "operator": 403, "without": 403, "nobody": 401, "local": 200},
	access.Read:    {"owner": 200, "holder": 200, "stranger": 404, "teller": 200, "auditor": 200, "operator": 403, "without": 403, "nobody": 401, "local": 200},
}

// onAll is who may do what does not concern one account; everybody else is answered 403, and nobody 401.
var onAll = map[access.Operation][]string{
	access.PayIn:       {"owner", "holder", "stranger", "teller", "auditor", "operator", "without", "local"}, // many commands at once: each line has an answer of its own
	access.Read:        {"owner", "holder", "stranger", "teller", "auditor", "local"},
	access.Feed:        {"teller", "auditor", "local"},
	access.Export:      {"auditor", "local"},
	access.Checkpoint:  {"auditor", "local"},
	access.Status:      {"auditor", "operator", "local"},
	access.Operations:  {"operator", "local"},
	access.Rebuild:     {"operator", "local"},
	access.Archive:     {"operator", "local"},
	access.Backup:      {"operator", "local"},
	access.DeadLetters: {"operator", "local"},
	access.Public:      {"owner", "holder", "stranger", "teller", "auditor", "operator", "without", "nobody", "local"},
	access.Audit:       {"auditor", "local"},
}

// bodies are how each command is sent so that it is accepted by what prepared makes.
var bodies = map[string]string{
	"create": `{"owner":"ada","currency":"EUR"}`, "deposit": `{"amount":1}`, "withdraw": `{"amount":1}`, "transfer": `{"to":"other","amount":1}`,
	"correct": `{"event":"EVENT","reason":"wrong"}`, "set-overdraft-limit": `{"limit":1}`, "freeze": `{"reason":"lost"}`, "unfreeze": `{"reason":"found"}`,
	"close": `{"reason":"over"}`, "add-holder": `{"holder":"liz"}`, "remove-holder": `{"holder":"hal"}`,
}

func authenticate(authorization string) (*access.Principal, error) {
	name, _ := strings.CutPrefix(authorization, "Bearer ")
	if who[name] == nil {
		return nil, access.ErrUnauthenticated
	}
	return who[name], nil
}

// guarded is a world whose doors ask everybody who they are.
type guarded struct {
	*world
	accounts int
	audit    *noting
	replies  chan ports.Message
}

func newGuarded(tb testing.TB) *guarded {
	g := &guarded{audit: &noting{}, replies: make(chan ports.Message, 1)}
	g.world = newWorld(tb, func(o *options) {
		o.api.Authenticate = func(r *http.Request) (*access.Principal, error) { return authenticate(r.Header.Get("Authorization")) }
		o.api.Audit = g.audit
		o.configure = func(e *engine.Options) {
			e.Anonymous, e.CommandsTopic = nil, "commands"
			var err error
			if e.Notary, err = notary.New("example.org/ledger"); err != nil {
				tb.Fatal(err)
			}
		}
	})
	messages := msgapi.New(g.engine, g.bus, g.engine.Registry, msgapi.Options{
		Audit: g.audit,
		Authenticate: func(_ context.Context, authorization string) (*access.Principal, error) {
			return authenticate(authorization)
		},
	})
	err := g.bus.Subscribe(g.ctx, ports.Subscription{Topic: "answers"}, func(_ context.Context, m ports.Message) error {
		g.replies <- m
		return nil
	})
	if err == nil {
		err = messages.Subscribe(g.ctx, "commands")
	}
	if err != nil {
		tb.Fatal(err)
	}
	g.as("teller", "/v1/accounts/other/create", `{"owner":"bob","currency":"EUR"}`).want(tb, 201)
	return g
}

// as sends a command in somebody's name.
func (g *guarded) as(name, path, body string, headers ...string) answer {
	g.tb.Helper()
	return g.post(path, body, append(headers, "Authorization: Bearer "+name)...)
}

func (a answer) want(tb testing.TB, status int) answer {
	tb.Helper()
	if a.status != status {
		tb.Fatalf("got %d %s, want %d", a.status, a.body, status)
	}
	return a
}

// prepared makes an account of ada's that a command is accepted by, and gives its id and an event of it.
func (g *guarded) prepared(command string) (id, event string) {
	g.tb.Helper()
	g.accounts++
	id = fmt.Sprintf("acc-%04d", g.accounts)
	if command == "create" {
		return id, ""
	}
	path := "/v1/accounts/" + id
	created := g.as("teller", path+"/create", bodies["create"]).want(g.tb, 201)
	event = "evt-" + created.header.Get("Daybook-Position")
	g.as("teller", path+"/add-holder", `{"holder":"hal"}`).want(g.tb, 200)
	switch command {
	case "close":
		return id, event
	case "unfreeze":
		g.as("teller", path+"/freeze", bodies["freeze"]).want(g.tb, 200)
	}
	paid := g.as("teller", path+"/deposit", `{"amount":5}`).want(g.tb, 200)
	return id, "evt-" + paid.header.Get("Daybook-Position")
}

// doors are the ways to send one command; each gives the status it is answered with.
var doors = map[string]func(g *guarded, name, id, command, body string) int{
	"HTTP": func(g *guarded, name, id, command, body string) int {
		return g.as(name, "/v1/accounts/"+id+"/"+command, body).status
	},
	"a dry run": func(g *guarded, name, id, command, body string) int {
		return g.as(name, "/v1/accounts/"+id+"/"+command+"?dryRun=true", body).status
	},
	"a line of many": func(g *guarded, name, id, command, body string) int {
		return g.lines(name, "/v1/commands", id, command, body)
	},
	"a line of all or none": func(g *guarded, name, id, command, body string) int {
		return g.lines(name, "/v1/commands?atomic=true", id, command, body)
	},
	"a message": func(g *guarded, name, id, command, body string) int {
		key := fmt.Sprintf("message-%d", g.accounts)
		err := g.bus.Publish(g.ctx, "commands", ports.Message{ID: key, Body: []byte(envelope(key, id, command, body)),
			Headers: map[string]string{"replyTo": "answers", msgapi.HeaderAuthorization: "Bearer " + name}})
		if err != nil {
			g.tb.Fatal(err)
		}
		return statusOf(g.tb, (<-g.replies).Body)
	},
}

func envelope(key, id, command, body string) string {
	return fmt.Sprintf(`{"id":%q,"account":%q,"command":%q,"data":%s}`, key, id, command, body)
}

func (g *guarded) lines(name, path, id, command, body string) int {
	a := g.do(http.MethodPost, path, envelope("line-"+strconv.Itoa(g.accounts), id, command, body), "Content-Type: application/x-ndjson", "Authorization: Bearer "+name)
	if a.status != http.StatusOK {
		return a.status
	}
	return statusOf(g.tb, []byte(a.body))
}

func statusOf(tb testing.TB, line []byte) int {
	tb.Helper()
	var said struct{ Status int }
	if err := json.Unmarshal(line, &said); err != nil {
		tb.Fatalf("%s: %v", line, err)
	}
	return said.Status
}

func TestEveryCommandIsForThoseWhomThePolicyNamesThroughEveryDoor(t *testing.T) {
	g := newGuarded(t)
	for _, ct := range g.engine.Registry.Modules[0].Commands {
		if bodies[ct.Name] == "" || onAccount[ct.Needs] == nil {
			t.Fatalf("say in this test how %s is sent, and what is expected of %q", ct.Name, ct.Needs)
		}
		for name := range who {
			for door, send := range doors {
				want := onAccount[ct.Needs][name]
				if ct.Needs == access.PayIn && name == "stranger" && door == "a dry run" {
					want = 403
				}
				id, event := g.prepared(ct.Name)
				body := strings.Replace(bodies[ct.Name], "EVENT", event, 1)
				if got := send(g, name, id, ct.Name, body); got != want && (want != 200 || got != 201 || !ct.Creates) {
					t.Errorf("%s on ada's account by %s as %s is answered %d, want %d", ct.Name, door, name, got, want)
				}
				if ct.Creates {
					continue
				}
				if ct.Needs != access.Govern && slices.Contains([]string{"owner", "holder", "stranger"}, name) || name == "teller" || name == "local" {
					want = 404
				}
				g.accounts++
				if got := send(g, name, fmt.Sprintf("none-%d", g.accounts), ct.Name, body); got != want {
					t.Errorf("%s on no account by %s as %s is answered %d, want %d", ct.Name, door, name, got, want)
				}
			}
		}
	}
}

func TestEveryOtherRouteIsForThoseWhomThePolicyNames(t *testing.T) {
	g := newGuarded(t)
	id, event := g.prepared("")
	needed := map[string]string{
		"/v1/admin/archive": "?before=2000-01-01T00:00:00Z", "/v1/admin/backup": "?dir=/nowhere/backup", "/v1/admin/export": "", "/v1/accounts/{id}": "?" + g.least(),
	}
	for _, rt := range g.api.routes {
		if slices.ContainsFunc(g.engine.Registry.Modules[0].Commands, func(c es.CommandType) bool {
			return strings.HasSuffix(rt.path, "/"+c.Name) && rt.method == http.MethodPost
		}) {
			continue
		}
		ofAccount := strings.HasPrefix(rt.path, "/v1/accounts/{id}") || strings.HasPrefix(rt.path, "/v1/events/{id}")
		if onAll[rt.right] == nil && !ofAccount {
			t.Errorf("say in this test who may %s %s, which is %q", rt.method, rt.path, rt.right)
		}
		for name := range who {
			path := strings.NewReplacer("{file}", "index.css").Replace(rt.path) + needed[rt.path]
			if !ofAccount {
				got := g.asked(rt.method, strings.Replace(path, "{id}", "some", 1), name)
				want := map[bool]int{true: 403, false: 401}[name != "nobody"]
				if allowed := slices.Contains(onAll[rt.right], name); allowed && (got == 401 || got == 403) || !allowed && got != want {
					t.Errorf("%s %s as %s is answered %d; it is allowed: %t", rt.method, rt.path, name, got, allowed)
				}
				continue
			}
			there, none := id, "acc-none"
			if strings.HasPrefix(rt.path, "/v1/events") {
				there, none = event, "evt-999999"
			}
			want := onAccount[rt.right][name]
			if got := g.asked(rt.method, strings.Replace(path, "{id}", there, 1), name); got != want {
				t.Errorf("%s %s of ada's account as %s is answered %d, want %d", rt.method, rt.path, name, got, want)
			}
			if want == 200 {
				want = 404
			}
			if got := g.asked(rt.method, strings.Replace(path, "{id}", none, 1), name); got != want {
				t.Errorf("%s %s of no account as %s is answered %d, want %d", rt.method, rt.path, name, got, want)
			}
		}
	}
}

// asked sends a request and looks at the status alone, as the live feed does not end.
func (g *guarded) asked(method, path, name string) int {
	g.tb.Helper()
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, g.server.URL+path, strings.NewReader(""))
	if err != nil {
		g.tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+name)
	r.Header.Set("Content-Type", linesType)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		g.tb.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// least makes a query see everything there is.
func (g *guarded) least() string {
	return "minPosition=" + strings.TrimPrefix(g.fresh(), "Daybook-Min-Position: ")
}
