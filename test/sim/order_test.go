package sim

import (
	"context"
	"errors"
	"time"

	"daybook/core/engine"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/books"
)

// order is one thing that a client wants done: commands that stand or fall together, mostly one.
type order struct {
	told     []books.Told
	called   int64
	answered int64 // when it was first known; books.Forever until then
}

// became is what the client knows of the order.
func (o *order) became() books.Became { return o.told[0].Became }

// kept reports whether the order is answered the same way for ever. Of commands that stand or fall together a refusal is not kept,
// nor is that of a command at another version.
func (o *order) kept() bool {
	return o.became() == books.Taken || o.became() == books.Refused && len(o.told) == 1 && o.told[0].Code != engine.ErrVersionMismatch.Code
}

// send sends an order once, now and then to two processes at the same time, and reports whether the client should send it again.
func (c *client) send(ctx context.Context, o *order, giveUp bool) (again bool) {
	requests := make([]engine.Request, len(o.told))
	for i := range o.told {
		requests[i] = c.request(&o.told[i].Command)
	}
	known := o.kept()
	attempts := []*attempt{c.submit(ctx, requests)}
	if len(requests) == 1 && o.told[0].Expected == nil && c.random.IntN(6) == 0 {
		c.turn(ctx, "sends it twice")
		attempts = append(attempts, c.submit(ctx, requests))
	}
	for _, a := range attempts {
		c.hear(o, a.wait(), known)
	}
	switch o.became() {
	case books.Taken, books.Refused:
		o.answered = min(o.answered, c.now())
		return false
	case books.Maybe:
		if o.told[0].Code != "" { // a refusal that is not kept
			return false
		}
	}
	return !giveUp
}

// attempt is an order on its way to a process.
type attempt struct {
	life    *life
	ticket  *engine.Ticket
	err     error
	ctx     context.Context
	forget  context.CancelFunc
	replies int
}

// submit sends requests to some process.
func (c *client) submit(ctx context.Context, requests []engine.Request) *attempt {
	a := &attempt{replies: len(requests)}
	p := c.anyone()
	if p == nil {
		a.err = ports.ErrStoreUnavailable // the connection is refused
		return a
	}
	name, _ := ctx.Value(who{}).(string)
	a.life = p.life
	a.ctx, a.forget = context.WithTimeout(as(p.life.lines, name), c.luck.haste+time.Duration(c.random.Int64N(int64(3*time.Second))))
	a.ticket, a.err = p.life.engine.Submit(a.ctx, len(requests) > 1, requests...)
	c.note("%s sends %+v to %s", name, requests[0].Command.Body, p.name)
	return a
}

// wait gives what the client hears of each request.
func (a *attempt) wait() []engine.Result {
	var results []engine.Result
	if a.forget != nil {
		defer a.forget()
	}
	if a.err == nil {
		results, a.err = a.ticket.Wait(a.ctx)
	}
	if a.life != nil && a.life.killed.Load() { // nobody was left to tell
		a.err = ports.ErrOutcomeUnknown
	}
	if a.err != nil {
		results = make([]engine.Result, a.replies)
		for i := range results {
			results[i].Err = a.err
		}
	}
	return results
}

// anyone is a process that listens; nil if there is none.
func (c *client) anyone() *process {
	var up []*process
	for _, p := range c.processes {
		if p.up {
			up = append(up, p)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[c.random.IntN(len(up))]
}

// became says what a client may conclude from an answer.
func became(err error) books.Became {
	switch {
	case err == nil:
		return books.Taken
	case interrupted(err):
		return books.Maybe
	}
	switch fault.KindOf(err) {
	case fault.Unavailable:
		return books.Nothing
	case fault.NotFound, fault.Rejected, fault.Conflict:
		return books.Refused
	}
	return books.Maybe
}

// together is what the answers to commands that stand or fall together say of all of them.
func together(results []engine.Result) (all books.Became, half bool) {
	counts := map[books.Became]int{}
	for _, r := range results {
		counts[became(r.Err)]++
	}
	for _, b := range []books.Became{books.Maybe, books.Nothing, books.Refused} {
		if counts[b] > 0 {
			return b, counts[books.Taken] > 0
		}
	}
	return books.Taken, false
}

// hear takes in what the client is told of an order, and holds it against what it was told before. known says that its answer was
// known when it was sent, and so is to come as a replay.
func (c *client) hear(o *order, results []engine.Result, known bool) {
	all, half := together(results)
	c.note("%s hears of %s: %s, %v", c.name, o.told[0].Key, all, results[0].Err)
	if half {
		c.wrong("%s was done by half: %+v", o.told[0].Key, results)
	}
	kept, before := o.kept(), o.became()
	for i, r := range results {
		t := &o.told[i]
		if r.Err != nil {
			c.internal(t.Key, r.Err)
		}
		switch {
		case kept:
			c.compare(t, all, r, known)
		case all == books.Nothing && before == books.Maybe: // this time nothing happened; who knows of the time before
		case all == books.Taken:
			c.taken(t, r.Answer)
		default:
			t.Became, t.Code = all, ""
			if all == books.Refused {
				t.Code = fault.Of(r.Err).Code
			}
		}
	}
	if !kept && before == books.Maybe && all == books.Refused && !o.kept() { // the attempt before may still be on its way
		for i := range o.told {
			o.told[i].Became = books.Maybe
		}
	}
}

// taken notes an answer.
func (c *client) taken(t *books.Told, a engine.Answer) {
	t.Became, t.Code = books.Taken, ""
	t.Version, t.Position, t.Balance, t.Events = int64(a.Version), int64(a.Position), a.Balance, nil
	for _, e := range a.Events {
		t.Events = append(t.Events, books.Ref{EventType: e.Type, Version: int64(e.Version), Position: int64(e.Position)})
	}
	if seen := c.newest[t.Account]; seen.Version < t.Version {
		c.newest[t.Account], c.heard[t.Account] = books.Reading{Account: t.Account, Version: t.Version, Balance: t.Balance}, a.Position
	}
}

// compare holds another answer against the one that was kept.
func (c *client) compare(t *books.Told, all books.Became, r engine.Result, known bool) {
	a := r.Answer
	switch {
	case all == books.Nothing || all == books.Maybe:
	case all != t.Became:
		c.wrong("%s was %s and is %s later: %v", t.Key, t.Became, all, r.Err)
	case all == books.Refused:
		if code := fault.Of(r.Err).Code; code != t.Code {
			c.wrong("%s was refused by %s and later by %s", t.Key, t.Code, code)
		}
	case int64(a.Version) != t.Version || int64(a.Position) != t.Position || a.Balance != t.Balance || known && !a.Replayed:
		c.wrong("%s was answered %+v and is answered %+v later", t.Key, *t, a)
	}
}

// repeat sends an order again that was settled, or given up.
func (c *client) repeat(ctx context.Context, o *order) {
	if o.kept() || o.became() == books.Nothing {
		c.send(ctx, o, true)
	}
}

// misuse sends another command under a key that has its answer.
func (c *client) misuse(ctx context.Context, o *order) {
	if !o.kept() {
		return
	}
	other := c.command(o.told[0].Key)
	if old := o.told[0].Command; other.Account == old.Account && other.Verb == old.Verb {
		return
	}
	r := c.submit(ctx, []engine.Request{c.request(&other)}).wait()[0]
	if b := became(r.Err); (b == books.Taken || b == books.Refused) && !errors.Is(r.Err, engine.ErrKeyMismatch) {
		c.wrong("the key %s of %+v was used for %+v, and answered %+v, %v", other.Key, o.told[0], other, r.Answer, r.Err)
	}
}
