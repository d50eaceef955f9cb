package contract

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"daybook/core/fault"
	"daybook/core/ports"
)

// gated is a handler that tells when it began with a message and ends when it is let.
type gated struct {
	began chan string
	end   chan struct{}
}

func newGated() *gated { return &gated{make(chan string, 100_000), make(chan struct{})} }

func (g *gated) handle(_ context.Context, m ports.Message) error {
	g.began <- m.ID
	<-g.end
	return nil
}

// fill publishes until a queue is full, that is until a Publish has waited for a while, and gives the IDs that were taken.
func (c *busCase) fill(topic string) (taken []string) {
	c.Helper()
	const plenty = 100_000
	messages, ids := numbered("m", plenty)
	ctx, cancel := context.WithTimeout(c.ctx, 200*time.Millisecond)
	defer cancel()
	for i, m := range messages {
		if err := c.bus.Publish(ctx, topic, m); err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				c.Fatalf("Publish: %v", err)
			}
			return ids[:i]
		}
	}
	c.Fatalf("%d messages were taken while a handler had not done the first", plenty)
	return nil
}

func (c *busCase) fullQueue() {
	handler := newGated()
	c.subscribe("t", handler.handle)
	taken := c.fill("t")
	close(handler.end)
	for _, id := range taken {
		if got := receive(c, handler.began); got != id {
			c.Fatalf("message %s came, want %s", got, id)
		}
	}
}

func (c *busCase) fullQueueOtherTopic() {
	handler := newGated()
	defer close(handler.end)
	c.subscribe("full", handler.handle)
	got := c.collect("other")
	c.fill("full")
	messages, ids := numbered("o", 500)
	c.publish("other", messages...)
	c.wants(got, ids...)
}

func (c *busCase) endedContext() {
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	if err := c.bus.Publish(ctx, "t", ports.Message{ID: "1"}); !errors.Is(err, context.Canceled) {
		c.Errorf("Publish: %v", err)
	}
	err := c.bus.Subscribe(ctx, ports.Subscription{Topic: "t"}, func(context.Context, ports.Message) error { return nil })
	if !errors.Is(err, context.Canceled) {
		c.Errorf("Subscribe: %v", err)
	}
}

// failing handles messages, but fails a few times first for the one with the ID.
func failing(id string, times int, fail func() error) (ports.Handler, <-chan ports.Message) {
	done := make(chan ports.Message, 1000)
	failures := 0
	return func(_ context.Context, m ports.Message) error {
		if m.ID == id && failures < times {
			failures++
			return fail()
		}
		done <- m
		return nil
	}, done
}

func (c *busCase) redelivery() {
	h, done := failing("m2", 10, func() error { return errors.New("not now") })
	c.subscribe("t", h)
	messages, ids := numbered("m", 5)
	for i := range messages {
		messages[i].Headers = map[string]string{"type": "T"}
	}
	c.publish("t", messages...)
	for _, id := range ids {
		m := c.next(done)
		if m.ID != id || string(m.Body) != id || len(m.Headers) != 1 || m.Headers["type"] != "T" {
			c.Fatalf("got %q with headers %v, want %q as it was published", m.ID, m.Headers, id)
		}
	}
}

func (c *busCase) redeliveryAfterPanic() {
	h, done := failing("m1", 10, func() error { panic("a bug in a handler") })
	c.subscribe("t", h)
	messages, ids := numbered("m", 3)
	c.publish("t", messages...)
	c.wants(done, ids...)
}

func (c *busCase) headOfLine() {
	var mended atomic.Bool
	mending := make(chan ports.Message, 10)
	c.subscribe("t", func(_ context.Context, m ports.Message) error {
		if !mended.Load() {
			return errors.New("not now")
		}
		mending <- m
		return nil
	})
	well := c.collect("t")
	messages, ids := numbered("m", 10)
	c.publish("t", messages...)
	c.wants(well, ids...)
	if len(mending) != 0 {
		c.Fatal("a message passed one that fails")
	}
	mended.Store(true)
	c.wants(mending, ids...)
}

