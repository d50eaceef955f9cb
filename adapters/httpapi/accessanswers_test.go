package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"daybook/core/access"
)

// told is all that an answer says, with the id of the account it was asked about taken out.
func (a answer) told(id string) string {
	text := strings.ReplaceAll(a.body, id, "ID")
	for _, name := range []string{"Etag", "Daybook-Position", "Location", "Idempotency-Replayed", "Retry-After"} {
		text += "\n" + name + ": " + strings.Join(a.header.Values(name), ", ")
	}
	return text
}

func TestAnothersAccountIsAnsweredJustAsOneThatDoesNotExist(t *testing.T) {
	g := newGuarded(t)
	for _, ct := range g.engine.Registry.Modules[0].Commands {
		if ct.Needs == access.Create || ct.Needs == access.PayIn { // which do tell whether it exists
			continue
		}
		there, event := g.prepared(ct.Name)
		none := "acc-none"
		body := strings.Replace(bodies[ct.Name], "EVENT", event, 1)
		future := strings.Replace(body, "{", `{"effectiveAt":"2999-01-01T00:00:00Z",`, 1)
		for what, send := range map[string]func(id string) answer{
			"plainly":        func(id string) answer { return g.as("stranger", "/v1/accounts/"+id+"/"+ct.Name, body) },
			"as a dry run":   func(id string) answer { return g.as("stranger", "/v1/accounts/"+id+"/"+ct.Name+"?dryRun=true", body) },
			"of the future":  func(id string) answer { return g.as("stranger", "/v1/accounts/"+id+"/"+ct.Name, future) },
			"at version 0":   func(id string) answer { return g.as("stranger", "/v1/accounts/"+id+"/"+ct.Name, body, `If-Match: "0"`) },
			"at its version": func(id string) answer { return g.as("stranger", "/v1/accounts/"+id+"/"+ct.Name, body, `If-Match: "3"`) },
			"at no version":  func(id string) answer { return g.as("stranger", "/v1/accounts/"+id+"/"+ct.Name, body, `If-Match: "9"`) },
			"with a key": func(id string) answer {
				return g.as("stranger", "/v1/accounts/"+id+"/"+ct.Name, body, "Idempotency-Key: "+id+ct.Name)
			},
			"with a key again": func(id string) answer {
				g.as("stranger", "/v1/accounts/"+id+"/"+ct.Name, body, "Idempotency-Key: "+id+ct.Name)
				return g.as("stranger", "/v1/accounts/"+id+"/"+ct.Name, body, "Idempotency-Key: "+id+ct.Name)
			},
		} {
			got, want := send(there), send(none)
			got.body, want.body = g.withoutID(got), g.withoutID(want)
			if got.status != want.status || got.told(there) != want.told(none) {
				t.Errorf("%s %s: another's account is answered\n%d %s\nand none\n%d %s", ct.Name, what, got.status, got.told(there), want.status, want.told(none))
			}
		}
	}
	there, _ := g.prepared("")
	for _, query := range []string{"", "?version=1", "?version=99", "?position=1", "?position=99999", "?at=2001-01-01T00:00:00Z", "?effectiveAt=2999-01-01T00:00:00Z",
		"/events", "/events?after=1", "/statement", "/statement?limit=1", "?" + g.least()} {
		get := func(id string) answer {
			a := g.get("/v1/accounts/"+id+query, "Authorization: Bearer stranger")
			a.body = g.withoutID(a)
			return a
		}
		got, want := get(there), get("acc-none")
		if got.status != want.status || got.told(there) != want.told("acc-none") {
			t.Errorf("%q: another's account is answered\n%d %s\nand none\n%d %s", query, got.status, got.told(there), want.status, want.told("acc-none"))
		}
	}
}

// withoutID is the body without the id of the request.
func (g *guarded) withoutID(a answer) string {
	return strings.ReplaceAll(a.body, a.header.Get("X-Request-Id"), "REQUEST")
}

