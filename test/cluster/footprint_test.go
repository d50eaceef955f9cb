package cluster

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"daybook/test/books"
)

// pretend is a process that says of itself what a test wants it to say.
func pretend(t *testing.T, says *Footprint) *Program {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		says.Collected++
		fmt.Fprintf(w, "go_goroutines %d\nprocess_open_fds %d\ngo_gc_heap_live_bytes %v\nprocess_resident_memory_bytes 1e+06\ngo_gc_duration_seconds_count %d\n",
			says.Goroutines, says.Files, float64(says.Heap), says.Collected)
	}))
	t.Cleanup(server.Close)
	p := &Program{t: t, name: "it", dir: t.TempDir(), cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	p.url.Store(server.URL)
	if err := os.Mkdir(p.temporary(), 0o750); err != nil {
		t.Fatal(err)
	}
	return p
}

// seen is what is found wrong.
func seen(t *testing.T, check func(*witness)) (wrong []string) {
	t.Helper()
	w := &witness{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(w) {
			panic(r)
		}
		wrong = w.wrong
	}()
	check(w)
	return w.wrong
}

func TestWhatAProcessDoesNotGiveBackIsFound(t *testing.T) {
	for what, c := range map[string]struct {
		leave func(*Footprint, *Program)
		wrong bool
	}{
		"nothing":          {func(*Footprint, *Program) {}, false},
		"a connection":     {func(f *Footprint, _ *Program) { f.Files++; f.Goroutines += 2 }, false},
		"goroutines":       {func(f *Footprint, _ *Program) { f.Goroutines += 100 }, true},
		"files":            {func(f *Footprint, _ *Program) { f.Files += 100 }, true},
		"a temporary file": {func(_ *Footprint, p *Program) { touch(t, filepath.Join(p.temporary(), "any")) }, true},
		"half a file":      {func(_ *Footprint, p *Program) { touch(t, filepath.Join(p.dir, "segment.new")) }, true},
	} {
		says := Footprint{Goroutines: 30, Files: 20}
		p := pretend(t, &says)
		wrong := seen(t, func(w *witness) {
			cluster := &Cluster{t: w, programs: []*Program{p}}
			cluster.Rest(time.Minute)
			c.leave(&says, p)
			cluster.checkFootprints(100 * time.Millisecond)
		})
		if c.wrong != (len(wrong) > 0) {
			t.Errorf("%s is left, and found wrong is %v", what, wrong)
		}
	}
}

func touch(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestASoakFindsAHeapThatGrowsWithCommandsAndNotOneThatGrowsWithAccounts(t *testing.T) {
	const events, accounts = 20_000, 100
	for what, c := range map[string]struct {
		grows int64
		wrong bool
	}{
		"nothing is kept":              {0, false},
		"an entry of each account":     {accounts * perAccount, false},
		"one KiB of each second event": {events / 2 * leak, true},
		"more than accounts explain":   {accounts*perAccount + heapSlack + 1, true},
	} {
		says := Footprint{Heap: 40 << 20}
		p := pretend(t, &says)
		wrong := seen(t, func(w *witness) {
			var s Soak
			s.Rest(w, &books.Books{Head: 1000, Accounts: make(map[string]*books.Account)}, time.Minute, p)
			if s.Told(p) {
				t.Error("a process that has done nothing since is taken for one that shows it")
			}
			says.Heap += c.grows
			more := map[string]*books.Account{}
			for n := range accounts {
				more[fmt.Sprint(n)] = nil
			}
			s.Rest(w, &books.Books{Head: 1000 + events, Accounts: more}, time.Minute, p)
			if !s.Told(p) {
				t.Errorf("%d events are not enough", events)
			}
		})
		if c.wrong != (len(wrong) > 0) {
			t.Errorf("%s, and found wrong is %v", what, wrong)
		}
	}
}
