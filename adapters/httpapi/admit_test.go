package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"daybook/adapters/auditlog"
	"daybook/adapters/keyring"
	"daybook/adapters/memstore"
	"daybook/core/access"
	"daybook/core/engine"
)

// keyed is a world that asks for keys, with a key for each role.
type keyed struct {
	*world
	keys   *keyring.Ring
	log    *auditlog.Log
	ledger *memstore.Store
	as     map[access.Role]string // the header of each role
}

// failingAudit writes nothing while it fails.
type failingAudit struct {
	access.AuditLog
	err error
}

func (f *failingAudit) Record(ctx context.Context, e access.Entry) error {
	if f.err != nil {
		return f.err
	}
	return f.AuditLog.Record(ctx, e)
}

func newKeyed(t *testing.T, change ...func(*options)) *keyed {
	t.Helper()
	g := &keyed{ledger: memstore.New(), as: map[access.Role]string{}}
	var err error
	if g.keys, err = keyring.Open(t.Context(), keyring.Options{Store: g.ledger, Now: time.Now, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	g.log = auditlog.Open(auditlog.Options{Store: g.ledger, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _, _ = g.keys.Close(), g.log.Close() })
	for _, role := range []access.Role{access.Customer, access.Teller, access.Auditor, access.Operator} {
		_, secret, err := g.keys.Create(t.Context(), access.NewKey{Subject: "a-" + string(role), Roles: []access.Role{role}})
		if err != nil {
			t.Fatal(err)
		}
		g.as[role] = "Authorization: Bearer " + secret
	}
	g.world = newWorld(t, append([]func(*options){func(o *options) {
		o.api.Keys, o.api.Audit = g.keys, g.log
		o.api.Authenticate = func(r *http.Request) (*access.Principal, error) {
			return g.keys.Authenticate(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		}
	}}, change...)...)
	return g
}

// entries are those of the audit log once all that was noted is written. The log takes no more afterwards.
func (g *keyed) entries() []access.Entry {
	g.tb.Helper()
	if err := g.log.Close(); err != nil {
		g.tb.Fatal(err)
	}
	all, err := g.log.Entries(context.Background(), 4, time.Time{}, 1000) // after the keys of the roles
	if err != nil {
		g.tb.Fatal(err)
	}
	return all
}

// still leaves out what runs behind requests.
func still(o *options) { o.still = true }

// frozen is a clock that stands, so that no bucket fills up meanwhile.
func frozen(o *options) {
	at := time.Now()
	o.still, o.configure = true, func(e *engine.Options) { e.Now = func() time.Time { return at } }
}

func TestEveryRouteAsksWhoIsThereButForHealthAndDocumentation(t *testing.T) {
	g := newKeyed(t, frozen)
	open := 0
	for _, rt := range g.api.routes {
		path := strings.NewReplacer("{id}", "x", "{file}", "x", "{prefix}", "x").Replace(rt.path)
		for _, credential := range []string{"X-Nothing: 1", "Authorization: Bearer dbk_aaaaaaaa_x", "Authorization: Basic eDp5", "Authorization: Bearer"} {
			a := g.do(rt.method, path, "", credential)
			switch {
			case forEverybody(rt.path):
				open++
				if a.status == http.StatusUnauthorized {
					t.Errorf("%s %s is refused", rt.method, rt.path)
				}
			case a.status != http.StatusUnauthorized || a.code(t) != "unauthenticated" || a.header.Get("WWW-Authenticate") != "Bearer":
				t.Errorf("%s %s with %s: %d %s", rt.method, rt.path, credential, a.status, a.body)
			}
		}
	}
	if open != 4*6 {
		t.Errorf("%d routes are open: whoever adds one says so here", open/4)
	}
	for _, path := range []string{"/", "/v1", "/v1/accounts/x/nothing", "/v1/nothing", "/metrics", "/docsx", "/livez/x"} {
		if a := g.get(path); a.status != http.StatusUnauthorized {
			t.Errorf("%s, which is nothing: %d", path, a.status)
		}
	}
}

func TestTheDocumentSaysWhichRoutesAskWhoIsThere(t *testing.T) {
	g := newKeyed(t, still)
	var document struct {
		Paths map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]any
		}
		Components struct {
			SecuritySchemes map[string]any
			Schemas         map[string]any
		}
	}
	body := g.get("/openapi.json").body
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths {
		for method, op := range item {
			_, says := op.Responses["401"]
			if asks := len(op.Security) > 0; asks == forEverybody(path) || says != asks {
				t.Errorf("%s %s: security %v, 401 %t", method, path, op.Security, says)
			}
			for _, one := range op.Security {
				for name := range one {
					if document.Components.SecuritySchemes[name] == nil {
						t.Errorf("%s %s: there is no scheme %s", method, path, name)
					}
				}
			}
		}
	}
	for _, name := range []string{"Key", "KeyList", "KeySecret", "NewKey", "AuditList"} {
		if document.Components.Schemas[name] == nil || !strings.Contains(body, schemaPrefix+name+`"`) {
			t.Errorf("the schema %s is missing, or not used", name)
		}
	}
}

func TestWhoAskedIsInTheEventsAndTheirKeysAreTheirOwn(t *testing.T) {
	g := newKeyed(t)
	create := func(id, as string) answer {
		return g.post("/v1/accounts/"+id+"/create", `{"owner":"Ada","currency":"EUR"}`, as, "Idempotency-Key: one")
	}
	if a := create("acc-1", g.as[access.Teller]); a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := create("acc-1", g.as[access.Teller]); a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("not replayed: %d %s", a.status, a.body)
	}
	events, err := g.store.ReadFeed(t.Context(), 0, 10)
	if err != nil || len(events) != 1 || !strings.Contains(string(events[0].Metadata), `"principal":"a-teller"`) {
		t.Errorf("got %v, %v", events, err)
	}
}

