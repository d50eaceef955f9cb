package contract

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"daybook/core/fault"
	"daybook/core/ports"
)

func (c *busCase) subscribeAhead(topic string, ahead int, start ports.Starter) {
	c.Helper()
	if err := c.bus.SubscribeAhead(c.ctx, ports.Subscription{Topic: topic}, ahead, start); err != nil {
		c.Fatalf("SubscribeAhead: %v", err)
	}
}

func (c *busCase) ahead() {
	const ahead, n = 4, 40
	began, ends := make(chan string, n), make(chan struct{})
	var onWay atomic.Int32
	c.subscribeAhead("t", ahead, func(_ context.Context, m ports.Message) func() error {
		if now := onWay.Add(1); now > ahead {
			c.Errorf("%d messages are on their way", now)
		}
		began <- m.ID
		return func() error {
			<-ends
			onWay.Add(-1)
			return nil
		}
	})
	messages, ids := numbered("m", n)
	c.publish("t", messages...)
	for i, id := range ids {
		if i >= ahead {
			ends <- struct{}{} // only then the next one may begin
		}
		if got := receive(c, began); got != id {
			c.Fatalf("message %s was started, want %s", got, id)
		}
	}
	close(ends)
}

// aheadFailure ends messages in all ways at once: in the first round m2 and m4 fail for a while, m3 is dead and m5 succeeds.
func (c *busCase) aheadFailure() {
	fails := map[string]error{
		"m2": errors.New("not now"), "m3": fault.New(fault.Rejected, "no", "No."), "m4": fault.New(fault.Unavailable, "away", "Away."),
	}
	var mu sync.Mutex
	var order []string
	attempts := map[string]int{}
	all := make(chan struct{}) // m1 to m5 are on their way
	done := make(chan struct{})
	c.subscribeAhead("t", 5, func(_ context.Context, m ports.Message) func() error {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, m.ID)
		if attempts[m.ID]++; m.ID == "m5" && attempts["m5"] == 1 {
			close(all)
		}
		first := attempts[m.ID] == 1
		return func() error {
			<-all
			if m.ID == "m8" {
				close(done)
			}
			if first {
				return fails[m.ID]
			}
			return nil
		}
	})
	dead := c.collect(ports.DeadLetters("t"))
	messages, _ := numbered("m", 8)
	c.publish("t", messages...)
	receive(c, done)
	c.wants(dead, "m3")
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"m1", "m2", "m3", "m4", "m5"}; !slices.Equal(order[:5], want) {
		c.Errorf("first were started %v", order[:5])
	}
	again := slices.DeleteFunc(slices.Clone(order[5:]), func(id string) bool { return id == "m6" || id == "m7" || id == "m8" })
	if want := []string{"m2", "m4"}; !slices.Equal(again, want) {
		c.Errorf("started again were %v, want %v", again, want)
	}
	if i, j := slices.Index(order[5:], "m4"), slices.Index(order[5:], "m7"); j < i {
		c.Errorf("m7 was started before what failed: %v", order)
	}
}

func (c *busCase) aheadPanics() {
	got := make(chan ports.Message, 10)
	attempts := map[string]int{}
	c.subscribeAhead("t", 3, func(_ context.Context, m ports.Message) func() error {
		if attempts[m.ID]++; m.ID == "m1" && attempts["m1"] == 1 {
			panic("at the start")
		}
		fails := m.ID == "m2" && attempts["m2"] == 1
		return func() error {
			if fails {
				panic("at the end")
			}
			got <- m
			return nil
		}
	})
	messages, _ := numbered("m", 3)
	c.publish("t", messages...)
	seen := map[string]bool{}
	for range messages {
		seen[c.next(got).ID] = true
	}
	if len(seen) != 3 {
		c.Errorf("handled were %v", seen)
	}
}

func (c *busCase) kept() {
	done := make(chan ports.Message, 10)
	var well atomic.Bool
	c.subscribe("t", func(_ context.Context, m ports.Message) error {
		if !well.Load() && m.ID != "last" {
			return fault.New(fault.Rejected, "refused", "Not like this.")
		}
		done <- m
		return nil
	})
	sent := ports.Message{ID: "m1", Headers: map[string]string{"replyTo": "me"}, Body: []byte("one")}
	c.publish("t", sent, ports.Message{ID: "m2"}, ports.Message{ID: "m3"}, ports.Message{ID: "last"})
	c.wants(done, "last") // so the others are dead
	c.areDead("m1", "m2", "m3")
	if one := c.dead(1); len(one) != 1 || one[0].ID != "m1" || string(one[0].Body) != "one" || one[0].Headers["replyTo"] != "me" || one[0].Headers["reason"] == "" {
		c.Errorf("the oldest dead message is %+v", one)
	}
	well.Store(true)
	c.settle("m1", true)
	if m := c.next(done); m.ID != "m1" || string(m.Body) != "one" || len(m.Headers) != 2 || m.Headers["replyTo"] != "me" || m.Headers["retry"] != "true" {
		c.Errorf("tried again, the message is %+v, want %+v", m, sent)
	}
	c.settle("m3", false)
	c.areDead("m2")
	for _, id := range []string{"m1", "never"} {
		if _, err := c.bus.Settle(c.ctx, "t", id, true); !errors.Is(err, ports.ErrNoDeadMessage) {
			c.Errorf("to settle %s: %v", id, err)
		}
	}
	c.areDead("m2")
}

func (c *busCase) dead(limit int) []ports.Message {
	c.Helper()
	messages, err := c.bus.DeadMessages(c.ctx, "t", limit)
	if err != nil {
		c.Fatalf("DeadMessages: %v", err)
	}
	return messages
}

func (c *busCase) settle(id string, retry bool) {
	c.Helper()
	settled, err := c.bus.Settle(c.ctx, "t", id, retry)
	if err != nil {
		c.Fatalf("Settle %s: %v", id, err)
	}
	if settled.ID != id || settled.Headers["reason"] == "" {
		c.Errorf("settled is %+v, want %s with its reason", settled, id)
	}
}

func (c *busCase) areDead(want ...string) {
	c.Helper()
	var ids []string
	for _, m := range c.dead(10) {
		ids = append(ids, m.ID)
	}
	if !slices.Equal(ids, want) {
		c.Errorf("dead are %v, want %v", ids, want)
	}
}
