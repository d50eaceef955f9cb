package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"daybook/adapters/memstore"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

func TestACommandIsAnsweredWithWhatItDid(t *testing.T) {
	w := newWorld(t)
	a := w.post("/v1/accounts/acc-101/create", `{"owner":"Ada","currency":"EUR"}`)
	if a.status != 201 || a.header.Get("Location") != "/v1/accounts/acc-101" || a.header.Get("ETag") != `"1"` || a.header.Get("Daybook-Position") != "1" {
		t.Errorf("create: %d %v", a.status, a.header)
	}
	a = w.post("/v1/accounts/acc-101/deposit", `{"amount":1000}`)
	want := `{"account":"acc-101","version":2,"position":2,"balance":1000,"events":[{"id":"evt-2","eventType":"MoneyDeposited","version":2,"position":2}]}`
	if a.status != 200 || a.body != want || a.header.Get("ETag") != `"2"` || a.header.Get("Daybook-Position") != "2" {
		t.Errorf("deposit: %d %v %s", a.status, a.header, a.body)
	}
}

func TestATransferAnswersWithItsLastPosition(t *testing.T) {
	w := newWorld(t)
	w.create("a", "1000")
	w.create("b", "")
	a := w.post("/v1/accounts/a/transfer", `{"to":"b","amount":300}`)
	if want := `{"account":"a","version":3,"position":5,"balance":700,"events":[{"id":"evt-4","eventType":"MoneyTransferredOut","version":3,"position":4}]}`; a.body != want {
		t.Errorf("got %s", a.body)
	}
}

func TestRefusalsAreProblems(t *testing.T) {
	w := newWorld(t)
	w.create("a", "100")
	long := strings.Repeat("a", 65)
	for _, c := range []struct {
		sentence, path, body string
		status               int
		code                 string
	}{
		{"an account that exists", "/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`, 409, "account_exists"},
		{"an account that does not exist", "/v1/accounts/nobody/deposit", `{"amount":1}`, 404, "account_not_found"},
		{"more than there is", "/v1/accounts/a/withdraw", `{"amount":101}`, 422, "insufficient_funds"},
		{"an unknown counterparty", "/v1/accounts/a/transfer", `{"to":"nobody","amount":1}`, 422, "unknown_counterparty"},
		{"what lies in the future", "/v1/accounts/a/deposit", `{"amount":1,"effectiveAt":"9999-12-31T23:59:59Z"}`, 400, "effective_in_future"},
		{"the year 0", "/v1/accounts/a/deposit", `{"amount":1,"effectiveAt":"0000-01-01T00:00:00Z"}`, 400, "invalid_field"},
		{"a bad amount", "/v1/accounts/a/deposit", `{"amount":1e400}`, 400, "invalid_field"},
		{"an empty body", "/v1/accounts/a/deposit", ``, 400, "invalid_body"},
		{"an unknown command", "/v1/accounts/a/Deposit", `{"amount":1}`, 404, "unknown_command"},
		{"an unknown route", "/v2/accounts", `{}`, 404, "route_not_found"},
		{"an unknown parameter", "/v1/accounts/a/deposit?dryrun=true", `{"amount":1}`, 400, "invalid_parameter"},
		{"a parameter given twice", "/v1/accounts/a/deposit?dryRun=true&dryRun=true", `{"amount":1}`, 400, "invalid_parameter"},
		{"a flag that is neither", "/v1/accounts/a/deposit?dryRun=1", `{"amount":1}`, 400, "invalid_parameter"},
		{"a malformed query", "/v1/accounts/a/deposit?dryRun=%zz", `{"amount":1}`, 400, "invalid_parameter"},
		{"an id with a slash", "/v1/accounts/a%2Fb/deposit", `{"amount":1}`, 400, "invalid_id"},
		{"an id of two dots", "/v1/accounts/../deposit", `{"amount":1}`, 400, "invalid_path"},
		{"an id of two dots in escapes", "/v1/accounts/%2e%2e/deposit", `{"amount":1}`, 400, "invalid_id"},
		{"an id with NUL", "/v1/accounts/a%00/deposit", `{"amount":1}`, 400, "invalid_id"},
		{"an id with a space", "/v1/accounts/a%20b/deposit", `{"amount":1}`, 400, "invalid_id"},
		{"an id of 65 characters", "/v1/accounts/" + long + "/deposit", `{"amount":1}`, 400, "invalid_id"},
		{"an empty id", "/v1/accounts//deposit", `{"amount":1}`, 400, "invalid_path"},
		{"a body of 65537 bytes", "/v1/accounts/a/deposit", `{"amount":1}` + strings.Repeat(" ", 65536-11), 413, "body_too_large"},
		{"ten thousand arrays in each other", "/v1/accounts/a/deposit", `{"amount":` + strings.Repeat("[", 10_001), 400, "invalid_body"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			a := w.post(c.path, c.body)
			p := a.json(t)
			if a.status != c.status || p["code"] != c.code || a.header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("got %d %s, want %d %s", a.status, a.body, c.status, c.code)
			}
			if p["type"] != "/docs/errors#"+c.code || p["requestId"] != a.header.Get("X-Request-Id") || p["status"] != float64(c.status) || p["detail"] == "" {
				t.Errorf("the problem is not whole: %s", a.body)
			}
		})
	}
	if a := w.post("/v1/accounts/a/withdraw", `{"amount":101}`).json(t); a["balance"] != 100.0 || a["limit"] != 0.0 || a["requested"] != 101.0 {
		t.Errorf("the refusal has not its figures: %v", a)
	}
}

