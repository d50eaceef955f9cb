package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"daybook/core/access"
)

func TestAnOperatorMakesListsRotatesAndRevokesKeys(t *testing.T) {
	g := newKeyed(t, still)
	as := g.as[access.Operator]
	a := g.post("/v1/admin/keys", `{"subject":"till","roles":["teller"],"expires":"2999-01-01T00:00:00Z"}`, as)
	made := a.json(t)
	secret, _ := made["key"].(string)
	prefix, _ := made["prefix"].(string)
	if a.status != http.StatusCreated || made["subject"] != "till" || made["expires"] != "2999-01-01T00:00:00Z" || !strings.HasPrefix(secret, "dbk_"+prefix+"_") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := g.get("/v1/events/evt-1", "Authorization: Bearer "+secret); a.status == http.StatusUnauthorized {
		t.Errorf("the new key lets nobody in: %s", a.body)
	}
	if a := g.get("/v1/admin/keys", as); a.status != http.StatusOK || !strings.Contains(a.body, `"prefix":"`+prefix+`"`) || strings.Contains(a.body, `"key"`) || strings.Contains(a.body, "hash") {
		t.Errorf("the list: %d %s", a.status, a.body)
	}
	a = g.post("/v1/admin/keys/"+prefix+"/rotate?graceSeconds=0", "", as)
	next, _ := a.json(t)["key"].(string)
	if a.status != http.StatusCreated || a.json(t)["replaces"] != prefix {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := g.get("/v1/events/evt-1", "Authorization: Bearer "+secret); a.status != http.StatusUnauthorized {
		t.Errorf("the old key goes on: %d", a.status)
	}
	nextPrefix, _ := a.json(t)["prefix"].(string)
	if a := g.post("/v1/admin/keys/"+nextPrefix+"/revoke", "", as); a.status != http.StatusOK || a.json(t)["revoked"] == nil {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := g.get("/v1/events/evt-1", "Authorization: Bearer "+next); a.status != http.StatusUnauthorized {
		t.Errorf("a revoked key goes on: %d", a.status)
	}
}

func TestNobodyElseDealsWithKeysAndAuditorsAloneReadTheAuditLog(t *testing.T) {
	g := newKeyed(t, still)
	for _, role := range []access.Role{access.Customer, access.Teller, access.Auditor, access.Operator} {
		for path, allowed := range map[string]access.Role{
			"GET /v1/admin/keys": access.Operator, "POST /v1/admin/keys": access.Operator, "POST /v1/admin/keys/x/rotate": access.Operator,
			"POST /v1/admin/keys/x/revoke": access.Operator, "GET /v1/admin/audit": access.Auditor,
		} {
			method, path, _ := strings.Cut(path, " ")
			if a := g.do(method, path, "", g.as[role], asJSON); (a.status == http.StatusForbidden) != (role != allowed) {
				t.Errorf("%s %s as %s: %d %s", method, path, role, a.status, a.body)
			}
		}
	}
}

func TestWhatIsNoRequestForAKeyIsRefused(t *testing.T) {
	g := newKeyed(t, still)
	as := g.as[access.Operator]
	for body, code := range map[string]string{
		``:                                 "invalid_body",
		`{"subject":"a"}`:                  "key_refused",
		`{"roles":["teller"]`:              "invalid_body",
		`{"subject":"a","roles":["root"]}`: "key_refused",
		`{"subject":"a","roles":["teller"],"admin":true}`:                     "invalid_body",
		`{"subject":"a","subject":"b","roles":["teller"]}`:                    "invalid_body",
		`{"subject":"a","roles":["teller"],"expires":"soon"}`:                 "invalid_field",
		`{"subject":"a","roles":["teller"],"expires":"2001-01-01T00:00:00Z"}`: "key_refused",
		`{"subject":"a\u0000","roles":["teller"]}`:                            "key_refused",
		`{"subject":"a","roles":["teller"],"expires":null}`:                   "invalid_field",
		`{"subject":"a","roles":["teller"],"expires":4}`:                      "invalid_field",
		`{"subject":"a","roles":"teller"}`:                                    "invalid_body",
	} {
		if a := g.post("/v1/admin/keys", body, as); a.status != http.StatusBadRequest || a.code(t) != code {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if a := g.do("POST", "/v1/admin/keys", `{}`, as, "Content-Type: text/plain"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("a text: %d", a.status)
	}
	for _, path := range []string{"/v1/admin/keys/aaaaaaaa/rotate", "/v1/admin/keys/aaaaaaaa/revoke"} {
		if a := g.post(path, "", as); a.status != http.StatusNotFound || a.code(t) != "key_not_found" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := g.post("/v1/admin/keys/aaaaaaaa/rotate?graceSeconds=99999999", "", as); a.status != http.StatusBadRequest {
		t.Errorf("a grace of years: %d %s", a.status, a.body)
	}
}

func TestTheAuditLogIsReadPageByPageAndFromATimeOn(t *testing.T) {
	g := newKeyed(t, still)
	for range 5 {
		if err := g.log.Record(t.Context(), access.Entry{Subject: "ops", Action: "x", Outcome: access.Done}); err != nil {
			t.Fatal(err)
		}
	}
	as := g.as[access.Auditor]
	seen, query := 0, "?limit=1" // every page is an entry itself
	for query != "" {
		a := g.get("/v1/admin/audit"+query, as)
		var page struct {
			Items []struct{ Position int }
			Next  string
		}
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, e := range page.Items {
			if seen++; e.Position != seen {
				t.Fatalf("entry %d is at position %d", seen, e.Position)
			}
		}
		if query = ""; page.Next != "" {
			query = "?limit=1&cursor=" + page.Next
		}
	}
	if seen != 4+5+1 { // and the first page

		t.Errorf("%d entries", seen)
	}
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	if a := g.get("/v1/admin/audit?since="+later, as); a.body != `{"items":[]}` {
		t.Errorf("from then on: %s", a.body)
	}
	for _, query := range []string{"?since=yesterday", "?after=-1", "?after=1&cursor=1-2", "?cursor=1", "?cursor=01-2", "?cursor=x", "?subject=x"} {
		if a := g.get("/v1/admin/audit"+query, as); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, a.status)
		}
	}
}
