package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// readyChecks gives the checks as they stand when asked.
func readyChecks(checks *[]Check) func(context.Context) []Check {
	return func(context.Context) []Check { return *checks }
}

// follower reads a live feed.
type follower struct {
	tb    testing.TB
	lines *bufio.Reader
	body  io.Closer
}

func (w *world) follow(path string, headers ...string) *follower {
	w.tb.Helper()
	r, err := http.NewRequest(http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		w.tb.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := w.server.Client().Do(r)
	if err != nil {
		w.tb.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		w.tb.Fatalf("got %d %v", resp.StatusCode, resp.Header)
	}
	w.tb.Cleanup(func() { _ = resp.Body.Close() })
	return &follower{w.tb, bufio.NewReader(resp.Body), resp.Body}
}

// block gives the lines up to the next empty one.
func (f *follower) block() string {
	f.tb.Helper()
	var block strings.Builder
	for {
		line, err := f.lines.ReadString('\n')
		if err != nil {
			f.tb.Fatalf("the feed ended after %q: %v", block.String(), err)
		}
		if line == "\n" {
			return block.String()
		}
		block.WriteString(line)
	}
}

func TestTheFeedReplaysAndThenFollowsWithoutGap(t *testing.T) {
	w := newWorld(t)
	w.create("a", "1")
	f := w.follow("/v1/feed")
	if got := f.block(); got != "retry: 2000\n" {
		t.Errorf("got %q", got)
	}
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		for range 50 {
			w.post("/v1/accounts/a/deposit", `{"amount":1}`)
		}
	}()
	for i := 1; i <= 25; i++ {
		if got := f.block(); !strings.HasPrefix(got, fmt.Sprintf("id: %d\nevent: ", i)) {
			t.Fatalf("event %d is %q", i, got)
		}
	}
	_ = f.body.Close()
	resumed := w.follow("/v1/feed?after=3", "Last-Event-ID: 25")
	resumed.block()
	for i := 26; i <= 52; i++ {
		got := resumed.block()
		stored := w.get(fmt.Sprintf("/v1/events/evt-%d", i))
		if want := fmt.Sprintf("id: %d\nevent: MoneyDeposited\ndata: %s\n", i, stored.body); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	<-writing
}

func TestASilentFeedBeatsAndTakesOnlyTheTypeAskedFor(t *testing.T) {
	w := newWorld(t, func(o *options) { o.api.Heartbeat = time.Millisecond })
	w.create("a", "1")
	f := w.follow("/v1/feed?type=MoneyDeposited")
	f.block()
	if got := f.block(); !strings.HasPrefix(got, ":") && !strings.HasPrefix(got, "id: 2\nevent: MoneyDeposited\n") {
		t.Errorf("got %q", got)
	}
	for {
		if strings.HasPrefix(f.block(), ": ") {
			break
		}
	}
}

func TestFeedsAreBoundedAndGiveTheirPlaceBack(t *testing.T) {
	w := newWorld(t, func(o *options) { o.api.Streams = 1; o.api.Heartbeat = time.Millisecond })
	f := w.follow("/v1/feed")
	f.block()
	if a := w.get("/v1/feed"); a.status != 503 || a.code(t) != "too_many_streams" || a.header.Get("Retry-After") != "10" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	_ = f.body.Close()
	for len(w.api.streams) > 0 { // until the server has noticed
		w.get("/livez")
	}
}

func TestAFeedEndsWithTheProcess(t *testing.T) {
	lifetime, end := context.WithCancel(context.Background())
	w := newWorld(t)
	o := w.api.Options
	o.Lifetime = lifetime
	second := newServer(o)
	w.server.Config.Handler = second
	f := w.follow("/v1/feed")
	f.block()
	end()
	if rest, err := io.ReadAll(f.lines); err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestAFeedThatIsNotReadIsDropped(t *testing.T) {
	w := newWorld(t, func(o *options) { o.api.Patience = 200 * time.Millisecond })
	w.create("a", "")
	var lines strings.Builder
	for i := range 40_000 {
		lines.WriteString(deposit(fmt.Sprint(i), "a", 1))
	}
	w.do("POST", "/v1/commands", lines.String(), ndjson)
	c := w.dial()
	_ = c.SetReadBuffer(4096)
	_, _ = io.WriteString(c, "GET /v1/feed HTTP/1.1\r\nHost: x\r\n\r\n")
	head := make([]byte, 100)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	for len(w.api.streams) > 0 { // until the server has had enough
		w.get("/livez")
	}
}
