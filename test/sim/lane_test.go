package sim

import (
	"context"
	"slices"
	"time"

	"daybook/test/books"
)

// consume does what the client has to do as a consumer of messages does: it gives a process several at a time through a lane, and
// those that did not succeed again, in order, to the same process or another one.
func (c *client) consume() {
	ctx := as(context.Background(), c.name)
	for ; c.left > 0; c.left-- {
		o := c.place(1)
		o.called, o.told[0].Expected = books.Forever, nil
	}
	for waiting := c.orders; len(waiting) > 0; {
		c.turn(ctx, "takes messages")
		if p := c.anyone(); p != nil {
			waiting = c.carry(ctx, p.life, waiting)
		}
	}
	c.done.Store(true)
}

// ahead is how many messages are on their way at once.
const ahead = 4

// carry gives a process messages for some time, and returns those that are left.
func (c *client) carry(ctx context.Context, l *life, waiting []*order) []*order {
	lane := l.engine.Lane()
	served, end := context.WithTimeout(as(l.lines, c.name), time.Duration(c.random.Int64N(int64(5*time.Second))))
	defer end()
	for len(waiting) > 0 && served.Err() == nil && l.ctx.Err() == nil {
		batch := waiting[:min(len(waiting), ahead)]
		attempts := make([]*attempt, len(batch))
		for i, o := range batch {
			c.turn(ctx, "sends "+o.told[0].Key)
			o.called = min(o.called, c.now())
			a := &attempt{life: l, ctx: served, replies: 1}
			a.ticket, a.err = lane.Submit(served, c.request(&o.told[0].Command))
			attempts[i] = a
		}
		var left []*order
		for i, o := range batch {
			c.hear(o, attempts[i].wait(), false)
			if o.kept() {
				o.answered = c.now()
			} else {
				left = append(left, o)
			}
		}
		waiting = append(left, waiting[len(batch):]...)
		c.turn(ctx, "goes on")
	}
	return waiting
}

// checkLane checks that what was taken of a consumer's messages was taken in their order.
func (c *client) checkLane() {
	taken := slices.DeleteFunc(slices.Clone(c.orders), func(o *order) bool { return o.became() != books.Taken })
	for i := 1; i < len(taken); i++ {
		if before, o := taken[i-1].told[0], taken[i].told[0]; o.Position < before.Position {
			c.wrong("%s was taken at %d, behind %s at %d", before.Key, before.Position, o.Key, o.Position)
		}
	}
}
