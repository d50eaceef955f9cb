package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/test/books"
)

// client sends commands, most of them until it knows what became of them, and reads accounts.
type client struct {
	*world

	name     string
	random   *rand.Rand // its own: clients that are woken in one step do not share what is random
	accounts int
	left     int // things to do
	done     atomic.Bool
	orders   []*order
	readings []books.Op
	newest   map[string]books.Reading // what it has heard of each account
	heard    map[string]es.Position   // where that was
	shown    []es.Document            // by views
}

func newClient(w *world, n int, seed uint64, accounts int) *client {
	return &client{
		world: w, name: fmt.Sprint("client ", n), random: rand.New(rand.NewPCG(seed, uint64(100+n))), accounts: accounts, left: 10 + w.random.IntN(25),
		newest: map[string]books.Reading{}, heard: map[string]es.Position{},
	}
}

// run does what the client has to do.
func (c *client) run() {
	ctx := as(context.Background(), c.name)
	for ; c.left > 0; c.left-- {
		c.turn(ctx, "goes on")
		if c.past != nil && c.random.IntN(5) == 0 {
			c.lookBack()
			continue
		}
		switch roll := c.random.IntN(20); {
		case roll < 2:
			c.read()
		case roll < 4:
			c.view()
		case roll < 6 && len(c.orders) > 0:
			c.repeat(ctx, c.orders[c.random.IntN(len(c.orders))])
		case roll < 7 && len(c.orders) > 0:
			c.misuse(ctx, c.orders[c.random.IntN(len(c.orders))])
		default:
			c.order(ctx)
		}
	}
	c.done.Store(true)
}

// turn waits until the scheduler lets the client go on.
func (c *client) turn(ctx context.Context, what string) {
	if _, err := c.await(ctx, &call{kind: local, what: what}); err != nil {
		c.wrong("%s: %v", c.name, err)
	}
}

// now is the clock of histories: what happens in one step happens at once.
func (w *world) now() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(w.steps)
}

// place makes a new order of so many commands.
func (c *client) place(commands int) *order {
	o := &order{called: c.now(), answered: books.Forever}
	for i := range commands {
		o.told = append(o.told, books.Told{Command: c.command(fmt.Sprintf("%s order %d.%d", c.name, len(c.orders), i)), Became: books.Nothing})
	}
	c.orders = append(c.orders, o)
	return o
}

// order sends something new until it is settled, or gives up.
func (c *client) order(ctx context.Context) {
	commands := 1
	if c.random.IntN(6) == 0 {
		commands = 2
	}
	o := c.place(commands)
	for c.send(ctx, o, c.storm && c.random.IntN(8) == 0) {
		c.turn(ctx, "tries again")
	}
}

// command is any command.
func (c *client) command(key string) books.Command {
	any := func() string { return fmt.Sprint("acc-", c.random.IntN(c.accounts)) }
	told := books.Command{Key: key, Account: any()}
	known := c.newest[told.Account]
	if c.random.IntN(10) == 0 {
		told.Expected = &known.Version
	}
	verbs := []string{
		"deposit", "deposit", "deposit", "deposit", "deposit", "deposit", "withdraw", "withdraw", "withdraw", "transfer", "transfer", "transfer",
		"transfer", "correct", "correct", "set-overdraft-limit", "set-overdraft-limit", "freeze", "unfreeze", "unfreeze", "unfreeze",
	}
	if told.Verb = verbs[c.random.IntN(len(verbs))]; known.Version == 0 && c.random.IntN(3) > 0 {
		told.Verb = "create"
	}
	if told.Verb == "freeze" && c.random.IntN(4) == 0 {
		told.Verb = "close"
	}
	switch told.Verb {
	case "create", "set-overdraft-limit":
		told.Limit = c.random.Int64N(20)
	case "deposit", "withdraw":
		told.Amount = 1 + c.random.Int64N(30)
	case "transfer":
		told.To, told.Amount = any(), 1+c.random.Int64N(20)
	case "correct":
		told.Event = es.Position(1 + c.random.IntN(1+int(c.heard[told.Account]))).EventID()
		for _, o := range c.orders { // better one that the client knows of
			if t := &o.told[0]; t.Became == books.Taken && t.Amount > 0 && len(t.Events) > 0 && c.random.IntN(3) == 0 {
				told.Account, told.Event, told.Expected = t.Account, es.Position(t.Events[0].Position).EventID(), nil
			}
		}
	}
	if moves := told.Verb == "deposit" || told.Verb == "withdraw" || told.Verb == "transfer"; c.past != nil && moves && c.random.IntN(2) == 0 {
		told.Effective = c.moment()
	}
	return told
}

// request makes a command what an engine takes.
func (c *client) request(command *books.Command) engine.Request {
	m := registry().Modules[0]
	t := m.Command(command.Verb)
	body := t.New()
	for i, field := range t.Fields {
		switch slot := t.Slot(body, i).(type) {
		case *int64:
			*slot = map[string]int64{"amount": command.Amount, "overdraftLimit": command.Limit, "limit": command.Limit}[field.Name]
		case *time.Time:
			*slot = command.Effective
		case *string:
			*slot = map[string]string{"owner": "Ada", "currency": "EUR", "to": command.To, "event": command.Event, "reason": "so"}[field.Name]
		}
	}
	r := engine.Request{
		Command: es.Command{Module: m, Type: t, Stream: m.Stream(command.Account), Body: body},
		Key:     command.Key,
	}
	if command.Expected != nil {
		v := es.Version(*command.Expected)
		r.Expected = &v
	}
	return r
}

// read reads an account from its history: what is there now.
func (c *client) read() {
	p, id, called := c.anyone(), fmt.Sprint("acc-", c.random.IntN(c.accounts)), c.now()
	if p == nil {
		return
	}
	m := registry().Modules[0]
	f, err := p.life.engine.StateAt(as(p.life.lines, c.name), m, id, engine.Until{})
	r := books.Reading{Account: id}
	switch {
	case err == nil:
		a, _ := f.State.(account.Account)
		r.Version, r.Balance, r.Status = int64(f.Version), a.Balance, a.Status
	case fault.KindOf(err) != fault.NotFound:
		c.internal("read "+id, err)
		return
	}
	c.note("%s reads %+v from %s", c.name, r, p.name)
	c.readings = append(c.readings, books.Op{Called: called, Answered: c.now(), Read: &r})
}

// view reads an account from a view that is to show what the client knows of.
func (c *client) view() {
	p, id := c.anyone(), fmt.Sprint("acc-", c.random.IntN(c.accounts))
	if p == nil {
		return
	}
	m, l := registry().Modules[0], p.life
	ctx := as(l.lines, c.name)
	if err := l.engine.AwaitView(ctx, c.heard[id], 1013*time.Millisecond); err != nil {
		c.internal("wait for the view of "+id, err)
		return
	}
	d, at, err := l.engine.View(ctx, m, id)
	switch {
	case err == nil:
		c.shown = append(c.shown, d)
		c.note("%s sees version %d of %s at %d in %s", c.name, d.Version, id, at, p.name)
	case fault.KindOf(err) != fault.NotFound:
		c.internal("view "+id, err)
		return
	}
	if at < c.heard[id] || int64(d.Version) < c.newest[id].Version {
		c.wrong("%s knows of version %d of %s at %d, and %s shows it version %d at %d", c.name, c.newest[id].Version, id, c.heard[id], p.name, d.Version, at)
	}
	if c.views == nil && at < l.from {
		c.wrong("%s began when the store was at %d, and answers from a view that is filled up to %d", p.name, l.from, at)
	}
}