func (c *busCase) transient() {
	dead := c.collect(ports.DeadLetters("t"))
	for _, err := range []error{
		errors.New("plain"), fault.New(fault.Internal, "i", "A bug."), fault.New(fault.Unknown, "o", "Who knows."),
		ports.ErrStoreUnavailable, context.DeadlineExceeded,
	} {
		ctx, cancel := context.WithCancel(c.ctx)
		h, done := failing("m1", 6, func() error { return err })
		if err := c.bus.Subscribe(ctx, ports.Subscription{Topic: "t"}, h); err != nil {
			c.Fatal(err)
		}
		c.publish("t", ports.Message{ID: "m1"})
		c.wants(done, "m1")
		cancel()
	}
	if len(dead) != 0 {
		c.Fatalf("%s is dead", c.next(dead).ID)
	}
}

func (c *busCase) deadLetters() {
	dead := c.collect(ports.DeadLetters("t"))
	kinds := []fault.Kind{fault.Invalid, fault.Denied, fault.NotFound, fault.Rejected, fault.Conflict}
	messages, ids := numbered("m", len(kinds)+1)
	var mu sync.Mutex
	attempts := map[string]int{}
	last := make(chan struct{})
	c.subscribe("t", func(_ context.Context, m ports.Message) error {
		mu.Lock()
		defer mu.Unlock()
		attempts[m.ID]++
		for i, kind := range kinds {
			if m.ID == ids[i] {
				return fault.New(kind, "no_"+kind.String(), "It cannot be.").Because(errors.New("the cause"))
			}
		}
		close(last)
		return nil
	})
	for i := range messages {
		messages[i].Headers = map[string]string{"type": "T", "n": ids[i]}
	}
	c.publish("t", messages...)
	receive(c, last)
	for i, kind := range kinds {
		m := c.next(dead)
		if m.ID != ids[i] || string(m.Body) != ids[i] || m.Headers["type"] != "T" || m.Headers["n"] != ids[i] {
			c.Errorf("the dead letter is %+v, want message %s as it was published", m, ids[i])
		}
		if !strings.Contains(m.Headers["reason"], "no_"+kind.String()) {
			c.Errorf("%s: the reason is %q", kind, m.Headers["reason"])
		}
		mu.Lock()
		if attempts[m.ID] != 1 {
			c.Errorf("%s: handled %d times", kind, attempts[m.ID])
		}
		mu.Unlock()
	}
}

func (c *busCase) deadLettersToNobody() {
	done := make(chan ports.Message, 1)
	c.subscribe("t", func(_ context.Context, m ports.Message) error {
		if m.ID == "m500" {
			done <- m
			return nil
		}
		return fault.New(fault.Rejected, "no", "No.")
	})
	messages, _ := numbered("m", 500)
	c.publish("t", messages...)
	c.wants(done, "m500")
}