func TestHeadersAreReadStrictly(t *testing.T) {
	faulttable.Covers(t, "F48", faulttable.Memory)
	w := newWorld(t)
	w.create("a", "100")
	for _, c := range []struct {
		header string
		status int
		code   string
	}{
		{`If-Match: "2"`, 200, ""},
		{`If-Match: "2"`, 412, "version_mismatch"},
		{`If-Match: 3`, 400, "invalid_header"},
		{`If-Match: W/"3"`, 400, "invalid_header"},
		{`If-Match: "03"`, 400, "invalid_header"},
		{`If-Match: "3", "4"`, 400, "invalid_header"},
		{`If-Match: *`, 400, "invalid_header"},
		{`Idempotency-Key: bare-1`, 200, ""},
		{`Idempotency-Key: "quoted \"1\""`, 400, "invalid_header"},
		{`Idempotency-Key: "quoted-\"1\""`, 200, ""},
		{`Idempotency-Key: "open`, 400, "invalid_header"},
		{`Idempotency-Key: ""`, 400, "invalid_header"},
		{`Idempotency-Key: two words`, 400, "invalid_header"},
		{`Idempotency-Key: ` + strings.Repeat("k", 256), 400, "invalid_header"},
		{`Content-Encoding: gzip`, 415, "unsupported_media_type"},
	} {
		t.Run(c.header, func(t *testing.T) {
			a := w.post("/v1/accounts/a/deposit", `{"amount":1}`, c.header)
			if a.status != c.status || c.code != "" && a.code(t) != c.code {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, c.status, c.code)
			}
		})
	}
	for contentType, status := range map[string]int{
		"": 415, "text/plain": 415, "application/json; charset=latin1": 415, "application/json;charset=UTF-8": 200, "application/json; charset=utf-8": 200, "Application/JSON": 200,
	} {
		headers := []string{"Content-Type: " + contentType}
		if contentType == "" {
			headers = nil
		}
		if a := w.do(http.MethodPost, "/v1/accounts/a/deposit", `{"amount":1}`, headers...); a.status != status {
			t.Errorf("Content-Type %q: got %d %s, want %d", contentType, a.status, a.body, status)
		}
	}
}

func TestAQuotedKeyIsTheBareKey(t *testing.T) {
	w := newWorld(t)
	w.create("a", "")
	first := w.post("/v1/accounts/a/deposit", `{"amount":1}`, `Idempotency-Key: k1`)
	again := w.post("/v1/accounts/a/deposit", ` {"amount": 1}`, `Idempotency-Key: "k1"`)
	if again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" || first.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("got %v %s", again.header, again.body)
	}
	if a := w.post("/v1/accounts/a/deposit", `{"amount":2}`, `Idempotency-Key: k1`); a.status != 422 || a.code(t) != "idempotency_key_mismatch" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestARefusalIsReplayedAsTheFirstTime(t *testing.T) {
	faulttable.Covers(t, "F49", faulttable.Memory)
	w := newWorld(t)
	w.create("a", "")
	first := w.post("/v1/accounts/a/withdraw", `{"amount":1}`, `Idempotency-Key: k1`, "X-Request-Id: same")
	w.post("/v1/accounts/a/deposit", `{"amount":5}`)
	again := w.post("/v1/accounts/a/withdraw", `{"amount":1}`, `Idempotency-Key: k1`, "X-Request-Id: same")
	if again.status != 422 || again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("got %d %s", again.status, again.body)
	}
}

