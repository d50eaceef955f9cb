package httpapi

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

func TestAnAccountIsShownAsTheViewHasIt(t *testing.T) {
	w := newWorld(t)
	w.create("acc-101", "800")
	a := w.get("/v1/accounts/acc-101?minPosition=2")
	if !strings.HasPrefix(a.body, `{"id":"acc-101","owner":"Ada Lovelace","ownerName":"Ada Lovelace","currency":"EUR","status":"open","balance":800,"overdraftLimit":0,"holders":[],"version":2,"position":2,"createdAt":"`) {
		t.Errorf("got %s", a.body)
	}
	if a.header.Get("ETag") != `"2"` || a.header.Get("Daybook-Position") != "2" || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %v", a.header)
	}
	if a := w.get("/v1/accounts/acc-101", `If-None-Match: "2"`); a.status != 304 || a.body != "" || a.header.Get("ETag") != `"2"` {
		t.Errorf("got %d %v", a.status, a.header)
	}
}

func TestAnAccountCanBeSeenAsItWas(t *testing.T) {
	w := newWorld(t)
	w.create("a", "100")
	w.post("/v1/accounts/a/deposit", `{"amount":50,"effectiveAt":"2020-01-01T00:00:00Z"}`)
	recorded := func(n int) string { return w.get(fmt.Sprintf("/v1/events/evt-%d", n)).json(t)["recordedAt"].(string) }
	for path, balance := range map[string]string{
		"?version=1": `"balance":0,`, "?version=2": `"balance":100,`, "?position=2": `"balance":100,`, "?position=3": `"balance":150,`,
		"?at=" + recorded(2): `"balance":100,`, "?at=" + recorded(1): `"balance":0,`, "?at=9999-01-01T00:00:00Z": `"balance":150,`,
		"?effectiveAt=2020-01-01T00:00:00Z": `"balance":50,"effectiveAt":"2020-01-01T00:00:00Z","at":"`, "?effectiveAt=2019-12-31T23:59:59.999999Z": `"balance":0,`,
		"?effectiveAt=2020-01-01T01:00:00%2B01:00":            `"balance":50,`,
		"?effectiveAt=2020-06-01T00:00:00Z&at=" + recorded(2): `"balance":0,"effectiveAt":"2020-06-01T00:00:00Z","at":"` + recorded(2) + `"`,
	} {
		if a := w.get("/v1/accounts/a" + path); a.status != 200 || !strings.Contains(a.body, balance) {
			t.Errorf("%s: got %d %s", path, a.status, a.body)
		}
	}
}

