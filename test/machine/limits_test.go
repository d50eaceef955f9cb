package machine

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/test/cluster"
	"daybook/test/faulttable"
)

// prlimit is the command that bounds what a process may have, or skips the test.
func prlimit(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("prlimit")
	if err != nil {
		t.Skip("SKIPPED: there is no prlimit")
	}
	return path
}

func TestClientsThatTakeAllConnectionsTakeNoFilesFromTheStore(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F52", faulttable.Embedded, again())
	w := start(t, place{under: []string{prlimit(t), "--nofile=128:128"}})
	operator := &http.Client{Transport: &http.Transport{}} // with a connection of its own
	defer operator.CloseIdleConnections()
	request(t, operator, http.MethodGet, w.program.URL()+"/livez")
	w.load.Mark()
	leave := w.crowd()
	w.load.Await(t, 200, patience)
	if s := w.load.Spell(); len(s.Kinds) > 0 {
		t.Errorf("clients who were there already were disturbed: %v", s)
	}
	request(t, operator, http.MethodPost, w.program.URL()+"/v1/admin/backup?dir="+url.QueryEscape(filepath.Join(t.TempDir(), "backup")))
	leave()
	cluster.Within(t, patience, "a new client is let in", func(ctx context.Context) error {
		anew := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.program.URL()+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		res, err := anew.Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		return err
	})
	w.settle()
}

// crowd is many clients that connect and say nothing. Those that are not let in wait.
func (w *world) crowd() (leave func()) {
	w.t.Helper()
	var hogs []net.Conn
	for range 400 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.program.URL(), "http://"))
		if err != nil {
			w.t.Fatal(err)
		}
		hogs = append(hogs, conn)
	}
	return func() {
		for _, conn := range hogs {
			_ = conn.Close()
		}
	}
}

// request must succeed.
func request(t *testing.T, client *http.Client, method, address string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= http.StatusMultipleChoices {
		t.Errorf("%s %s: %s, %v: %s", method, address, res.Status, err, text)
	}
}

// A process that gets no more memory cannot go on. What it had answered is there all the same.
func TestAProcessThatRunsOutOfMemoryEndsAndLosesNothing(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F51", faulttable.Embedded, again())
	w := start(t, place{env: []string{"GOGC=1000"}}) // with a heap that wants to grow
	bytes := w.memory("VmSize") + 16<<20
	if out, err := exec.CommandContext(t.Context(), prlimit(t), "--pid", strconv.Itoa(w.program.Pid()), fmt.Sprintf("--as=%d:%d", bytes, bytes)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for cluster.Get(t.Context(), w.program.URL()+"/v1/events?limit=1000", nil) == nil {
			}
		})
	}
	if code := w.program.Ended(patience); code == 0 {
		t.Errorf("it ended as if nothing was the matter")
	}
	readers.Wait()
	log := w.program.Forgive()
	if !strings.Contains(log, "fatal error") && !strings.Contains(log, "pthread_create failed") { // for the heap, or for a thread's stack
		t.Errorf("it does not say why it ended:\n%.3000s", log)
	}
	w.program.Start()
	w.settle()
}

// memory is a figure of the process, in bytes.
func (w *world) memory(name string) int64 {
	w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.program.Pid()))
	if err != nil {
		w.t.Skipf("SKIPPED: the process does not show its memory: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), name+":")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return kib << 10
}

func TestRequestsThatAreHugeDeepOrNeverEndAreRefusedAndMemoryStaysFlat(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F44", faulttable.Embedded, again())
	w := start(t, place{})
	began := time.Now()
	var slow sync.WaitGroup
	for range 50 {
		slow.Go(func() { dribble(t, strings.TrimPrefix(w.program.URL(), "http://")) })
	}
	w.improper()
	slow.Wait()
	if most := w.memory("VmHWM"); most > 400<<20 {
		t.Errorf("the process took %d MiB", most>>20)
	}
	t.Logf("after %v the process had taken %d MiB at the most", time.Since(began).Round(time.Millisecond), w.memory("VmHWM")>>20)
	if s := w.load.Spell(); len(s.Kinds) > 0 {
		t.Errorf("others were disturbed: %v", s)
	}
	w.settle()
}

// improper sends requests that must be refused for what they are.
func (w *world) improper() {
	w.t.Helper()
	deep := `{"amount":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}"
	for what, c := range map[string]struct {
		path, media, encoding string
		body                  io.Reader
		status                int
		says                  string
	}{
		"a gibibyte":          {"accounts/probe/deposit", "application/json", "", io.LimitReader(blanks{}, 1<<30), http.StatusRequestEntityTooLarge, "body_too_large"},
		"a deep document":     {"accounts/probe/deposit", "application/json", "", strings.NewReader(deep), http.StatusBadRequest, "invalid_"},
		"a compressed body":   {"accounts/probe/deposit", "application/json", "gzip", strings.NewReader("\x1f\x8b\x08"), http.StatusUnsupportedMediaType, "media"},
		"a line without end":  {"commands", "application/x-ndjson", "", io.LimitReader(blanks{}, 64<<20), http.StatusOK, "line_too_long"},
		"lines that are none": {"commands", "application/x-ndjson", "", strings.NewReader(strings.Repeat("{}\n", 100_000)), http.StatusOK, "invalid_"},
	} {
		status, says := refusal(w.t, w.program.URL()+"/v1/"+c.path, c.media, c.encoding, c.body)
		if status != 0 && (status != c.status || !strings.Contains(says, c.says)) { // a connection that is closed before all was sent says as much
			w.t.Errorf("%s was answered %d %.300s", what, status, says)
		}
	}
}

// dribble sends a request's header a byte at a time, and returns when it is cut off.
func dribble(t *testing.T, address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	for n := 0; cluster.Pass(t.Context(), 200*time.Millisecond); n++ {
		if n == 100 {
			t.Error("a request that does not get on is waited for over 20 s")
			return
		}
		if _, err := conn.Write([]byte("G")); err != nil {
			return
		}
	}
}

// blanks are blanks without end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// refusal is the status of an answer and the beginning of its body; zero when the connection was closed.
func refusal(t *testing.T, address, media, encoding string, body io.Reader) (status int, says string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", media)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return 0, err.Error()
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, string(text)
}
