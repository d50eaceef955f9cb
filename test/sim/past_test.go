package sim

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"daybook/adapters/archive"
	"daybook/adapters/logfile"
	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// past is what a world has besides whose ledger was moved here from another store, and whose oldest events are moved to an archive.
type past struct {
	random *rand.Rand
	over   time.Time // after the last event that was moved here
	vault  vault
	told   []effective
}

// effective is what a client was told of a balance on both axes of time.
type effective struct {
	account string
	at      time.Time
	known   int64 // the version
	balance int64
}

// least is how many events an archive takes at the least, and a few.
const least = 1<<es.TreeStride + 4

// grow adds to a process what a ledger with a past needs.
func (p *process) grow(o *engine.Options, reactor *engine.Reactor) {
	shelf := &shelf{&p.past.vault, p}
	o.Store, o.Archive = archive.Over(o.Store, shelf), shelf
	reactor.Since = p.past.over
}

// whole is the store with what was moved away, as nobody disturbs it.
func (w *world) whole() ports.Store {
	if w.past == nil {
		return w.store
	}
	return archive.Over(w.store, &w.past.vault)
}

// moveIn lets the first client fill another store, and moves that ledger here while things go wrong.
func (w *world) moveIn() {
	from := memstore.New()
	w.fill(from)
	var file bytes.Buffer
	ledger, err := engine.Export(context.Background(), from, logfile.NewWriter(&file))
	if err != nil {
		w.wrong("export: %v", err)
		return
	}
	var moved atomic.Bool
	var broken int
	go func() {
		broken = w.move(file.Bytes())
		moved.Store(true)
	}()
	w.until("the ledger was moved here", 10*time.Minute, moved.Load)
	if broken > 0 {
		w.met["an import is broken off"] += broken
	}
	if here, err := engine.LedgerOf(context.Background(), w.store); err != nil || here != ledger {
		w.wrong("moved here, the ledger %+v is %+v (%v)", ledger, here, err)
	}
	if err := engine.ImportFinished(context.Background(), w.store); err != nil {
		w.wrong("the ledger was moved here: %v", err)
	}
	w.past.over = ledger.At.Add(time.Microsecond)
	for p := es.Position(1); p <= ledger.Head; p++ { // the reactor is newer than they are
		w.reacted, w.seen[p] = append(w.reacted, p), true
	}
}

// fill is the first client's past.
func (w *world) fill(from ports.Store) {
	c := w.clients[0]
	e := engine.New(engine.Options{
		Anonymous: access.Local, Registry: registry(), Store: from, Views: memviews.New(registry()), Observer: ports.Silent{}, Now: time.Now,
	})
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		e.RunCommands(ctx)
		close(stopped)
	}()
	events := es.Position(least + w.past.random.IntN(least))
	for head := es.Position(0); head < events; head, _ = from.Head(ctx) {
		o := c.place(1)
		o.told[0].Key = fmt.Sprint("past ", len(c.orders))
		if o.told[0].Verb == "close" {
			o.told[0].Verb = "freeze"
		}
		pass(time.Duration(w.past.random.Int64N(int64(time.Minute))))
		answer, err := e.Execute(ctx, c.request(&o.told[0].Command))
		c.hear(o, []engine.Result{{Answer: answer, Err: err}}, false)
		o.called = int64(len(c.orders)) - 1<<40 // long before all that follows
		o.answered = o.called
	}
	stop()
	<-stopped
	for _, other := range w.clients[1:] {
		other.newest, other.heard = maps.Clone(c.newest), maps.Clone(c.heard)
	}
}

// move imports a ledger, over and over until it is done: whatever breaks it off, it goes on where it was. It gives how often that was.
func (w *world) move(file []byte) (broken int) {
	s := &store{w.store, &process{world: w, name: "import"}}
	for ctx := as(context.Background(), "import"); ; {
		reader, err := logfile.NewReader(bytes.NewReader(file))
		if err == nil {
			_, err = engine.Import(ctx, s, reader, func(_, _ es.Position) {})
		}
		w.note("the import ends with %v", err)
		if err == nil {
			return broken
		}
		w.internal("import", err)
		broken++
	}
}

// moveAway moves what may be moved to the archive, once nothing goes wrong any more.
func (w *world) moveAway() {
	e := w.processes[0].life.engine
	var op engine.Operation
	var again time.Time // another process may have died with the lease
	w.until("the oldest events are in the archive", time.Minute, func() bool {
		op, _ = e.Operation(context.Background(), op.ID)
		if op.State != engine.OperationRunning && time.Now().After(again) {
			op, _ = e.Archive(as(context.Background(), "archive"), time.Now().Add(2*time.Hour), nil)
			again = time.Now().Add(time.Second)
		}
		return op.State == engine.OperationDone
	})
	if archived, err := w.store.Archived(context.Background()); err == nil && archived > 0 {
		w.met["events are in the archive"]++
	}
}

// moment is any of the days before the world began.
func (c *client) moment() time.Time {
	return c.begun.Add(-time.Duration(c.random.Int64N(int64(48 * time.Hour)))).Truncate(time.Microsecond)
}

// lookBack asks for a balance on both axes of time.
func (c *client) lookBack() {
	p, id := c.anyone(), fmt.Sprint("acc-", c.random.IntN(c.accounts))
	if p == nil {
		return
	}
	at, known := c.moment(), engine.Until{}
	if newest := c.newest[id].Version; newest > 0 && c.random.IntN(2) == 0 {
		known.Version = es.Version(1 + c.random.Int64N(newest))
	}
	b, err := p.life.engine.BalanceEffective(as(p.life.lines, c.name), registry().Modules[0], id, at, known)
	switch {
	case err == nil:
		c.note("%s is told %d for %s at %v as of version %d by %s", c.name, b.Balance, id, at, b.Known.Version, p.name)
		c.mu.Lock()
		c.past.told = append(c.past.told, effective{id, at, int64(b.Known.Version), b.Balance})
		c.mu.Unlock()
		if known.Version > 0 && b.Known.Version != known.Version || int64(b.Known.Version) < c.newest[id].Version && known.Version == 0 {
			c.wrong("%s asks for %s as of version %d, knows of %d, and is told of %d", c.name, id, known.Version, c.newest[id].Version, b.Known.Version)
		}
	case fault.KindOf(err) != fault.NotFound:
		c.internal("look back at "+id, err)
	}
}

// checkEffective holds what clients were told on both axes of time against the books, and asks again, now that the past is in the archive.
func (w *world) checkEffective() {
	e := engine.New(engine.Options{
		Anonymous: access.Local, Registry: registry(), Store: w.whole(), Observer: &observer{process: w.processes[0]}, Now: time.Now, SnapshotEvery: 3, BlockSize: 16,
	})
	for _, told := range w.past.told {
		want := w.books.Effective(told.account, told.at, told.known)
		if told.balance != want {
			w.wrong("the balance of %s at %v as of version %d is %d, and a client was told %d", told.account, told.at, told.known, want, told.balance)
		}
		b, err := e.BalanceEffective(context.Background(), registry().Modules[0], told.account, told.at, engine.Until{Version: es.Version(told.known)})
		if err != nil || b.Balance != want {
			w.wrong("the balance of %s at %v as of version %d is %d, and from the archive it is %d (%v)", told.account, told.at, told.known, want, b.Balance, err)
		}
	}
}