func TestWhoSendsMoreThanTheyMayWaitsAndNobodyElseDoes(t *testing.T) {
	g := newKeyed(t, func(o *options) { frozen(o); o.api.Limits = Limits{Requests: 2, Burst: 3} })
	for i := range 3 {
		a := g.get("/v1/events/evt-1", g.as[access.Auditor])
		if want := fmt.Sprintf(`"requests";r=%d;t=%d`, 2-i, (i+2)/2); a.status == http.StatusTooManyRequests || a.header.Get("RateLimit") != want || a.header.Get("RateLimit-Policy") != `"requests";q=3;w=2` {
			t.Fatalf("request %d: %d, RateLimit %s of %s, want %s", i, a.status, a.header.Get("RateLimit"), a.header.Get("RateLimit-Policy"), want)
		}
	}
	for _, spoofed := range []string{"X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7", "X-Real-Ip: 192.0.2.7", "X-Nothing: 1"} {
		a := g.get("/v1/events/evt-1", g.as[access.Auditor], spoofed)
		if a.status != http.StatusTooManyRequests || a.code(t) != "rate_limited" || a.header.Get("Retry-After") != "1" || !strings.HasPrefix(a.header.Get("RateLimit"), `"requests";r=0;`) {
			t.Errorf("with %s: %d %s %v", spoofed, a.status, a.body, a.header)
		}
	}
	if a := g.get("/v1/events/evt-1", g.as[access.Teller]); a.status == http.StatusTooManyRequests {
		t.Error("another principal waits too")
	}
	if a := g.get("/livez"); a.status != http.StatusOK {
		t.Errorf("the probe is limited: %d", a.status)
	}
}

