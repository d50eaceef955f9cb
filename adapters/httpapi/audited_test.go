package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"daybook/adapters/auditlog"
	"daybook/core/access"
)

// reading is every route that can be read by somebody who must say who they are, with a path at which it is.
func (g *keyed) reading() map[string]*route {
	paths := map[string]*route{}
	for i := range g.api.routes {
		rt := &g.api.routes[i]
		if rt.method == http.MethodGet && rt.right != access.Public {
			paths[strings.NewReplacer("{id}", "x", "{prefix}", "x").Replace(rt.path)] = rt
		}
	}
	return paths
}

func TestWhatAuditorsAndOperatorsReadIsInTheAuditLogAndWhatOthersReadIsNot(t *testing.T) {
	g := newKeyed(t, still)
	var want []string
	for path, rt := range g.reading() {
		for role, key := range g.as {
			g.do(http.MethodHead, path, "", key, "X-Request-Id: "+string(role)+path, reasonHeader+": case 17")
			own := slices.Contains([]access.Operation{access.Status, access.Operations, access.Checkpoint}, rt.right) // nothing of anybody is in there
			if rt.right.Reach(role) == access.All && (role == access.Auditor || role == access.Operator) && !own && rt.privilege == ordinary {
				want = append(want, string(role)+path)
			}
		}
	}
	var got []string
	for _, e := range g.entries() {
		if e.Outcome == access.Looked {
			got = append(got, e.RequestID)
			if e.Subject == "" || e.Address == "" || e.At.IsZero() || e.Reason != "case 17" || !strings.Contains(e.Action, "HEAD /v1/") || !strings.HasSuffix(e.RequestID, e.Target) {
				t.Errorf("the entry does not say who, what, when and why: %+v", e)
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(want) < 12 {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatCannotBeWrittenDownIsNotReadByAuditorsAndOperatorsAndOthersGoOn(t *testing.T) {
	audit := &failingAudit{err: auditlog.ErrUnwritten.Because(errors.New("disk"))}
	g := newKeyed(t, func(o *options) { frozen(o); audit.AuditLog, o.api.Audit = o.api.Audit, audit })
	for path, rt := range g.reading() {
		for role, key := range g.as {
			a := g.do(http.MethodHead, path, "", key)
			watched := (role == access.Auditor || role == access.Operator) && rt.right.Reach(role) == access.All && rt.right != access.Status && rt.right != access.Operations && rt.right != access.Checkpoint
			if refused := a.status == http.StatusServiceUnavailable && a.header.Get("Content-Type") == "application/problem+json"; watched != refused && (watched || a.status != http.StatusServiceUnavailable) {
				t.Errorf("%s as %s: %d", path, role, a.status)
			}
		}
	}
	if a := g.get("/v1/accounts/x/events", g.as[access.Auditor]); a.code(t) != "audit_unavailable" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestAReasonIsInTheEntryOfAPrivilegedActionAndOfKeys(t *testing.T) {
	g := newKeyed(t)
	operator := g.as[access.Operator]
	because := reasonHeader + ": der Umzug nach Köln, Fall 17"
	g.post("/v1/admin/rebuild", "", operator, because)
	g.post("/v1/admin/keys", `{"subject":"till","roles":["teller"]}`, operator, because)
	got := map[string]string{}
	for _, e := range g.entries() {
		got[e.Action] = e.Reason
	}
	for _, action := range []string{"POST /v1/admin/rebuild", "KeyCreated"} {
		if got[action] != "der Umzug nach Köln, Fall 17" {
			t.Errorf("%s has the reason %q", action, got[action])
		}
	}
}

func TestAReasonThatIsNoneIsRefusedAndNothingIsDone(t *testing.T) {
	g := newKeyed(t, still)
	for name, headers := range map[string][]string{
		"empty": {reasonHeader + ": "}, "blank": {reasonHeader + ":    "}, "too long": {reasonHeader + ": " + strings.Repeat("x", maxReason+1)},
		"no UTF-8": {reasonHeader + ": \xff"}, "a tab in it": {reasonHeader + ": a\tb"},
	} {
		if a := g.do(http.MethodPost, "/v1/admin/rebuild", "", append(headers, g.as[access.Operator])...); a.status != http.StatusBadRequest || a.code(t) != "invalid_header" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if got := g.entries(); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestWhereAReasonIsRequiredNothingIsDoneAndNothingOfOthersIsReadWithout(t *testing.T) {
	g := newKeyed(t, func(o *options) { frozen(o); o.api.NeedReason = true })
	for _, rt := range g.api.routes {
		path := strings.NewReplacer("events/{id}", "events/evt-1", "{id}", "x", "{prefix}", "x").Replace(rt.path)
		for role, key := range g.as {
			if rt.right.Reach(role) != access.All {
				continue
			}
			method := strings.Replace(rt.method, http.MethodGet, http.MethodHead, 1)
			watched := rt.method == http.MethodGet && (&access.Principal{Roles: []access.Role{role}}).Watched(rt.right)
			a := g.do(method, path, "", key)
			refused := a.status == http.StatusBadRequest && (method == http.MethodHead || strings.Contains(a.body, "reason_required"))
			if needs := rt.privilege != ordinary || watched; needs != refused {
				t.Errorf("%s %s as %s: %d %s", method, path, role, a.status, a.body)
			}
		}
	}
	if got := g.entries(); slices.ContainsFunc(got, func(e access.Entry) bool { return e.Outcome == access.Begun || e.Outcome == access.Looked }) {
		t.Errorf("got %+v", got)
	}
}

func TestCostlyRequestsHaveABucketOfTheirOwn(t *testing.T) {
	g := newKeyed(t, func(o *options) { frozen(o); o.api.Limits = Limits{Requests: 1000, Costly: 2} })
	costly := []string{
		"GET /v1/accounts?q=ada", "GET /v1/accounts/x/statement", "GET /v1/accounts/x/events", "GET /v1/accounts/x?effectiveAt=2025-01-01T00:00:00Z",
		"GET /v1/events", "GET /v1/events/evt-1/proof", "GET /v1/admin/export", "POST /v1/admin/rebuild", "POST /v1/admin/backup?dir=/x",
		"POST /v1/admin/archive?before=2025-01-01T00:00:00Z",
	}
	for _, role := range []access.Role{access.Teller, access.Operator, access.Auditor} {
		for i := range 2 {
			if a := g.get("/v1/events/evt-1/proof", g.as[role]); a.status == http.StatusTooManyRequests {
				t.Fatalf("%s is refused at request %d", role, i)
			}
		}
		for _, request := range costly {
			method, path, _ := strings.Cut(request, " ")
			a := g.do(method, path, "", g.as[role])
			if a.status != http.StatusTooManyRequests || a.code(t) != "rate_limited" || a.header.Get("Retry-After") != "30" {
				t.Errorf("%s as %s: %d %s", request, role, a.status, a.body)
			}
			if got := a.header.Get("RateLimit"); !strings.HasSuffix(got, `, "costly";r=0;t=60`) || !strings.HasPrefix(got, `"requests";r=`) {
				t.Errorf("%s as %s: RateLimit %s", request, role, got)
			}
			if got := a.header.Get("RateLimit-Policy"); got != `"requests";q=2000;w=2, "costly";q=2;w=60` {
				t.Errorf("%s as %s: RateLimit-Policy %s", request, role, got)
			}
		}
		for _, path := range []string{"/v1/accounts/x", "/v1/accounts", "/v1/events/evt-1", "/v1/status"} {
			if a := g.get(path, g.as[role]); a.status == http.StatusTooManyRequests {
				t.Errorf("%s as %s, which is not costly, is refused", path, role)
			}
		}
	}
}
