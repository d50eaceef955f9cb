package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"daybook/app"
	"daybook/test/books"
	"daybook/test/cluster"
	"daybook/test/faulttable"
)

func TestAStormOfKillsLosesNothingAndEachStartIsQuick(t *testing.T) {
	faulttable.Covers(t, "F1", faulttable.Embedded, again())
	faulttable.Covers(t, "F2", faulttable.Embedded, again())
	faulttable.Covers(t, "F5", faulttable.Embedded, again())
	faulttable.Covers(t, "F6", faulttable.Embedded, again())
	w := start(t, place{})
	kills, slowest := 0, time.Duration(0)
	for began := time.Now(); time.Since(began) < *storm; kills++ {
		cluster.Pass(t.Context(), time.Duration(w.random.IntN(300))*time.Millisecond)
		w.program.Kill()
		ended := time.Now()
		w.program.Start()
		slowest = max(slowest, time.Since(ended))
	}
	t.Logf("%d kills; the slowest start took %.2fs until it listened", kills, slowest.Seconds())
	if slowest > 5*time.Second {
		t.Errorf("a start took %v", slowest)
	}
	w.settle()
}

// A killed process holds its address and its locks for as long as the system takes for its memory; who starts the next one at once
// need not know.
func TestTheNextProcessMayBeStartedWhileAKilledOneIsEnding(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F2", faulttable.Embedded, again())
	w := start(t, place{})
	for range 5 {
		w.program.Replace()
	}
	w.settle()
}

func TestAnOrderlyStopUnderLoadAnswersAllThatWasTakenIn(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F8", faulttable.Embedded, again())
	w := start(t, place{env: []string{"DAYBOOK_HTTP_STOP_DELAY=1"}})
	held := hold(w)
	held.deposit()
	w.program.Signal(syscall.SIGTERM)
	cluster.Within(t, patience, "readiness ends first", func(ctx context.Context) error {
		var status *cluster.StatusError
		if err := w.ready(ctx); !errors.As(err, &status) || status.Status != http.StatusServiceUnavailable {
			return fmt.Errorf("it is %w", err)
		}
		return nil
	})
	if a := w.probe(); !a.Taken() {
		t.Errorf("a command that comes while readiness has ended was answered %d %s (%v)", a.Status, a.Body, a.Err)
	}
	if a := feed(t, w); a != http.StatusServiceUnavailable {
		t.Errorf("a feed that begins then is answered %d", a)
	}
	w.closed()
	held.deposit() // a request that was begun goes on
	held.end()
	if code := w.program.Ended(app.DrainTimeout); code != 0 {
		t.Errorf("the exit code is %d\n%s", code, w.program.Log())
	}
	w.program.Start()
	held.settle()
	w.settle()
}

func TestASecondSignalEndsTheProcessAtOnceAndTheStoreIsWhole(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F9", faulttable.Embedded, again())
	w := start(t, place{})
	for _, second := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		held := hold(w) // without end, so that the first signal waits
		held.deposit()
		w.program.Signal(syscall.SIGTERM)
		w.closed()
		began := time.Now()
		w.program.Signal(second)
		if code := w.program.Ended(app.DrainTimeout / 2); code != 1 {
			t.Errorf("the exit code is %d", code)
		}
		t.Logf("it ended after %v", time.Since(began))
		held.abandon()
		w.program.Start()
		held.settle()
		w.load.Await(t, 50, patience)
	}
	w.settle()
}

// closed waits until nobody is let in any more.
func (w *world) closed() {
	w.t.Helper()
	cluster.Within(w.t, patience, "the listener closes", func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(w.program.URL(), "http://"))
		if err != nil {
			return nil
		}
		_ = conn.Close()
		return errors.New("it is open")
	})
}

// feed is the status that a new live feed begins with.
func feed(t *testing.T, w *world) int {
	t.Helper()
	res, err := http.Get(w.program.URL() + "/v1/feed") //nolint:noctx // the process ends soon
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// held is a request of many commands that stays open, so that a process that stops waits for it.
type held struct {
	w       *world
	send    *io.PipeWriter
	answers *bufio.Reader
	body    io.Closer
	sent    []books.Command
}

// hold begins such a request.
func hold(w *world) *held {
	w.t.Helper()
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.program.URL()+"/v1/commands", body)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = res.Body.Close() })
	return &held{w: w, send: send, answers: bufio.NewReader(res.Body), body: res.Body}
}

// deposit sends a line and waits for its answer, which must be a success.
func (h *held) deposit() {
	h.w.t.Helper()
	h.w.probes++
	c := books.Command{Key: fmt.Sprint("held-", h.w.probes), Account: "probe", Verb: "deposit", Amount: 1}
	_, err := fmt.Fprintf(h.send, `{"id":%q,"account":"probe","command":"deposit","data":{"amount":1}}`+"\n", c.Key)
	line := ""
	if err == nil {
		line, err = h.answers.ReadString('\n')
	}
	if err != nil || !strings.Contains(line, `"status":200`) {
		h.w.t.Errorf("a line of a request that was begun was answered %q, %v", line, err)
	}
	h.sent = append(h.sent, c)
}

// end ends the request in order.
func (h *held) end() {
	h.w.t.Helper()
	_ = h.send.Close()
	if rest, err := io.ReadAll(h.answers); err != nil || len(rest) > 0 {
		h.w.t.Errorf("the request ended with %q, %v", rest, err)
	}
}

// abandon leaves the request.
func (h *held) abandon() {
	_ = h.send.Close()
	_ = h.body.Close()
}

// settle asks what became of the lines: all of them were answered.
func (h *held) settle() {
	h.w.t.Helper()
	for _, c := range h.sent {
		a := h.w.send(&c)
		if !a.Replayed {
			h.w.t.Errorf("%s was answered %d %s, and not as a replay", c.Key, a.Status, a.Body)
		}
		h.w.load.Settle(cluster.Final{Command: c, Answer: a})
	}
}
