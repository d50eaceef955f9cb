package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"daybook/adapters/memviews"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// process is one that runs an engine, is killed or stopped, and started again.
type process struct {
	*world

	name    string
	bare    bool // it has a small cache and makes no views
	lives   int
	stalled int          // none of its calls is let through before this step
	skew    atomic.Int64 // of its clock, a time.Duration

	up   bool
	dead bool // guarded by world.mu: nothing of it goes on
	life *life
}

// life is what a process is from one start to the next.
type life struct {
	ctx     context.Context
	end     context.CancelFunc
	lines   context.Context // of its clients, which are cut when it is killed
	cut     context.CancelFunc
	killed  atomic.Bool // whom it was about to answer has heard nothing; a client that waits elsewhere reads it late
	engine  *engine.Engine
	from    es.Position // where the store was at its start
	running sync.WaitGroup
}

const topic = "events"

// start begins a life.
func (p *process) start() {
	p.lives++
	p.mu.Lock()
	p.dead = false
	p.mu.Unlock()
	l := &life{from: p.head()}
	l.ctx, l.end = context.WithCancel(context.Background())
	l.lines, l.cut = context.WithCancel(context.Background())
	p.up, p.life = true, l
	p.note("%s starts", p.name)
	reactor := engine.Reactor{Name: "letters", React: p.react}
	o := engine.Options{
		Anonymous: access.Local,
		Registry:  registry(), Store: &store{p.world.store, p}, Bus: &link{p.bus, p}, Views: p.see(), Observer: &observer{process: p},
		Now: func() time.Time { return time.Now().Add(time.Duration(p.skew.Load())) }, EventsTopic: topic, Process: fmt.Sprintf("%s%d", p.name, p.lives),
		SnapshotEvery: 3, QueueSize: 64,
	}
	if p.bare {
		o.CacheSize = 2
	}
	if p.past != nil {
		p.grow(&o, &reactor)
	}
	o.Reactors = []engine.Reactor{reactor}
	l.engine = engine.New(o)
	for name, run := range map[string]func(context.Context){
		"commands": l.engine.RunCommands, "relay": l.engine.RunRelay, "reactor": l.engine.RunReactors, "snapshots": l.engine.RunSnapshots,
		"project": l.engine.RunProjector,
	} {
		if name != "project" || !p.bare {
			l.running.Go(func() { run(as(l.ctx, name)) })
		}
	}
}

// see gives the views that the process uses.
func (p *process) see() ports.Views {
	if p.world.views != nil {
		return &views{p.world.views, p}
	}
	return memviews.New(registry())
}

// kill ends a life at once. What was on its way to the store may arrive.
func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.life.killed.Store(true)
	p.life.end()
	p.life.cut()
	synctest.Wait()
	p.cut()
	p.life.running.Wait()
	p.up = false
}

// cut answers all calls of a process that is dead, and frees what it held.
func (p *process) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range append([]*call(nil), p.calls...) {
		if c.from != p || c.left {
			continue
		}
		p.drop(c)
		if c.kind == commits && p.random.IntN(2) == 0 {
			arrived := *c
			arrived.left = true
			p.calls = append(p.calls, &arrived)
		} else if c.undo != nil {
			c.undo()
		}
		c.turn <- dead
	}
}

// stop asks a process to end, as a supervisor does. It goes on with what it has begun.
func (p *process) stop() {
	p.life.end()
	p.up = false
	going := p.life
	go func() {
		going.running.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.dead = true
	}()
}

var errLetter = fault.New(fault.Unavailable, "letter_unsent", "The letter could not be sent.")

// react is the reactor, which fails now and then.
func (p *process) react(ctx context.Context, e *es.Recorded) error {
	return p.port(ctx, &call{from: p, kind: changes, what: "react to " + e.Position.EventID(), act: func() error {
		if !p.seen[e.Position] {
			p.seen[e.Position] = true
			p.reacted = append(p.reacted, e.Position)
		}
		return nil
	}}, errLetter)
}

// observer is told by an engine what goes on.
type observer struct {
	ports.Silent
	*process
}

func (o *observer) Failed(what string, err error) {
	o.note("%s could not %s: %v", o.name, what, err)
	o.mu.Lock()
	gone := o.dead
	o.mu.Unlock()
	if !gone && (what != "use a snapshot" || o.luck.damaged == 0) {
		o.internal(what, err)
	}
}

func (o *observer) Parked(view, id string, err error) {
	o.wrong("%s parks %s/%s: %v", o.name, view, id, err)
}

func (o *observer) Led(lease string, token ports.Token, held bool) {
	o.note("%s has the lease %s: %v", o.name, lease, held)
}

// interrupted reports whether an error is that of a context, or of what is simulated.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// archive asks a process to move old events to the archive.
func (p *process) archive() {
	if p.up && !p.bare {
		p.met["old events are to be archived"]++
		_, err := p.life.engine.Archive(as(p.life.ctx, "archive"), time.Now().Add(2*time.Hour), nil)
		p.note("%s is asked to archive: %v", p.name, err)
	}
}

// disturb does something that nobody asked for.
func (w *world) disturb() {
	p := w.processes[w.random.IntN(len(w.processes))]
	if !p.up {
		if p.dead {
			p.start()
		}
		return
	}
	for _, trouble := range []struct {
		chance int // of 100
		what   string
		do     func()
	}{
		{25, "a process is killed", p.kill},
		{10, "a process is stopped", p.stop},
		{20, "a process stands still", func() { p.stalled = w.steps + 20 + w.random.IntN(150) }},
		{10, "the store is away", func() { w.database.away = w.steps + w.random.IntN(60) }},
		{10, "a clock of a process jumps", func() { p.skew.Store(int64(w.jump())) }},
		{8, "the clock of the store jumps", func() { w.database.ahead += max(0, w.jump()) }}, // back would only prolong leases
		{5, "a unit of work is thrown out", w.throwOut},
		{5, "the views are built anew", p.rebuild},
		{7, "the store crashes", w.crash},
	} {
		if w.random.IntN(100) < trouble.chance {
			w.met[trouble.what]++
			w.note("%s: %s", p.name, trouble.what)
			trouble.do()
			break
		}
	}
	if w.random.IntN(3) == 0 {
		time.Sleep(time.Duration(w.random.Int64N(int64(3 * time.Second))))
	}
}

// rebuild asks a process to build its views anew.
func (p *process) rebuild() {
	if !p.bare {
		_, err := p.life.engine.Rebuild(as(p.life.ctx, "rebuild"))
		p.note("%s is asked for a rebuild: %v", p.name, err)
	}
}

// jump is by how much a clock may be wrong.
func (w *world) jump() time.Duration {
	most := []time.Duration{time.Millisecond, 3 * time.Second, time.Hour}[w.random.IntN(3)]
	return time.Duration(w.random.Int64N(2*int64(most))) - most
}

// throwOut ends the unit of work of a process that takes too long, as a database does.
func (w *world) throwOut() {
	if u := w.database.unit; u != nil {
		u.free()
	}
}

// crash makes the store forget what it may: the last places of some checkpoints.
func (w *world) crash() {
	w.throwOut()
	for name, all := range w.database.saved {
		if len(all) > 1 {
			all = all[:len(all)-1]
			w.database.saved[name] = all
			if err := w.store.SaveCheckpoint(context.Background(), name, 0, all[len(all)-1]); err != nil {
				w.wrong("%v", err)
			}
		}
	}
}
