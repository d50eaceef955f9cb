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

	"daybook/test/faulttable"
)

// readyChecks gives the checks as they stand when asked.
func readyChecks(checks *[]Check) func(context.Context, bool) []Check {
	return func(context.Context, bool) []Check { return *checks }
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
	if a := w.get("/v1/feed"); a.status != 503 || a.code(t) != "stopping" || a.header.Get("Retry-After") == "" {
		t.Errorf("a feed of a process that stops: %d %s", a.status, a.body)
	}
}

func TestAProcessThatStopsAnswersAndClosesTheConnectionBehindIt(t *testing.T) {
	w := newWorld(t)
	o := w.api.Options
	lifetime, end := context.WithCancel(context.Background())
	o.Lifetime = lifetime
	w.server.Config.Handler = newServer(o)
	c := w.dial()
	lines := bufio.NewReader(c)
	ask := func() *http.Response {
		t.Helper()
		_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(lines, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res
	}
	if res := ask(); res.StatusCode != 200 || res.Close {
		t.Fatalf("%+v", res)
	}
	end()
	if res := ask(); res.StatusCode != 200 || !res.Close {
		t.Errorf("%+v", res)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("the connection is still open: %q, %v", rest, err)
	}
}

func TestAFeedThatIsNotReadIsDroppedAndGoesOnAfterItsLastEventWithoutGap(t *testing.T) {
	faulttable.Covers(t, "F37", faulttable.Memory)
	w := newWorld(t, func(o *options) { o.api.Patience = 200 * time.Millisecond })
	w.create("a", "")
	var lines strings.Builder
	for i := range 40_000 {
		lines.WriteString(deposit(fmt.Sprint(i), "a", 1))
	}
	w.do("POST", "/v1/commands", lines.String(), ndjson)
	c := w.dial()
	_, _ = io.WriteString(c, "GET /v1/feed HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for len(w.api.streams) > 0 { // until the server has had enough
		w.get("/livez")
	}
	sent, err := io.ReadAll(res.Body) // what was on its way
	if err == nil {
		t.Error("a feed that was cut off ended as if it was whole")
	}
	blocks := strings.Split(string(sent), "\n\n")
	last := len(blocks) - 2 // before the first is the time to wait, and the last is no whole one
	for i, block := range blocks[1 : last+1] {
		if !strings.HasPrefix(block, fmt.Sprintf("id: %d\n", i+1)) {
			t.Fatalf("event %d is %q", i+1, block)
		}
	}
	resumed := w.follow("/v1/feed", fmt.Sprint("Last-Event-ID: ", last))
	resumed.block()
	for i := last + 1; i <= last+100; i++ {
		if got := resumed.block(); !strings.HasPrefix(got, fmt.Sprintf("id: %d\n", i)) {
			t.Fatalf("after %d events, event %d is %q", last, i, got)
		}
	}
}