func TestAnAddressThatGuessesIsAnsweredLessAndKeepsNobodyOut(t *testing.T) {
	const atOnce = 4 * Failures
	g := newKeyed(t, func(o *options) { frozen(o); o.api.Limits.Failures = Failures })
	for range atOnce {
		if a := g.get("/v1/status", "Authorization: Bearer dbk_guess_1"); a.status != http.StatusUnauthorized {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	for _, spoofed := range []string{"X-Forwarded-For: 192.0.2.7", "X-Nothing: 1"} {
		if a := g.get("/v1/status", "Authorization: Bearer dbk_guess_1", spoofed); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if a := g.get("/v1/status", g.as[access.Operator]); a.status != http.StatusOK {
		t.Errorf("a key that holds, from the same address: %d %s", a.status, a.body)
	}
	if got := g.entries(); len(got) != atOnce {
		t.Errorf("%d failures are in the audit log", len(got))
	}
}

func TestRefusalsAreInTheAuditLogWithWhoAndWhatAndWhy(t *testing.T) {
	g := newKeyed(t, still)
	g.get("/v1/accounts", "X-Request-Id: r-1")
	g.get("/v1/accounts?q=ada", "Authorization: Bearer dbk_aaaaaaaa_x", "X-Request-Id: r-2")
	g.get("/v1/admin/keys", g.as[access.Teller], "X-Request-Id: r-3")
	g.get("/v1/events/evt-1", g.as[access.Auditor], "X-Request-Id: r-4") // there is none, whoever asks
	g.post("/v1/admin/keys", `{}`, g.as[access.Operator], "Sec-Fetch-Site: cross-site")
	var got []string
	for _, e := range g.entries() {
		got = append(got, strings.Join([]string{e.RequestID, e.Subject, e.Action, e.Target, e.Outcome, e.Address}, "|")+"|"+e.Detail)
	}
	want := []string{
		"r-1||GET|/v1/accounts|unauthenticated|127.0.0.1|this is no key",
		"r-2||GET|/v1/accounts?q=ada|unauthenticated|127.0.0.1|there is no such key",
		"r-3|a-teller|GET /v1/admin/keys|/v1/admin/keys|forbidden|127.0.0.1|",
		"r-4|a-auditor|GET /v1/events/{id}|/v1/events/evt-1|read|127.0.0.1|",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAPrivilegedActionIsWrittenDownBeforeItIsDoneOrIsNotDone(t *testing.T) {
	audit := &failingAudit{}
	g := newKeyed(t, func(o *options) { audit.AuditLog, o.api.Audit = o.api.Audit, audit })
	privileged := 0
	for _, rt := range g.api.routes {
		if rt.privilege != writtenUp {
			continue
		}
		privileged++
		as := g.as[access.Operator]
		if rt.path == "/v1/admin/export" {
			as = g.as[access.Auditor]
		}
		audit.err = auditlog.ErrUnwritten.Because(errors.New("disk"))
		path := strings.Replace(rt.path, "{id}", "x", 1)
		if a := g.do(rt.method, path, "", as); a.status != http.StatusServiceUnavailable || a.code(t) != "audit_unavailable" {
			t.Errorf("%s %s without an audit log: %d %s", rt.method, rt.path, a.status, a.body)
		}
		audit.err = nil
		if a := g.do(rt.method, path, "", as); a.status == http.StatusUnauthorized {
			t.Errorf("%s %s: %d %s", rt.method, rt.path, a.status, a.body)
		}
	}
	got := g.entries()
	if privileged != 6 || len(got) < privileged {
		t.Fatalf("%d routes are privileged, %d entries", privileged, len(got))
	}
	begun := 0
	for _, e := range got {
		if e.Outcome == access.Begun && strings.HasPrefix(e.Subject, "a-") && strings.Contains(e.Action, " /v1/admin/") && e.RequestID != "" {
			begun++
		}
	}
	if begun != privileged {
		t.Errorf("%d actions are in the log: %+v", begun, got)
	}
}

func TestAPageThatPointsItsNameHereGetsNothing(t *testing.T) {
	w := newWorld(t, func(o *options) { o.still, o.api.LocalNames = true, true })
	for host, status := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "127.0.0.1": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "[::1]": 200, "192.0.2.1:80": 200,
		"evil.example.com": 403, "evil.example.com:8080": 403, "localhost.example.com": 403, "127.0.0.1.example.com": 403, "": 403,
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/status", nil)
		r.Host = host
		answered := httptest.NewRecorder()
		w.api.ServeHTTP(answered, r)
		if answered.Code != status && !(status == 200 && answered.Code == 503) {
			t.Errorf("%q: %d %s", host, answered.Code, answered.Body)
		}
	}
}

func TestEveryAnswerOfEveryRouteHasTheHeadersThatKeepABrowserSafe(t *testing.T) {
	g := newKeyed(t, func(o *options) { frozen(o); o.api.Secure = true })
	for _, rt := range g.api.routes {
		path := strings.NewReplacer("{id}", "x", "{file}", "x", "{prefix}", "x").Replace(rt.path)
		for _, headers := range [][]string{{g.as[access.Operator]}, {"Origin: https://evil.example.com"}} {
			if rt.path == "/v1/feed" && len(headers[0]) > 60 {
				continue // it does not end
			}
			a := g.do(rt.method, path, "", headers...)
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
				"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000",
			} {
				if a.header.Get(name) != want {
					t.Errorf("%s %s: %s is %q", rt.method, rt.path, name, a.header.Get(name))
				}
			}
			policy := a.header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
				t.Errorf("%s %s: the policy is %q", rt.method, rt.path, policy)
			}
			if cached := a.header.Get("Cache-Control"); cached != "no-store" && a.status < 400 && !strings.HasPrefix(rt.path, "/docs/assets") {
				t.Errorf("%s %s may be cached: %q", rt.method, rt.path, cached)
			}
			for name := range a.header {
				if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" || name == "Server" {
					t.Errorf("%s %s: it says %s", rt.method, rt.path, name)
				}
			}
		}
	}
}