func TestWhoPaysInAndMayNotReadTheAccountLearnsNoMoreThanThatItIsThere(t *testing.T) {
	g := newGuarded(t)
	id, _ := g.prepared("")
	path := "/v1/accounts/" + id + "/deposit"
	for range 2 { // what is kept under the key is no more
		a := g.as("stranger", path, `{"amount":7}`, "Idempotency-Key: k").want(t, 200)
		if a.body != `{"account":"`+id+`","position":`+a.header.Get("Daybook-Position")+`}` || a.header.Get("Etag") != "" {
			t.Errorf("got %v %s", a.header, a.body)
		}
	}
	g.as("stranger", path+"?dryRun=true", `{"amount":7}`).want(t, 403) // else it could be tried how much has room
	texts := map[string]bool{}
	for _, version := range []string{"0", "1", "4", "5"} {
		texts[g.withoutID(g.as("stranger", path, `{"amount":7}`, `If-Match: "`+version+`"`).want(t, 412))] = true
	}
	if len(texts) != 1 {
		t.Errorf("got %v", texts)
	}
	line := g.do(http.MethodPost, "/v1/commands", envelope("l", id, "deposit", `{"amount":1}`), "Content-Type: "+linesType, "Authorization: Bearer stranger")
	if m := line.json(t); m["balance"] != nil || m["version"] != nil || m["status"] != 200.0 {
		t.Errorf("got %s", line.body)
	}
	g.as("stranger", path, `{"amount":9007199254740991}`).refused(t, "not_accepted")
	if a := g.as("owner", path, `{"amount":9007199254740991}`).refused(t, "balance_limit"); a["balance"] != 13.0 {
		t.Errorf("got %v", a)
	}

	closed, _ := g.prepared("close")
	g.as("owner", "/v1/accounts/"+closed+"/close", bodies["close"]).want(t, 200)
	g.as("stranger", "/v1/accounts/"+closed+"/deposit", `{"amount":1}`).refused(t, "not_accepted")
	g.as("holder", "/v1/accounts/"+closed+"/deposit", `{"amount":1}`).refused(t, "account_closed")
	g.as("stranger", "/v1/accounts/acc-none/deposit", `{"amount":1}`).want(t, 404)

	g.as("teller", "/v1/accounts/eves/create", `{"owner":"eve","currency":"EUR","overdraftLimit":1000}`).want(t, 201)
	transfer := func(to string) answer {
		return g.as("stranger", "/v1/accounts/eves/transfer", `{"to":"`+to+`","amount":1}`)
	}
	transfer(id).want(t, 200)
	transfer(closed).refused(t, "not_accepted")
	transfer("acc-none").refused(t, "unknown_counterparty")
	g.as("teller", "/v1/accounts/dollars/create", `{"owner":"ada","currency":"USD"}`).want(t, 201)
	transfer("dollars").refused(t, "currency_mismatch")
	g.as("stranger", "/v1/accounts/"+id+"/create", `{"owner":"eve","currency":"EUR"}`).want(t, 409)
}

func (a answer) refused(tb testing.TB, code string) map[string]any {
	tb.Helper()
	m := a.want(tb, 422).json(tb)
	if m["code"] != code {
		tb.Errorf("got %v, want %s", m, code)
	}
	if _, told := m["balance"]; told && code == "not_accepted" {
		tb.Errorf("got %v", m)
	}
	return m
}