func TestQueriesAreRefusedInWords(t *testing.T) {
	w := newWorld(t)
	w.create("a", "100")
	for _, c := range []struct {
		path   string
		status int
		code   string
	}{
		{"/v1/accounts/a?version=0", 400, "invalid_parameter"},
		{"/v1/accounts/a?version=01", 400, "invalid_parameter"},
		{"/v1/accounts/a?version=3", 404, "version_not_found"},
		{"/v1/accounts/a?position=0", 400, "invalid_parameter"},
		{"/v1/accounts/a?position=3", 422, "position_ahead"},
		{"/v1/accounts/a?at=2000-01-01T00:00:00Z", 404, "account_not_found"},
		{"/v1/accounts/a?at=2000-01-01T00:00:00", 400, "invalid_parameter"},
		{"/v1/accounts/a?at=0000-01-01T00:00:00Z", 400, "invalid_parameter"},
		{"/v1/accounts/a?at=tomorrow", 400, "invalid_parameter"},
		{"/v1/accounts/a?at=", 400, "invalid_parameter"},
		{"/v1/accounts/a?at=2025-01-01T00:00:00Z&version=1", 400, "invalid_parameter"},
		{"/v1/accounts/a?effectiveAt=2025-01-01T00:00:00Z&version=1&at=2025-01-01T00:00:00Z", 400, "invalid_parameter"},
		{"/v1/accounts/a?effectiveAt=2025-01-01T00:00:00Z&version=99", 404, "version_not_found"},
		{"/v1/accounts/a/statement?limit=0", 400, "invalid_parameter"},
		{"/v1/accounts/a/statement?cursor=x", 400, "invalid_cursor"},
		{"/v1/accounts/a?minPosition=3", 422, "position_ahead"},
		{"/v1/accounts/a?minPosition=-1", 400, "invalid_parameter"},
		{"/v1/accounts/nobody", 404, "account_not_found"},
		{"/v1/accounts/nobody/events", 404, "account_not_found"},
		{"/v1/accounts/nobody/statement", 404, "account_not_found"},
		{"/v1/accounts/nobody?effectiveAt=2025-01-01T00:00:00Z", 404, "account_not_found"},
		{"/v1/accounts/a%2Fb", 400, "invalid_id"},
		{"/v1/accounts/%20", 400, "invalid_id"},
		{"/v1/accounts/" + strings.Repeat("x", 65), 400, "invalid_id"},
		{"/v1/accounts/", 404, "route_not_found"},
		{"/v1/accounts/./a", 400, "invalid_path"},
		{"/v1/accounts/a/", 404, "route_not_found"},
		{"/v1/accounts?limit=-1", 400, "invalid_parameter"},
		{"/v1/accounts?limit=0", 400, "invalid_parameter"},
		{"/v1/accounts?limit=1001", 400, "invalid_parameter"},
		{"/v1/accounts?limit=1e2", 400, "invalid_parameter"},
		{"/v1/accounts?Limit=1", 400, "invalid_parameter"},
		{"/v1/accounts?status=closing", 400, "invalid_parameter"},
		{"/v1/accounts?sort=owner", 400, "invalid_parameter"},
		{"/v1/accounts?minBalance=1.5", 400, "invalid_parameter"},
		{"/v1/accounts?q=--", 400, "invalid_parameter"},
		{"/v1/accounts?owner=%ff", 400, "invalid_parameter"},
		{"/v1/accounts?cursor=", 400, "invalid_cursor"},
		{"/v1/accounts?cursor=AAAA", 400, "invalid_cursor"},
		{"/v1/accounts/a/statement?from=2025-01-02T00:00:00Z&to=2025-01-01T00:00:00Z", 400, "invalid_parameter"},
		{"/v1/accounts/a/statement?from=2025-01-01T00:00:00Z&to=2025-01-01T00:00:00Z", 400, "invalid_parameter"},
		{"/v1/events?after=-1", 400, "invalid_parameter"},
		{"/v1/events?after=1&cursor=1", 400, "invalid_parameter"},
		{"/v1/events?type=Nothing", 400, "invalid_parameter"},
		{"/v1/events/evt-0", 400, "invalid_id"},
		{"/v1/events/17", 400, "invalid_id"},
		{"/v1/events/evt-3", 404, "event_not_found"},
		{"/v1/feed?after=3", 422, "position_ahead"},
		{"/v1/admin/operations/op-1", 404, "operation_not_found"},
		{"/readyz?verbose=maybe", 400, "invalid_parameter"},
		{"/docs/assets/nothing.js", 404, "route_not_found"},
	} {
		a := w.get(c.path)
		if a.status != c.status || a.header.Get("Content-Type") != "application/problem+json" || a.code(t) != c.code {
			t.Errorf("%s: got %d %s, want %d %s", c.path, a.status, a.body, c.status, c.code)
		}
	}
}

// ids gives the ids of a list's items.
func (a answer) ids(tb testing.TB) string {
	tb.Helper()
	var ids []string
	items, _ := a.json(tb)["items"].([]any)
	for _, item := range items {
		ids = append(ids, item.(map[string]any)["id"].(string))
	}
	return strings.Join(ids, " ")
}

func TestAccountsAreFoundAndSorted(t *testing.T) {
	w := newWorld(t)
	for i, owner := range []string{"Ada Lovelace", "Grace Hopper", "Adam Riese"} {
		id := fmt.Sprintf("acc-%d", i)
		w.post("/v1/accounts/"+id+"/create", `{"owner":"`+owner+`","currency":"EUR"}`)
		w.post("/v1/accounts/"+id+"/deposit", fmt.Sprintf(`{"amount":%d}`, 300-i*100))
	}
	w.post("/v1/accounts/acc-1/freeze", `{"reason":"why not"}`)
	fresh := w.fresh()
	for query, want := range map[string]string{
		"": "acc-0 acc-1 acc-2", "?sort=-id": "acc-2 acc-1 acc-0", "?sort=balance": "acc-2 acc-1 acc-0", "?sort=-createdAt": "acc-2 acc-1 acc-0",
		"?owner=Grace+Hopper": "acc-1", "?owner=grace+hopper": "", "?status=frozen": "acc-1", "?currency=USD": "", "?minBalance=200": "acc-0 acc-1",
		"?minBalance=200&maxBalance=200": "acc-1", "?q=ad": "acc-0 acc-2", "?q=RIESE+adam": "acc-2", "?limit=2": "acc-0 acc-1",
	} {
		if a := w.get("/v1/accounts"+query, fresh); a.ids(t) != want {
			t.Errorf("%s: got %s", query, a.body)
		}
	}
}