func (c *busCase) endedSubscription() {
	ctx, cancel := context.WithCancel(c.ctx)
	handled := make(chan string, 1)
	var ended atomic.Bool
	err := c.bus.Subscribe(ctx, ports.Subscription{Topic: "t"}, func(ctx context.Context, m ports.Message) error {
		if ended.Load() {
			c.Errorf("%s was handled after the end", m.ID)
		}
		handled <- m.ID
		<-ctx.Done()
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	messages, ids := numbered("m", 5000)
	c.publish("t", messages[:5]...)
	receive(c, handled)
	cancel()
	ended.Store(true)
	got := c.collect("t")
	c.publish("t", messages[5:]...)
	c.wants(got, ids[5:]...)
}

func (c *busCase) subscribedAgain() {
	for range 100 {
		ctx, cancel := context.WithCancel(c.ctx)
		got := make(chan string, 1)
		err := c.bus.Subscribe(ctx, ports.Subscription{Topic: "t"}, func(_ context.Context, m ports.Message) error {
			got <- m.ID
			return nil
		})
		if err != nil {
			c.Fatalf("Subscribe: %v", err)
		}
		c.publish("t", ports.Message{ID: "m"})
		receive(c, got)
		cancel()
	}
}

func (c *busCase) closeWaits() {
	handler := newGated()
	c.subscribe("t", handler.handle)
	c.publish("t", ports.Message{ID: "1"}, ports.Message{ID: "2"})
	receive(c, handler.began)
	returned := c.close()
	select {
	case <-returned:
		c.Fatal("Close returned while a handler ran")
	default:
	}
	close(handler.end)
	receive(c, returned)
	if len(handler.began) != 0 {
		c.Fatal("another handler began")
	}
}

// close begins to close the bus; the channel is closed when Close has returned.
func (c *busCase) close() <-chan struct{} {
	c.Helper()
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		if err := c.bus.Close(); err != nil {
			c.Errorf("Close: %v", err)
		}
	}()
	for !errors.Is(c.bus.Publish(c.ctx, "nobody"), ports.ErrBusClosed) {
		if c.ctx.Err() != nil {
			c.Fatal("Close never began")
		}
		runtime.Gosched()
	}
	return returned
}

func (c *busCase) closeEndsPublish() {
	handler := newGated()
	c.subscribe("t", handler.handle)
	c.fill("t")
	published := make(chan error, 1)
	go func() {
		for {
			if err := c.bus.Publish(c.ctx, "t", ports.Message{ID: "late"}); err != nil {
				published <- err
				return
			}
		}
	}()
	returned := c.close()
	if err := receive(c, published); !errors.Is(err, ports.ErrBusClosed) {
		c.Errorf("Publish: %v", err)
	}
	close(handler.end)
	receive(c, returned)
}

func (c *busCase) closed() {
	got := c.collect("t")
	if err := c.bus.Healthy(); err != nil {
		c.Errorf("an open bus is not healthy: %v", err)
	}
	for range 2 {
		if err := c.bus.Close(); err != nil {
			c.Fatalf("Close: %v", err)
		}
	}
	if err := c.bus.Publish(c.ctx, "t", ports.Message{ID: "1"}); !errors.Is(err, ports.ErrBusClosed) {
		c.Errorf("Publish: %v", err)
	}
	err := c.bus.Subscribe(c.ctx, ports.Subscription{Topic: "t"}, func(context.Context, ports.Message) error { return nil })
	if !errors.Is(err, ports.ErrBusClosed) {
		c.Errorf("Subscribe: %v", err)
	}
	if err := c.bus.Healthy(); !errors.Is(err, ports.ErrBusClosed) {
		c.Errorf("Healthy: %v", err)
	}
	if len(got) != 0 {
		c.Error("a closed bus delivered")
	}
}

func (c *busCase) concurrentUse() {
	var using sync.WaitGroup
	handled := make(chan struct{}, 100_000)
	for range 4 {
		using.Go(func() {
			for {
				ctx, cancel := context.WithCancel(c.ctx)
				err := c.bus.Subscribe(ctx, ports.Subscription{Topic: "t"}, func(context.Context, ports.Message) error {
					handled <- struct{}{}
					cancel()
					return nil
				})
				if err == nil {
					err = c.bus.Publish(c.ctx, "t", ports.Message{ID: "m"}, ports.Message{ID: "n"})
				}
				if errors.Is(err, ports.ErrBusClosed) {
					cancel()
					return
				}
				if err != nil {
					c.Errorf("a call failed: %v", err)
					cancel()
					return
				}
			}
		})
	}
	for range 100 {
		receive(c, handled)
	}
	for range 2 {
		using.Go(func() {
			if err := c.bus.Close(); err != nil {
				c.Errorf("Close: %v", err)
			}
		})
	}
	using.Wait()
}