func TestOneKeyAHundredTimesAtOnceHasOneEffect(t *testing.T) {
	faulttable.Covers(t, "F47", faulttable.Memory)
	w := newWorld(t)
	w.create("a", "")
	var clients sync.WaitGroup
	var mu sync.Mutex
	replayed, bodies := 0, map[string]bool{}
	for range 100 {
		clients.Go(func() {
			a := w.post("/v1/accounts/a/deposit", `{"amount":7}`, `Idempotency-Key: once`)
			mu.Lock()
			defer mu.Unlock()
			bodies[a.body] = true
			if a.header.Get("Idempotency-Replayed") == "true" {
				replayed++
			}
		})
	}
	clients.Wait()
	if replayed != 99 || len(bodies) != 1 {
		t.Errorf("%d were replayed, with %d different answers", replayed, len(bodies))
	}
	if a := w.get("/v1/accounts/a", w.fresh()); !strings.Contains(a.body, `"balance":7,`) {
		t.Errorf("got %s", a.body)
	}
}

// doubtful is a store whose commits are written, and then the connection is lost.
type doubtful struct {
	ports.Store
	lost atomic.Bool
}

type doubtfulUnit struct {
	ports.Unit
	s *doubtful
}

func (s *doubtful) Begin(ctx context.Context, needs ports.Needs) (ports.Unit, error) {
	unit, err := s.Store.Begin(ctx, needs)
	return doubtfulUnit{unit, s}, err
}

func (u doubtfulUnit) Commit(ctx context.Context, b ports.Batch) error {
	if err := u.Unit.Commit(ctx, b); err != nil || !u.s.lost.Load() {
		return err
	}
	return ports.ErrOutcomeUnknown.Because(errors.New("connection reset by 10.0.0.7"))
}

func TestAnUnknownOutcomeIsSettledByTheSameKey(t *testing.T) {
	store := &doubtful{Store: memstore.New()}
	w := newWorld(t, func(o *options) { o.store = store })
	w.create("a", "")
	store.lost.Store(true)
	a := w.post("/v1/accounts/a/deposit", `{"amount":5}`, "Idempotency-Key: k")
	if p := a.json(t); a.status != 503 || p["outcome"] != "unknown" || !strings.Contains(p["detail"].(string), "same idempotency key") || a.header.Get("Retry-After") == "" || strings.Contains(a.body, "10.0.0.7") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := w.post("/v1/accounts/a/deposit", `{"amount":5}`); !strings.Contains(a.body, "no idempotency key") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	store.lost.Store(false)
	if a := w.post("/v1/accounts/a/deposit", `{"amount":5}`, "Idempotency-Key: k"); a.status != 200 || a.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if !strings.Contains(w.log.String(), "10.0.0.7") {
		t.Errorf("the log has %s", w.log.String())
	}
}

func TestADryRunWritesNothing(t *testing.T) {
	faulttable.Covers(t, "F64", faulttable.Memory)
	w := newWorld(t)
	a := w.post("/v1/accounts/a/create?dryRun=true", `{"owner":"Ada","currency":"EUR"}`)
	if a.status != 200 || a.header.Get("Location") != "" || a.header.Get("Daybook-Position") != "" {
		t.Errorf("got %d %v", a.status, a.header)
	}
	if a := w.get("/v1/events"); a.body != `{"items":[]}` {
		t.Errorf("got %s", a.body)
	}
}