func TestPagesFollowEachOtherAndCursorsBelongToTheirList(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.create(fmt.Sprintf("acc-%d", i), fmt.Sprint(100+i%2))
	}
	fresh := w.fresh()
	var got []string
	cursor := ""
	for {
		a := w.get("/v1/accounts?sort=-balance&limit=2"+cursor, fresh)
		got = append(got, a.ids(t))
		next, more := a.json(t)["next"].(string)
		if !more {
			break
		}
		cursor = "&cursor=" + next
	}
	if want := "acc-3 acc-1|acc-4 acc-2|acc-0"; strings.Join(got, "|") != want {
		t.Errorf("got %v", got)
	}
	next := w.get("/v1/accounts?sort=-balance&limit=2", fresh).json(t)["next"].(string)
	for _, query := range []string{"?cursor=" + next, "?sort=balance&cursor=" + next, "?sort=-balance&status=open&cursor=" + next, "?sort=-balance&cursor=" + next[:len(next)-2], "?sort=-balance&cursor=" + next + "A"} {
		if a := w.get("/v1/accounts" + query); a.status != 400 || a.code(t) != "invalid_cursor" {
			t.Errorf("%s: got %d %s", query, a.status, a.body)
		}
	}
}

func TestACursorWithTextThatIsNotUTF8IsRefusedBeforeItReachesTheViews(t *testing.T) {
	w := newWorld(t)
	w.create("a", "1")
	for _, key := range []string{"\xff", "a\xc3", "\xed\xa0\x80"} {
		forged := cursorText("accounts\x00sort=id", ports.Cursor{Key: es.Value{Str: key}, ID: "a"})
		if a := w.get("/v1/accounts?sort=id&cursor=" + forged); a.status != 400 || a.code(t) != "invalid_cursor" {
			t.Errorf("%q: got %d %s", key, a.status, a.body)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursorText("list", ports.Cursor{Key: es.Value{Int: -7, Str: "x"}, ID: "acc-1"}), "acc-9", int64(5), "key")
	f.Add("", "a", int64(0), "")
	f.Add("ozA5XMClOtENAXhhY2MtMQy1IgrI7d\r5E", "0", int64(5), "0") // a line end inside
	f.Fuzz(func(t *testing.T, text, id string, n int64, key string) {
		if c, err := parseCursor("list", text); err == nil && cursorText("list", c) != text {
			t.Fatalf("%q was taken and is %q", text, cursorText("list", c))
		}
		c := ports.Cursor{Key: es.Value{Int: n, Str: key}, ID: id}
		own := cursorText("list", c)
		if got, err := parseCursor("list", own); err == nil && got != c {
			t.Fatalf("%+v came back as %+v", c, got)
		}
		if _, err := parseCursor("other", own); err == nil {
			t.Fatal("a cursor of another list was taken")
		}
		raw, _ := base64.RawURLEncoding.DecodeString(own)
		raw[len(text)%len(raw)] ^= 1
		if _, err := parseCursor("list", base64.RawURLEncoding.EncodeToString(raw)); err == nil {
			t.Fatal("a forged cursor was taken")
		}
	})
}

func TestEventsAreServedByteForByte(t *testing.T) {
	w := newWorld(t)
	w.create("a", "1")
	w.create("b", "2")
	stored, err := w.store.ReadFeed(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i := range stored {
		all = append(all, string(stored[i].AppendJSON(nil)))
	}
	for path, want := range map[string]string{
		"/v1/events":                             `{"items":[` + strings.Join(all, ",") + `]}`,
		"/v1/events?limit=2":                     `{"items":[` + strings.Join(all[:2], ",") + `],"next":"2"}`,
		"/v1/events?after=2&limit=2":             `{"items":[` + strings.Join(all[2:], ",") + `]}`,
		"/v1/events?cursor=2":                    `{"items":[` + strings.Join(all[2:], ",") + `]}`,
		"/v1/events?type=MoneyDeposited&limit=1": `{"items":[` + all[1] + `],"next":"3"}`,
		"/v1/events?after=3&type=MoneyDeposited": `{"items":[` + all[3] + `]}`,
		"/v1/events?after=4":                     `{"items":[]}`,
		"/v1/events/evt-3":                       all[2],
		"/v1/accounts/b/events":                  `{"items":[` + all[2] + "," + all[3] + `]}`,
		"/v1/accounts/b/events?limit=1":          `{"items":[` + all[2] + `],"next":"1"}`,
		"/v1/accounts/b/events?after=1":          `{"items":[` + all[3] + `]}`,
		"/v1/accounts/b/events?after=2":          `{"items":[]}`,
	} {
		if a := w.get(path); a.body != want {
			t.Errorf("%s: got %s, want %s", path, a.body, want)
		}
	}
}

func TestAStatementAddsUp(t *testing.T) {
	w := newWorld(t)
	w.create("a", "")
	w.create("b", "")
	w.post("/v1/accounts/a/deposit", `{"amount":100,"effectiveAt":"2025-01-10T00:00:00Z","reference":"=1+1","description":"say \"hi\", you"}`)
	w.post("/v1/accounts/a/deposit", `{"amount":50,"effectiveAt":"2024-12-31T00:00:00Z"}`)
	w.post("/v1/accounts/a/transfer", `{"to":"b","amount":30,"effectiveAt":"2025-01-20T00:00:00Z"}`)
	w.post("/v1/accounts/a/withdraw", `{"amount":10,"effectiveAt":"2025-02-01T00:00:00Z"}`)
	const path = "/v1/accounts/a/statement?from=2025-01-01T00:00:00Z&to=2025-02-01T00:00:00Z"
	a := w.get(path)
	for _, part := range []string{
		`{"id":"a","currency":"EUR","from":"2025-01-01T00:00:00Z","to":"2025-02-01T00:00:00Z","at":"`,
		`"openingBalance":50,"entries":[{"id":"evt-3","eventType":"MoneyDeposited","effectiveAt":"2025-01-10T00:00:00Z","recordedAt":"`,
		`"amount":100,"balance":150,"version":2,"position":3,"reference":"=1+1","description":"say \"hi\", you"},`,
		`"amount":-30,"balance":120,"version":4,"position":5,"transferId":"trf-5","counterparty":"b"}],"closingBalance":120}`,
	} {
		if !strings.Contains(a.body, part) {
			t.Errorf("%s is not in %s", part, a.body)
		}
	}
	if s := w.get("/v1/accounts/a/statement").json(t); s["openingBalance"] != 0.0 || s["closingBalance"] != 110.0 || s["from"] != nil || len(s["entries"].([]any)) != 4 {
		t.Errorf("got %v", s)
	}
	table := w.get(path, "Accept: text/csv")
	lines := strings.Split(table.body, "\n")
	if table.header.Get("Content-Type") != csvType || len(lines) != 6 || lines[0] != strings.Join(csvColumns, ",") {
		t.Fatalf("got %v %s", table.header, table.body)
	}
	for i, part := range []string{"", "OpeningBalance,,50,", `,evt-3,MoneyDeposited,100,150,2,3,,,'=1+1,"say ""hi"", you"`, ",-30,120,4,5,trf-5,b,,", "ClosingBalance,,120,"} {
		if !strings.Contains(lines[i], part) {
			t.Errorf("%q is not in %s", part, lines[i])
		}
	}
}

func TestPagesOfAStatementFitTogetherWhateverHappensMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.create("a", "")
	for day := range 7 {
		w.post("/v1/accounts/a/deposit", fmt.Sprintf(`{"amount":%d,"effectiveAt":"2025-01-%02dT00:00:00Z"}`, 1+day, 20-day))
	}
	const path = "/v1/accounts/a/statement?from=2025-01-15T00:00:00Z"
	whole := w.get(path).json(t)
	var entries []any
	page := w.get(path + "&limit=2").json(t)
	first := page
	for {
		entries = append(entries, page["entries"].([]any)...)
		if page["openingBalance"] != whole["openingBalance"] || page["closingBalance"] != whole["closingBalance"] || page["at"] != first["at"] {
			t.Fatalf("a page is of another statement: %v", page)
		}
		next, more := page["next"].(string)
		if !more {
			break
		}
		w.post("/v1/accounts/a/deposit", `{"amount":100,"effectiveAt":"2025-01-16T00:00:00Z"}`)
		for _, other := range []string{"/v1/accounts/a/statement?limit=2&cursor=" + next, path + "&at=2025-01-16T00:00:00Z&cursor=" + next} {
			if a := w.get(other); a.status != 400 {
				t.Errorf("the cursor of another statement is answered with %d", a.status)
			}
		}
		page = w.get(path + "&limit=2&cursor=" + next).json(t)
	}
	if !reflect.DeepEqual(entries, whole["entries"]) || len(entries) != 6 {
		t.Errorf("got %v, want %v", entries, whole["entries"])
	}
	if a := w.get(path+"&limit=2", "Accept: text/csv"); a.status != 400 {
		t.Errorf("a table has no pages, and is answered with %d", a.status)
	}
	for _, known := range []string{"version=4", "position=4"} {
		a := w.get("/v1/accounts/a?effectiveAt=2025-01-19T00:00:00Z&" + known).json(t)
		recorded := w.get("/v1/events/evt-4").json(t)["recordedAt"]
		if a["balance"] != 5.0 || a["at"] != recorded {
			t.Errorf("as known at %s it is %v", known, a)
		}
	}
}

func TestWhileViewsAreBuiltHistoryAndCommandsGoOn(t *testing.T) {
	w := newWorld(t, func(o *options) { o.noViews = true })
	w.create("a", "5")
	for _, path := range []string{"/v1/accounts/a", "/v1/accounts", "/v1/accounts/a?minPosition=1"} {
		if a := w.get(path); a.status != 503 || a.code(t) != "view_rebuilding" || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{"/v1/accounts/a?version=2", "/v1/accounts/a/events", "/v1/accounts/a/statement", "/v1/events", "/v1/status", "/readyz"} {
		if a := w.get(path); a.status != 200 {
			t.Errorf("%s: got %d %s", path, a.status, a.body)
		}
	}
}

func TestAParkedAccountIsNotShown(t *testing.T) {
	w := newWorld(t)
	w.create("a", "5")
	unreadable := es.Recorded{Type: "FromTheFuture", Schema: 1, Data: []byte(`{}`), Metadata: []byte(`{"principal":"local"}`)}
	if _, err := ports.Append(t.Context(), w.store, w.engine.Now(), "a", 2, unreadable); err != nil {
		t.Fatal(err)
	}
	w.create("b", "6")
	if a := w.get("/v1/accounts/b", w.fresh()); a.status != 200 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := w.get("/v1/accounts/a"); a.status != 503 || a.code(t) != "view_parked" || a.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := w.post("/v1/accounts/a/deposit", `{"amount":1}`); a.status != 503 || a.code(t) != "later_build" ||
		a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "run a build that knows schema 1 of FromTheFuture") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if s := w.get("/v1/status").json(t); s["parkedCount"] != 1.0 || s["parked"].([]any)[0].(map[string]any)["id"] != "a" {
		t.Errorf("got %v", s)
	}
	if a := w.get("/v1/accounts/a/events"); a.status != 200 || !strings.Contains(a.body, "FromTheFuture") {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestARebuildIsAnOperation(t *testing.T) {
	faulttable.Covers(t, "F54", faulttable.Memory)
	w := newWorld(t)
	w.create("a", "5")
	a := w.do(http.MethodPost, "/v1/admin/rebuild", "")
	if a.status != 202 || a.header.Get("Location") != "/v1/admin/operations/op-1" || a.json(t)["state"] != "running" {
		t.Fatalf("got %d %v %s", a.status, a.header, a.body)
	}
	for w.get(a.header.Get("Location")).json(t)["state"] == "running" {
	}
	if a := w.get("/v1/admin/operations/op-1"); !strings.HasPrefix(a.body, `{"id":"op-1","kind":"rebuild","state":"done","position":2,"head":2,"percent":100,"views":[{"name":"accounts","digest":"`) ||
		!strings.HasSuffix(a.body, `"same":1,"added":0,"removed":0,"changed":0,"differences":[]}]}`) {
		t.Errorf("got %s", a.body)
	}
}
