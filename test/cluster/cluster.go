// Package cluster runs the real program in several processes, puts load on them, and holds what their clients were told against
// what is in the store, in the views and on the bus. Tests that break something use it; it breaks nothing by itself.
package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Patience is how long anything may take to come, or to be back after a fault: it takes seconds, but other tests may have the machine.
const Patience = 90 * time.Second

// Build builds the program into the folder, with flags such as -race, and gives its path.
func Build(dir string, flags ...string) (string, error) {
	binary := filepath.Join(dir, "daybook")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	args := append(append([]string{"build", "-o", binary}, flags...), "daybook/cmd/daybook")
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
}

// Cluster is a number of processes with one configuration, but for their roles. Its methods are called from the test's goroutine.
type Cluster struct {
	t        testing.TB
	binary   string
	under    []string
	env      []string
	programs []*Program
}

// New makes a cluster without processes. env is what all of them get, as in os.Environ.
func New(t testing.TB, binary string, env ...string) *Cluster {
	t.Helper()
	return &Cluster{t: t, binary: binary, env: env}
}

// Under has the processes that are started from now on run by another command that becomes the program, such as prlimit.
func (c *Cluster) Under(command ...string) *Cluster {
	c.under = command
	return c
}

// Start starts a process and returns when it listens. env goes before that of the cluster. The process ends with the test.
func (c *Cluster) Start(name string, env ...string) *Program {
	c.t.Helper()
	p := c.Program(name, env...)
	p.Start()
	return p
}

// Program is a process that was not started yet. It ends with the test.
func (c *Cluster) Program(name string, env ...string) *Program {
	c.t.Helper()
	p := &Program{t: c.t, name: name, binary: c.binary, under: c.under, dir: c.t.TempDir(), env: append(slices.Clone(c.env), env...)}
	if err := os.Mkdir(p.temporary(), 0o750); err != nil {
		c.t.Fatal(err)
	}
	c.programs = append(c.programs, p)
	c.t.Cleanup(p.end)
	return p
}

// Programs are all processes, in the order in which they were started first.
func (c *Cluster) Programs() []*Program { return c.programs }

// Within waits until done says yes, and gives how long that took. When it does not in the time given, the test ends.
func Within(t testing.TB, limit time.Duration, what string, done func(context.Context) error) time.Duration {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var last error // before the time was over, which is the reason of whatever was broken off by that
	for {
		err := done(ctx)
		if err == nil {
			return time.Since(began)
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !Pass(ctx, 20*time.Millisecond) {
			t.Fatalf("%s: not within %v: %v", what, limit, last)
		}
	}
}

// Pass lets time pass, which a fault needs that lasts for some time. It reports whether ctx goes on.
func Pass(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
