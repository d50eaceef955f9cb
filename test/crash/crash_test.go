// Package crash kills the real program with SIGKILL while clients use it, starts it again on the same folder, and holds what
// the clients were told against what is there. It holds tests alone.
package crash

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// rounds is how often the program is killed.
const rounds = 6

// ackedPerRound is after how many acknowledged commands it is killed.
const ackedPerRound = 400

// clients is how many send commands at one time.
const clients = 16

// program is a running daybook.
type program struct {
	cmd *exec.Cmd
	url string
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "daybook")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "daybook/cmd/daybook").CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// serve starts the program on a free port and returns when it listens.
func serve(t *testing.T, binary, dir string) *program {
	t.Helper()
	cmd := exec.Command(binary, "serve", "--http.addr", "127.0.0.1:0", "--store.pebble.path", filepath.Join(dir, "store"))
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the program said nothing: %v", err)
	}
	_, rest, _ := strings.Cut(line, "http://")
	addr, _, _ := strings.Cut(rest, " ")
	return &program{cmd, "http://" + addr}
}

func (p *program) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // it was killed: that is its error
}

// ledger is what the clients know: for each key the answer, or that there was none.
type ledger struct {
	mu       sync.Mutex
	answered map[string]string // key -> body
	open     map[string]bool   // keys that were sent and got no answer
}

func TestNothingIsLostAndNothingIsTwice(t *testing.T) {
	binary, dir := build(t), t.TempDir()
	known := &ledger{answered: map[string]string{}, open: map[string]bool{}}
	for round := range rounds {
		p := serve(t, binary, dir)
		if round == 0 {
			for c := range clients {
				if _, err := p.post(t.Context(), fmt.Sprintf("acc-%d/create", c), `{"owner":"Ada","currency":"EUR"}`, fmt.Sprint("create-", c)); err != nil {
					t.Fatal(err)
				}
			}
		}
		known.settle(t, p)
		p.hammer(t, known, round)
	}
	p := serve(t, binary, dir)
	defer p.kill(t)
	known.settle(t, p)
	known.check(t, p)
}

// hammer sends deposits from many clients and kills the program in the middle.
func (p *program) hammer(t *testing.T, known *ledger, round int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var acked atomic.Int64
	enough := make(chan struct{})
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				key := fmt.Sprintf("%d-%d-%d", round, c, n)
				known.sent(key)
				body, err := p.post(ctx, depositPath(key), depositBody, key)
				if err != nil {
					return
				}
				known.heard(key, body)
				if acked.Add(1) == ackedPerRound {
					close(enough)
				}
			}
		})
	}
	<-enough
	p.kill(t)
	stop()
	running.Wait()
}

const depositBody = `{"amount":7}`

func depositPath(key string) string { return "acc-" + strings.Split(key, "-")[1] + "/deposit" }

func (l *ledger) sent(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[key] = true
}

func (l *ledger) heard(key, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, key)
	l.answered[key] = body
}

// settle sends what got no answer once more, as a client does, and asks for a sample of what did.
func (l *ledger) settle(t *testing.T, p *program) {
	t.Helper()
	for key := range l.open {
		body, err := p.post(t.Context(), depositPath(key), depositBody, key)
		if err != nil {
			t.Fatal(err)
		}
		l.heard(key, body)
	}
	asked := 0
	for key, first := range l.answered {
		again, err := p.post(t.Context(), depositPath(key), depositBody, key)
		if err != nil {
			t.Fatal(err)
		}
		if again != first {
			t.Fatalf("key %s was answered\n%s and after a crash\n%s", key, first, again)
		}
		if asked++; asked == 100 {
			break
		}
	}
}

// check holds every answer against the store's own feed: each key has exactly one event, at the position it was told.
func (l *ledger) check(t *testing.T, p *program) {
	t.Helper()
	positions := map[string]int64{}
	for after := "0"; after != ""; {
		var page struct {
			Items []struct {
				Position  int64
				EventType string
				Metadata  struct{ CommandID string }
			}
			Next string
		}
		p.get(t, "/v1/events?limit=1000&after="+after, &page)
		for _, e := range page.Items {
			if e.EventType != "MoneyDeposited" {
				continue
			}
			if other, twice := positions[e.Metadata.CommandID]; twice {
				t.Errorf("key %s has two events: %d and %d", e.Metadata.CommandID, other, e.Position)
			}
			positions[e.Metadata.CommandID] = e.Position
		}
		after = page.Next
	}
	for key, body := range l.answered {
		var a struct{ Position int64 }
		if err := json.Unmarshal([]byte(body), &a); err != nil {
			t.Fatal(err)
		}
		if positions[key] != a.Position {
			t.Errorf("key %s was told position %d and is at %d", key, a.Position, positions[key])
		}
	}
	if len(positions) != len(l.answered) {
		t.Errorf("%d keys were answered and %d are there", len(l.answered), len(positions))
	}
	t.Logf("%d commands over %d kills: each is there exactly once", len(positions), rounds)
}

// post sends a command and gives the body of its success.
func (p *program) post(ctx context.Context, path, body, key string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/v1/accounts/"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return "", err
	}
	if res.StatusCode/100 != 2 {
		return "", fmt.Errorf("%s: %s: %s", path, res.Status, text)
	}
	return string(text), nil
}

func (p *program) get(t *testing.T, path string, into any) {
	t.Helper()
	res, err := http.Get(p.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", path, res.Status, err)
	}
}
