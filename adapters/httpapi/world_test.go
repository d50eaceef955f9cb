package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"daybook/adapters/membus"
	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/adapters/watermillbus"
	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// world is the handler over a running engine in memory, behind a real server.
type world struct {
	tb     testing.TB
	engine *engine.Engine
	store  ports.Store
	bus    ports.Bus
	ctx    context.Context // ends with the world
	views  *memviews.Views
	server *httptest.Server
	api    *server
	log    *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func registry(tb testing.TB) *es.Registry {
	tb.Helper()
	r, err := es.NewRegistry(account.Module(func(code string) string {
		if code != "EUR" && code != "USD" {
			return "must be EUR or USD"
		}
		return ""
	}))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// options change what a world is made of.
type options struct {
	store     ports.Store
	still     bool // commands and projections do not run
	noViews   bool // commands run, views are never opened
	api       Options
	configure func(*engine.Options)
}

func newWorld(tb testing.TB, change ...func(*options)) *world {
	tb.Helper()
	o := options{store: memstore.New()}
	for _, f := range change {
		f(&o)
	}
	reg := registry(tb)
	pubsub := membus.New(membus.Options{})
	bus, err := watermillbus.New(pubsub, watermillbus.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{tb: tb, store: o.store, bus: bus, views: memviews.New(reg), log: &syncBuffer{}}
	eo := engine.Options{Anonymous: access.Local, Registry: reg, Store: w.store, Bus: bus, Views: w.views, Observer: ports.Silent{}, Now: time.Now, EventsTopic: "events"}
	if o.configure != nil {
		o.configure(&eo)
	}
	w.engine = engine.New(eo)
	ctx, stop := context.WithCancel(context.Background())
	w.ctx = ctx
	var running sync.WaitGroup
	if !o.still {
		running.Go(func() { w.engine.RunCommands(ctx) })
		if !o.noViews {
			running.Go(func() { w.engine.RunRelay(ctx) })
			running.Go(func() { w.engine.RunProjector(ctx) })
		}
	}
	o.api.Engine, o.api.Lifetime = w.engine, ctx
	o.api.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	o.api.Build, o.api.Drivers = Build{Version: "1.2.3"}, Drivers{"memory", "memory", "memory"}
	w.api = newServer(o.api)
	w.server = httptest.NewServer(w.api)
	tb.Cleanup(func() {
		stop()
		running.Wait()
		w.server.CloseClientConnections()
		w.server.Close()
		_ = bus.Close()
		_ = w.views.Close()
		_ = w.store.Close()
	})
	if !o.still && !o.noViews {
		w.awaitOpen()
	}
	return w
}

// awaitOpen waits until the views let readers in.
func (w *world) awaitOpen() {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		p, err := w.views.Progress(ctx)
		if err != nil {
			w.tb.Fatal(err)
		}
		if p.Open {
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			w.tb.Fatal("the views did not open")
		}
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// json reads the body as an object.
func (a answer) json(tb testing.TB) map[string]any {
	tb.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		tb.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return m
}

func (a answer) code(tb testing.TB) string {
	tb.Helper()
	code, _ := a.json(tb)["code"].(string)
	return code
}

// do sends a request. headers are pairs "Name: value".
func (w *world) do(method, path, body string, headers ...string) answer {
	w.tb.Helper()
	return w.send(method, path, strings.NewReader(body), headers...)
}

func (w *world) send(method, path string, body io.Reader, headers ...string) answer {
	w.tb.Helper()
	r, err := http.NewRequest(method, w.server.URL, body)
	if err != nil {
		w.tb.Fatal(err)
	}
	raw, query, _ := strings.Cut(path, "?")
	r.URL.Opaque, r.URL.RawQuery = "//"+r.URL.Host+raw, query // as it is, whatever a client would make of it
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		w.tb.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.tb.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

const asJSON = "Content-Type: application/json"

// post sends a command.
func (w *world) post(path, body string, headers ...string) answer {
	w.tb.Helper()
	return w.do(http.MethodPost, path, body, append(headers, asJSON)...)
}

func (w *world) get(path string, headers ...string) answer {
	w.tb.Helper()
	return w.do(http.MethodGet, path, "", headers...)
}

// create makes an account and pays in, and gives the last position.
func (w *world) create(id string, amount string) {
	w.tb.Helper()
	if a := w.post("/v1/accounts/"+id+"/create", `{"owner":"Ada Lovelace","currency":"EUR"}`); a.status != http.StatusCreated {
		w.tb.Fatalf("create %s: %d %s", id, a.status, a.body)
	}
	if amount == "" {
		return
	}
	if a := w.post("/v1/accounts/"+id+"/deposit", `{"amount":`+amount+`}`); a.status != http.StatusOK {
		w.tb.Fatalf("deposit to %s: %d %s", id, a.status, a.body)
	}
}

// fresh is the head of the store, for queries that must see all of it.
func (w *world) fresh() string {
	w.tb.Helper()
	head, err := w.store.Head(context.Background())
	if err != nil {
		w.tb.Fatal(err)
	}
	return "Daybook-Min-Position: " + head.EventID()[len("evt-"):]
}

func contextThatEnds() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}