func TestAnEventKeepsWhereItCameFrom(t *testing.T) {
	w := newWorld(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	a := w.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`, "X-Request-Id: req-1", "traceparent: "+trace, "Idempotency-Key: k")
	if a.header.Get("X-Request-Id") != "req-1" {
		t.Errorf("got the request id %q", a.header.Get("X-Request-Id"))
	}
	if want := `"metadata":{"principal":"local","commandId":"k","requestId":"req-1","traceparent":"` + trace + `"}`; !strings.Contains(w.get("/v1/events/evt-1").body, want) {
		t.Errorf("got %s", w.get("/v1/events/evt-1").body)
	}
	for _, bad := range []string{"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x"} {
		if got := traceparent(http.Header{"Traceparent": {bad}}); got != "" {
			t.Errorf("%q was kept", bad)
		}
	}
	if a := w.get("/livez", "X-Request-Id: "+strings.Repeat("r", 129)); len(a.header.Get("X-Request-Id")) != 32 {
		t.Errorf("a request id that is too long was kept")
	}
}

// endless gives spaces for ever and counts them.
type endless struct{ read atomic.Int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.read.Add(int64(len(b))) > 1<<30 {
		return 0, io.EOF
	}
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func TestAGibibyteIsRefusedWithoutBeingRead(t *testing.T) {
	faulttable.Covers(t, "F44", faulttable.Memory)
	w := newWorld(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	body := &endless{}
	r, err := http.NewRequest(http.MethodPost, w.server.URL+"/v1/accounts/a/deposit", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil { // else the connection was closed before all was sent, which is as good
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("got %d", resp.StatusCode)
		}
	}
	runtime.ReadMemStats(&after)
	if body.read.Load() > 64<<20 || after.TotalAlloc-before.TotalAlloc > 16<<20 {
		t.Errorf("%d bytes were read and %d allocated", body.read.Load(), after.TotalAlloc-before.TotalAlloc)
	}
}

func TestMethodsAreThoseOfTheRoutes(t *testing.T) {
	w := newWorld(t)
	w.create("a", "1")
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/accounts/a/deposit", 405, "POST, OPTIONS"},
		{"PUT", "/v1/accounts/a/deposit", 405, "POST, OPTIONS"},
		{"POST", "/v1/accounts/a", 405, "GET, HEAD, OPTIONS"},
		{"POST", "/v1/accounts/a/events", 405, "GET, HEAD, OPTIONS"},
		{"TRACE", "/v1/accounts", 405, "GET, HEAD, OPTIONS"},
		{"DELETE", "/v1/commands", 405, "POST, OPTIONS"},
		{"OPTIONS", "/v1/accounts", 204, "GET, HEAD, OPTIONS"},
		{"HEAD", "/v1/events", 200, ""},
		{"HEAD", "/v1/feed", 200, ""},
		{"HEAD", "/v1/accounts/a/deposit", 405, "POST, OPTIONS"},
	} {
		a := w.do(c.method, c.path, "")
		if a.status != c.status || a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: got %d, Allow %q", c.method, c.path, a.status, a.header.Get("Allow"))
		}
		if c.method == "HEAD" && a.body != "" {
			t.Errorf("HEAD %s has a body", c.path)
		}
	}
}

func TestEveryAnswerHasTheHeadersThatKeepABrowserSafe(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/v1/accounts", "/v1/nothing", "/livez", "/docs", "/docs/errors", "/openapi.json"} {
		h := w.get(path).header
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("X-Request-Id") == "" ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: got %v", path, h)
		}
	}
}

func TestABrowserOfAnotherSiteIsRefused(t *testing.T) {
	w := newWorld(t)
	if a := w.do("POST", "/v1/admin/rebuild", "", "Sec-Fetch-Site: cross-site"); a.status != 403 || a.code(t) != "cross_site_request" {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestAPanicIsAnsweredAndTheProcessLives(t *testing.T) {
	faulttable.Covers(t, "F10", faulttable.Memory)
	w := newWorld(t)
	w.api.mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic(errors.New("secret")) })
	a := w.get("/panic", "X-Request-Id: req-9")
	if a.status != 500 || a.code(t) != "internal" || strings.Contains(a.body, "secret") || a.json(t)["requestId"] != "req-9" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if !strings.Contains(w.log.String(), "secret") || !strings.Contains(w.log.String(), "req-9") {
		t.Errorf("the log has %s", w.log.String())
	}
	if a := w.get("/livez"); a.status != 200 {
		t.Errorf("got %d", a.status)
	}
}

func BenchmarkCommand(b *testing.B) {
	w := newWorld(b, func(o *options) { o.noViews = true })
	w.create("a", "")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest(http.MethodPost, "/v1/accounts/a/deposit", strings.NewReader(`{"amount":1}`))
			r.Header["Content-Type"] = jsonType
			rec := &discard{header: http.Header{}}
			w.api.ServeHTTP(rec, r)
			if rec.status != http.StatusOK {
				b.Fatal(rec.status)
			}
		}
	})
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
