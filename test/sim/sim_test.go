// Package sim simulates Daybook: real engines, two or three of them, on one store and one bus in memory that lose, repeat, delay,
// reorder, fail and lie about it, while processes are killed, stopped and started, stand still and have wrong clocks. A scheduler
// lets one call of all of them through at a time, as a seed says; time is virtual. What clients were told is held against the store
// as test/books does. A seed gives the same run each time. docs/simulation.md says what is simulated, and what it finds.
package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"daybook/test/faulttable"
)

var (
	seed  = flag.Uint64("seed", 0, "run this seed alone, and print its trace")
	seeds = flag.Int("seeds", 2000, "how many seeds are run, from the first on")
	first = flag.Uint64("first", 1, "the first seed")
)

// few is how many seeds are enough for go test -short, and with the race detector.
const few = 200

// run is one run, in a bubble, and what was wrong in it.
func run(t *testing.T, seed uint64, keep bool, how manner) *world {
	t.Helper()
	var w *world
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed, keep)
		w.lanes = how == byMessage
		if how == withAPast {
			w.past = &past{random: rand.New(rand.NewPCG(seed, 7))}
		}
		w.live()
	})
	w.linear()
	return w
}

// manner is how the clients of a world live.
type manner uint8

const (
	plain     manner = iota
	byMessage        // the first one sends its commands as messages
	withAPast        // in a ledger that was moved here, and whose oldest events are moved to an archive
)

func TestWhatClientsAreToldHoldsWhateverHappens(t *testing.T) {
	faulttable.Covers(t, "F41", faulttable.Memory)
	faulttable.Covers(t, "F24", faulttable.Memory)
	many(t, *seeds, plain)
}

func TestCommandsByMessageKeepTheirOrderWhateverHappens(t *testing.T) {
	faulttable.Covers(t, "F35", faulttable.Memory)
	many(t, min(*seeds, few), byMessage)
}

func TestALedgerWithAPastHoldsWhateverHappens(t *testing.T) {
	many(t, min(*seeds, few), withAPast)
}

// many runs many seeds, or the one that is asked for.
func many(t *testing.T, count int, how manner) {
	t.Helper()
	if *seed != 0 {
		w := run(t, *seed, true, how)
		t.Logf("\n%s", strings.Join(w.trace, "\n"))
		for _, wrong := range w.wrongs {
			t.Error(wrong)
		}
		return
	}
	if testing.Short() || slow {
		count = min(count, few)
	}
	var all sync.WaitGroup
	var next, steps, events, failed atomic.Int64
	var mu sync.Mutex
	met := map[string]int{}
	for range 2 {
		all.Go(func() {
			for n := next.Add(1); n <= int64(count); n = next.Add(1) {
				w := run(t, *first+uint64(n-1), false, how)
				steps.Add(int64(w.steps))
				events.Add(int64(w.head()))
				mu.Lock()
				for what, n := range w.met {
					met[what] += n
				}
				mu.Unlock()
				if len(w.wrongs) > 0 && failed.Add(1) <= 5 {
					t.Errorf("seed %d: %s\nto see it: go test -v -run '^%s$' ./test/sim -seed %d", *first+uint64(n-1), strings.Join(w.wrongs, "\n"), t.Name(), *first+uint64(n-1))
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d seeds, %d steps, %d events; %d seeds found something wrong\nwhat went wrong on purpose: %v", count, steps.Load(), events.Load(), failed.Load(), met)
}

func TestASeedGivesTheSameRunEachTime(t *testing.T) {
	for seed := range uint64(50) {
		how := []manner{byMessage, plain, plain, withAPast, plain}[seed%5]
		one, two := run(t, seed, true, how), run(t, seed, true, how)
		for i := range max(len(one.trace), len(two.trace)) {
			if i >= len(one.trace) || i >= len(two.trace) || one.trace[i] != two.trace[i] {
				from := max(0, i-5)
				t.Fatalf("seed %d goes two ways after line %d:\n%s\n---\n%s", seed, i,
					strings.Join(one.trace[from:min(len(one.trace), i+3)], "\n"), strings.Join(two.trace[from:min(len(two.trace), i+3)], "\n"))
			}
		}
		if !slices.Equal(one.wrongs, two.wrongs) {
			t.Errorf("seed %d finds %v and %v", seed, one.wrongs, two.wrongs)
		}
	}
}

// live is the life of the world: clients do what they have to while things go wrong; then all is well and everything catches up.
func (w *world) live() {
	if w.past != nil {
		w.moveIn()
	}
	for _, p := range w.processes {
		p.start()
		w.step()
	}
	for i, c := range w.clients {
		if w.lanes && i == 0 {
			go c.consume()
		} else {
			go c.run()
		}
	}
	w.until("the clients are done", 10*time.Minute, func() bool {
		return w.steps > 3000 || !slices.ContainsFunc(w.clients, func(c *client) bool { return !c.done.Load() })
	})
	w.heal()
	w.until("the clients are done", time.Minute, func() bool { return !slices.ContainsFunc(w.clients, func(c *client) bool { return !c.done.Load() }) })
	w.until("everything has caught up", time.Minute, w.quiet)
	if w.past != nil {
		w.moveAway()
	}
	w.check()
	for _, p := range w.processes {
		p.kill()
	}
	w.flush()
}

// until goes on until something is true. It is wrong that it takes longer than the time given.
func (w *world) until(what string, limit time.Duration, true func() bool) {
	for began := time.Now(); !true(); w.step() {
		if time.Since(began) > limit {
			w.wrong("not within %v: %s", limit, what)
			return
		}
	}
}

// heal ends all trouble: every process runs, every clock is right, nothing is lost any more.
func (w *world) heal() {
	w.note("all is well from here on")
	w.storm, w.database.away = false, 0
	for _, p := range w.processes {
		p.stalled = 0
		p.skew.Store(0)
		if !p.up {
			w.until(p.name+" has ended", time.Minute, func() bool { return p.dead })
			p.start()
		}
	}
}

// String names a client in messages.
func (c *client) String() string { return fmt.Sprintf("%s with %d things left", c.name, c.left) }
