package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/books"
)

// world is one run: processes on one store and one bus, their clients, and a scheduler that lets one call of theirs through at a
// time. All that is random comes from the seed. It runs in a bubble of testing/synctest, where time passes only while nobody works.
type world struct {
	random *rand.Rand
	luck   luck
	begun  time.Time

	store     *memstore.Store
	database  database
	bus       *bus
	views     *memviews.Views // that all processes share; nil: each has its own
	processes []*process
	clients   []*client

	steps int            // written with mu
	met   map[string]int // how often what went wrong
	storm bool           // things go wrong
	lanes bool           // the first client sends its commands as messages
	past  *past          // nil: the ledger begins empty

	mu      sync.Mutex // guards what follows: goroutines that were woken in one step run at once
	calls   []*call
	lines   []string // of this step
	trace   []string
	books   *books.Books // when all is over
	wrongs  []string
	reacted []es.Position // in the order in which the reactor was shown them for the first time
	seen    map[es.Position]bool
	keep    bool // the trace is kept
}

// luck is how often what goes wrong in this run. Runs differ in it: some are calm but for one kind of trouble.
type luck struct {
	unavailable float64 // a call is not carried out
	unsaid      float64 // a call is carried out, and its caller is told that it failed
	doubtful    float64 // a commit ends in an unknown outcome
	lost        float64 // a message is lost
	repeated    float64
	forgotten   float64 // a snapshot is gone
	damaged     float64
	disturbed   float64 // in a step, something else happens: see disturb
	haste       time.Duration
}

// registry is what all runs share; it never changes.
var registry = sync.OnceValue(func() *es.Registry {
	r, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		panic(err)
	}
	return r
})

func newWorld(seed uint64, keep bool) *world {
	random := rand.New(rand.NewPCG(seed, 6))
	some := func(chances ...float64) float64 { return chances[random.IntN(len(chances))] }
	w := &world{
		random: random, begun: time.Now(), store: memstore.New(), storm: true, keep: keep, seen: map[es.Position]bool{}, met: map[string]int{},
		luck: luck{
			unavailable: some(0, 0.01, 0.05, 0.2), unsaid: some(0, 0.02, 0.1), doubtful: some(0, 0.05, 0.3),
			lost: some(0, 0.2, 0.9), repeated: some(0, 0.2), forgotten: some(0, 0.3), damaged: some(0, 0, 0.3), disturbed: some(0.003, 0.01, 0.03),
			haste: []time.Duration{10 * time.Microsecond, time.Millisecond, 20 * time.Millisecond}[random.IntN(3)],
		},
	}
	w.database = database{world: w, saved: map[string][]es.Position{}, given: map[grant]bool{}}
	w.bus = &bus{world: w, told: map[string]bool{}}
	if random.IntN(2) == 0 {
		w.views = memviews.New(registry())
	}
	for n := range 2 + random.IntN(2) {
		w.processes = append(w.processes, &process{world: w, name: string(rune('A' + n)), bare: n > 0 && random.IntN(2) == 0})
	}
	accounts := 1 + random.IntN(3)
	for n := range 3 + random.IntN(3) {
		w.clients = append(w.clients, newClient(w, n, seed, accounts))
	}
	return w
}

// call is one of a port, or of a client that begins something, that waits for its turn.
type call struct {
	from  *process // nil: a client's
	who   string
	what  string
	kind  kind
	born  int // the step in which it came
	ready func() bool
	turn  chan fate // the caller waits here
	left  bool      // nobody waits any more, but what was asked for may be on its way
	act   func() error
	undo  func() // instead of act, where that is needed
}

// kind says what may go wrong with a call.
type kind uint8

const (
	reads   kind = iota // it changes nothing
	changes             // it does, and may do so though its caller hears otherwise, or has left
	commits             // it writes events
	local               // nothing goes wrong
)

// fate is what becomes of a call.
type fate uint8

const (
	good         fate = iota
	refused           // not carried out
	silent            // carried out, and the caller is told that it was not
	inDoubt           // a commit: not carried out, and not known
	inDoubtDone       // a commit: carried out, and not known
	inDoubtLater      // a commit: not known, and still on its way
	dead              // its process is no more
)

func (f fate) String() string {
	return [...]string{"", "fails", "fails but is done", "in doubt", "in doubt but done", "in doubt, and goes on", "is dead"}[f]
}

// who names the part of a process that a context was given to.
type who struct{}

func as(ctx context.Context, name string) context.Context { return context.WithValue(ctx, who{}, name) }

// await waits for the turn of a call and gives its fate. An error is that of the context.
func (w *world) await(ctx context.Context, c *call) (fate, error) {
	c.who, _ = ctx.Value(who{}).(string)
	c.turn = make(chan fate, 1)
	w.mu.Lock()
	if c.from != nil && c.from.dead {
		w.mu.Unlock()
		return dead, nil
	}
	c.born = w.steps
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	select {
	case f := <-c.turn:
		return f, nil
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		if c.kind == changes {
			c.left = true
		} else {
			w.drop(c)
		}
		return refused, ctx.Err()
	}
}

