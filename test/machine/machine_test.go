// Package machine takes from the real program, with its embedded store, what a machine gives it: its life, the time to stop, room on
// the disk, syncs that succeed, file descriptors and memory. It holds what clients were told against what is there. It holds tests
// alone; what comes from servers and networks is in test/faults.
package machine

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"daybook/test/books"
	"daybook/test/cluster"
)

var (
	seed  = flag.Uint64("machine.seed", 0, "what the random choices of a run follow from; 0: another one each time")
	storm = flag.Duration("machine.storm", 6*time.Second, "for how long the program is killed over and over")
)

// built builds the program once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "daybook-machine-")
	if err != nil {
		return "", err
	}
	folder = dir
	return cluster.Build(dir)
})

var folder string

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	fmt.Printf("seed: %s\n", again())
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// again is the flag that repeats the random choices of this run.
func again() string { return fmt.Sprintf("-machine.seed=%d", *seed) }

// patience is how long anything may take to be back after a fault.
const patience = cluster.Patience

// moment is how long something is watched that should stay as it is.
const moment = 500 * time.Millisecond

// world is the program under load.
type world struct {
	t       *testing.T
	cluster *cluster.Cluster
	program *cluster.Program
	load    *cluster.Load
	random  *rand.Rand
	probes  int
	doubts  []books.Command // probes of which it was not told what became of them
}

// place is where a program runs.
type place struct {
	dir   string   // of its store and what lies beside it; "" is a folder of the test's own
	under []string // the command that becomes the program
	env   []string
}

// start runs the program with eight clients, and returns when commands are taken.
func start(t *testing.T, p place) *world {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	if p.dir == "" {
		p.dir = t.TempDir()
	}
	env := append([]string{"DAYBOOK_STORE_PEBBLE_PATH=" + filepath.Join(p.dir, "store")}, p.env...)
	w := &world{t: t, random: rand.New(rand.NewPCG(*seed, uint64(len(t.Name()))))}
	w.cluster = cluster.New(t, binary, env...).Under(p.under...)
	w.program = w.cluster.Start("daybook")
	w.cluster.Rest(patience)
	w.begin("", 0)
	return w
}

// begin starts a load, and returns when commands are taken. It has a name of its own unless it is the first, and comes after a position.
func (w *world) begin(name string, after int64) {
	w.t.Helper()
	w.load = &cluster.Load{Name: name, After: after, Seed: *seed, Pace: 10 * time.Millisecond, Targets: func() []string { return []string{w.program.URL()} }}
	w.load.Start(w.t)
	w.load.Await(w.t, 100, patience)
	w.probes, w.doubts = 0, nil
	if a := w.probe(); !a.Taken() {
		w.t.Fatalf("%d %s (%v)", a.Status, a.Body, a.Err)
	}
}

// settle waits until commands are taken, ends the load, and holds everything against everything.
func (w *world) settle() *books.Books {
	w.t.Helper()
	w.load.Await(w.t, 50, patience)
	for _, c := range w.doubts {
		w.load.Settle(cluster.Final{Command: c, Answer: w.send(&c)})
	}
	w.load.Stop()
	return w.cluster.Check(w.load, nil, patience, w.program.URL())
}

// probe sends a command to an account that only probes use. What became of it is held against the books in the end.
func (w *world) probe() *cluster.Answer {
	w.t.Helper()
	w.probes++
	c := books.Command{Key: fmt.Sprint(w.load.Name, "probe-", w.probes), Account: w.load.Name + "probe", Verb: "deposit", Amount: 1}
	if w.probes == 1 {
		c.Verb, c.Amount = "create", 0
	}
	a := w.send(&c)
	if a.Unknown() {
		w.doubts = append(w.doubts, c)
	} else {
		w.load.Settle(cluster.Final{Command: c, Answer: a})
	}
	return a
}

func (w *world) send(c *books.Command) *cluster.Answer {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	return cluster.Post(ctx, w.program.URL(), cluster.Path(c), cluster.Data(c), c.Key)
}

// refused waits until commands are answered with one of the codes, and for a moment sees that they go on being so.
func (w *world) refused(codes ...string) {
	w.t.Helper()
	ask := func(context.Context) error {
		a := w.probe()
		if a.Status == http.StatusServiceUnavailable && slices.Contains(codes, a.Code) && a.Retry != "" {
			return nil
		}
		return fmt.Errorf("a command was answered %d %s (%w)", a.Status, a.Body, a.Err)
	}
	cluster.Within(w.t, patience, fmt.Sprint("commands are refused as ", codes), ask)
	for began := time.Now(); time.Since(began) < moment; {
		if err := ask(w.t.Context()); err != nil {
			w.t.Error(err)
			return
		}
	}
}

// readable sees that everything can be read that is not a command.
func (w *world) readable() {
	w.t.Helper()
	for _, path := range []string{"/v1/accounts", "/v1/accounts/acc-000", "/v1/accounts/acc-000?version=2", "/v1/accounts/acc-000/events", "/v1/events?limit=10", "/livez"} {
		if err := cluster.Get(w.t.Context(), w.program.URL()+path, nil); err != nil {
			w.t.Errorf("%s: %v", path, err)
		}
	}
}

// ready is the error of readiness.
func (w *world) ready(ctx context.Context) error {
	return cluster.Get(ctx, w.program.URL()+"/readyz", nil)
}