func TestListsHoldTheAccountsThatWhoeverAsksMayRead(t *testing.T) {
	g := newGuarded(t)
	for range 3 {
		g.prepared("")
	}
	g.as("stranger", "/v1/accounts/eves/create", `{"owner":"eve","currency":"EUR"}`).want(t, 201)
	all := []string{"acc-0001", "acc-0002", "acc-0003", "eves", "other"}
	for name, want := range map[string][]string{"owner": all[:3], "holder": all[:3], "stranger": all[3:4], "teller": all, "auditor": all} {
		for _, query := range []string{"", "&sort=-balance", "&q=acc&limit=1", "&owner=ada", "&minBalance=0"} {
			var got []string
			for cursor := ""; ; {
				page := g.get("/v1/accounts?"+g.least()+query+cursor, "Authorization: Bearer "+name).want(t, 200).json(t)
				for _, item := range page["items"].([]any) {
					got = append(got, item.(map[string]any)["id"].(string))
				}
				next, more := page["next"].(string)
				if !more {
					break
				}
				cursor = "&cursor=" + next
			}
			of := want
			if strings.Contains(query, "acc") || strings.Contains(query, "ada") {
				of = slices.DeleteFunc(slices.Clone(want), func(id string) bool { return !strings.HasPrefix(id, "acc") })
			}
			if slices.Sort(got); !slices.Equal(got, of) {
				t.Errorf("%s finds by %q %v, want %v", name, query, got, of)
			}
		}
	}
}

func TestWhoIsNoLongerAHolderReadsNothingMore(t *testing.T) {
	g := newGuarded(t)
	id, event := g.prepared("")
	seen := func(want int) {
		t.Helper()
		least := g.least()
		for _, path := range []string{"/v1/accounts/" + id + "?" + least, "/v1/accounts/" + id + "?version=1", "/v1/accounts/" + id + "/events",
			"/v1/accounts/" + id + "/statement", "/v1/events/" + event, "/v1/events/" + event + "/proof"} {
			if a := g.get(path, "Authorization: Bearer holder"); a.status != want {
				t.Errorf("%s: got %d %s, want %d", path, a.status, a.body, want)
			}
		}
	}
	seen(200)
	g.as("owner", "/v1/accounts/"+id+"/remove-holder", `{"holder":"hal"}`).want(t, 200)
	seen(404)
	g.as("holder", "/v1/accounts/"+id+"/withdraw", `{"amount":1}`).want(t, 404)
}

func TestACustomerOpensAnAccountWithoutALimit(t *testing.T) {
	g := newGuarded(t)
	if a := g.as("owner", "/v1/accounts/a/create", `{"owner":"ada","currency":"EUR","overdraftLimit":1}`).want(t, 403); !strings.Contains(a.body, "overdraftLimit") {
		t.Errorf("got %s", a.body)
	}
	g.as("owner", "/v1/accounts/a/create", `{"owner":"ada","currency":"EUR","overdraftLimit":0}`).want(t, 201)
	g.as("teller", "/v1/accounts/b/create", `{"owner":"ada","currency":"EUR","overdraftLimit":1}`).want(t, 201)
}

func TestAnEventNamesWhoAskedForItWhateverTheySay(t *testing.T) {
	g := newGuarded(t)
	id, _ := g.prepared("")
	a := g.as("holder", "/v1/accounts/"+id+"/withdraw", `{"amount":1}`, "Idempotency-Key: k").want(t, 200)
	event := g.get("/v1/events/evt-"+a.header.Get("Daybook-Position"), "Authorization: Bearer owner").want(t, 200).json(t)
	if by := event["metadata"].(map[string]any)["principal"]; by != "hal" {
		t.Errorf("got %v", by)
	}
	if again := g.as("owner", "/v1/accounts/"+id+"/withdraw", `{"amount":1}`, "Idempotency-Key: k").want(t, 200); again.header.Get("Idempotency-Replayed") != "" {
		t.Error("the key of one principal gave the answer to another")
	}
}

func TestWhoIsNotKnownIsToldHowToSayWhoTheyAre(t *testing.T) {
	g := newGuarded(t)
	a := g.get("/v1/accounts").want(t, 401)
	if a.header.Get("Www-Authenticate") != "Bearer" || a.code(t) != "unauthenticated" {
		t.Errorf("got %v %s", a.header, a.body)
	}
	valid(t, g.api.describe(), "401", g.api.describe().Components.Schemas.Map()["Problem"], a.body)
}