func (w *world) drop(c *call) {
	w.calls = slices.DeleteFunc(w.calls, func(other *call) bool { return other == c })
}

// port carries out a call of a port when its turn comes, or fails with the error that says that nothing happened.
func (w *world) port(ctx context.Context, c *call, unavailable error) error {
	f, err := w.await(ctx, c)
	switch {
	case err != nil:
		return err
	case f == refused:
		return unavailable
	case f == dead:
		return ports.ErrStoreClosed
	}
	err = c.act()
	if f == silent {
		return unavailable
	}
	return err
}

// pass lets time pass.
func pass(d time.Duration) { time.Sleep(d) }

// step lets some time pass, disturbs something now and then, and lets one call through.
func (w *world) step() {
	time.Sleep(1 + time.Duration(w.random.Int64N(int64(w.luck.haste))))
	synctest.Wait()
	w.mu.Lock()
	w.steps++
	w.mu.Unlock()
	if w.storm && w.random.Float64() < w.luck.disturbed {
		w.disturb()
		synctest.Wait()
	}
	if w.past != nil && w.storm && w.past.random.IntN(60) == 0 {
		w.processes[w.past.random.IntN(len(w.processes))].archive()
		synctest.Wait()
	}
	if c := w.next(); c != nil {
		w.let(c)
	} else {
		time.Sleep(time.Duration(w.random.Int64N(int64(40 * time.Millisecond))))
	}
	synctest.Wait()
	w.flush()
}

// next picks one of the calls that can be let through; nil if none can.
func (w *world) next() *call {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortStableFunc(w.calls, func(a, b *call) int {
		return cmp.Or(a.born-b.born, strings.Compare(a.name(), b.name()), strings.Compare(a.what, b.what))
	})
	var can []*call
	for _, c := range w.calls {
		if (c.from == nil || w.steps >= c.from.stalled) && (c.ready == nil || c.ready()) {
			can = append(can, c)
		}
	}
	if len(can) == 0 {
		return nil
	}
	c := can[w.random.IntN(len(can))]
	w.drop(c)
	return c
}

func (c *call) name() string {
	if c.from != nil {
		return c.from.name + " " + c.who
	}
	return c.who
}

// let lets a call through.
func (w *world) let(c *call) {
	f := w.fate(c)
	switch {
	case c.left && f == good:
		w.note("%s, who has left: %s", c.name(), c.what)
		_ = c.act() // nobody hears of it
		return
	case c.left:
		if c.undo != nil {
			c.undo()
		}
		return
	}
	if f != good {
		w.met["a call "+f.String()]++
	}
	w.note("%s: %s %s", c.name(), c.what, f)
	c.turn <- f
}

// fate decides what becomes of a call.
func (w *world) fate(c *call) fate {
	if c.left {
		return []fate{good, refused}[w.random.IntN(2)]
	}
	if !w.storm || c.kind == local {
		return good
	}
	roll := w.random.Float64()
	switch {
	case roll < w.luck.unavailable || w.steps < w.database.away:
		return refused
	case c.kind == changes && roll < w.luck.unavailable+w.luck.unsaid:
		return silent
	case c.kind == commits && roll < w.luck.unavailable+w.luck.doubtful:
		return []fate{inDoubt, inDoubtDone, inDoubtLater}[w.random.IntN(3)]
	}
	return good
}

// note adds a line to the trace. Those of one step have no order.
func (w *world) note(format string, args ...any) {
	if !w.keep {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *world) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.lines)
	for _, line := range w.lines {
		w.trace = append(w.trace, fmt.Sprintf("%5d %12v  %s", w.steps, time.Since(w.begun), line))
	}
	w.lines = w.lines[:0]
}

// wrong notes what does not hold.
func (w *world) wrong(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrongs = append(w.wrongs, fmt.Sprintf("step %d: ", w.steps)+fmt.Sprintf(format, args...))
}

// internal notes an error that says that the program itself is wrong.
func (w *world) internal(what string, err error) {
	f := fault.Of(err)
	if f.Kind == fault.Internal && !interrupted(err) {
		w.wrong("%s: %v", what, err)
	}
}

// head is where the store really is.
func (w *world) head() es.Position {
	head, _ := w.store.Head(context.Background())
	return head
}

// ledger reads the books behind everybody's back.
func (w *world) ledger() *books.Books {
	events, err := w.whole().ReadFeed(context.Background(), 0, int(w.head()))
	if err != nil {
		w.wrong("read the store: %v", err)
	}
	all := make([]books.Event, len(events))
	for i := range events {
		if err := json.Unmarshal(events[i].JSON(), &all[i]); err != nil {
			w.wrong("read %s: %v", events[i].JSON(), err)
		}
	}
	return books.Open(all, w.wrong)
}
