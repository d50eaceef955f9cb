package contract

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/core/ports"
)

// Bus checks that an adapter keeps the contract of ports.Bus. open gives an empty bus of its own to each case; it should
// wait only briefly between a failure and the next delivery.
func Bus(t *testing.T, open func(t *testing.T) ports.Bus) {
	cases := map[string]func(*busCase){
		"a handler gets ID, headers and body as they were published":                    (*busCase).fidelity,
		"a message without ID gets one that is the same for every delivery":             (*busCase).givenID,
		"messages are handled one at a time and in order":                               (*busCase).order,
		"concurrent publishers each keep their order":                                   (*busCase).publishers,
		"several subscriptions of one topic each get every message":                     (*busCase).fanOut,
		"a subscription gets the messages of its own topic alone":                       (*busCase).topics,
		"to publish where nobody subscribed is no error":                                (*busCase).nobody,
		"a handler may publish, to its own topic too":                                   (*busCase).publishingHandler,
		"Publish blocks while a queue is full and returns the context's error":          (*busCase).fullQueue,
		"a full queue holds up no other topic":                                          (*busCase).fullQueueOtherTopic,
		"Publish and Subscribe with an ended context return its error":                  (*busCase).endedContext,
		"a message that failed is delivered again before those behind it":               (*busCase).redelivery,
		"a message whose handler panicked is delivered again":                           (*busCase).redeliveryAfterPanic,
		"a failing message blocks its own subscription only":                            (*busCase).headOfLine,
		"an error that may pass never makes a message dead":                             (*busCase).transient,
		"a message that can never succeed goes to the dead letters with the reason":     (*busCase).deadLetters,
		"dead letters that nobody takes hold up nothing":                                (*busCase).deadLettersToNobody,
		"messages are started in order, up to ahead of those that have not ended":       (*busCase).ahead,
		"ahead, what failed is started again in order before anything new":              (*busCase).aheadFailure,
		"ahead, a message whose handling panicked is started again":                     (*busCase).aheadPanics,
		"dead messages are kept until they are tried again or discarded":                (*busCase).kept,
		"a subscription ends with its context and then holds up nobody":                 (*busCase).endedSubscription,
		"a topic can be subscribed to again after its last subscription has ended":      (*busCase).subscribedAgain,
		"Close waits for handlers that run and starts no more":                          (*busCase).closeWaits,
		"Close ends a Publish that waits":                                               (*busCase).closeEndsPublish,
		"after Close every call fails with ErrBusClosed, and closing twice is no error": (*busCase).closed,
		"all methods may be called concurrently, and Close ends them":                   (*busCase).concurrentUse,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			bus := open(t)
			t.Cleanup(func() {
				if err := bus.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				cancel()
			})
			run(&busCase{t, bus, ctx})
		})
	}
}

// busCase is one bus under test; ctx ends if the case hangs.
type busCase struct {
	*testing.T
	bus ports.Bus
	ctx context.Context
}

func (c *busCase) publish(topic string, messages ...ports.Message) {
	c.Helper()
	if err := c.bus.Publish(c.ctx, topic, messages...); err != nil {
		c.Fatalf("Publish: %v", err)
	}
}

func (c *busCase) subscribe(topic string, h ports.Handler) {
	c.Helper()
	if err := c.bus.Subscribe(c.ctx, ports.Subscription{Topic: topic}, h); err != nil {
		c.Fatalf("Subscribe: %v", err)
	}
}

// collect subscribes and gives the channel of what comes.
func (c *busCase) collect(topic string) <-chan ports.Message {
	c.Helper()
	got := make(chan ports.Message, 100_000)
	c.subscribe(topic, func(_ context.Context, m ports.Message) error {
		got <- m
		return nil
	})
	return got
}

func (c *busCase) next(got <-chan ports.Message) ports.Message {
	c.Helper()
	return receive(c, got)
}

// wants receives the messages with these IDs, in this order.
func (c *busCase) wants(got <-chan ports.Message, ids ...string) {
	c.Helper()
	for _, id := range ids {
		if m := c.next(got); m.ID != id {
			c.Fatalf("got message %q, want %q", m.ID, id)
		}
	}
}

func receive[T any](c *busCase, from <-chan T) T {
	c.Helper()
	select {
	case v := <-from:
		return v
	case <-c.ctx.Done():
		c.Fatal("nothing came")
		panic("unreachable")
	}
}

// numbered gives n messages whose IDs are prefix1, prefix2 and so on.
func numbered(prefix string, n int) (messages []ports.Message, ids []string) {
	for i := range n {
		id := prefix + strconv.Itoa(i+1)
		messages, ids = append(messages, ports.Message{ID: id, Body: []byte(id)}), append(ids, id)
	}
	return messages, ids
}

func (c *busCase) fidelity() {
	got := c.collect("t")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	messages := []ports.Message{
		{ID: "evt-1", Headers: map[string]string{"type": "MoneyDeposited", "note": "Zürich, 10:00 \"sharp\""}, Body: all},
		{ID: "no headers", Body: []byte("{}")},
		{ID: "no body", Headers: map[string]string{"empty": ""}},
		{ID: "large", Body: slices.Repeat(all, 1<<10)},
	}
	c.publish("t", messages...)
	for _, want := range messages {
		m := c.next(got)
		if m.ID != want.ID || string(m.Body) != string(want.Body) {
			c.Errorf("%s: got %q with %d bytes that differ", want.ID, m.ID, len(m.Body))
		}
		for name, value := range want.Headers {
			if header, ok := m.Headers[name]; !ok || header != value {
				c.Errorf("%s: header %s is %q, want %q", want.ID, name, header, value)
			}
		}
		if len(m.Headers) != len(want.Headers) {
			c.Errorf("%s: headers are %v, want %v", want.ID, m.Headers, want.Headers)
		}
	}
}

func (c *busCase) givenID() {
	ids := make(chan string, 2)
	delivered := 0
	c.subscribe("t", func(_ context.Context, m ports.Message) error {
		ids <- m.ID
		if delivered++; delivered == 1 {
			return errors.New("not yet")
		}
		return nil
	})
	c.publish("t", ports.Message{Body: []byte("x")})
	if first, again := receive(c, ids), receive(c, ids); first == "" || first != again {
		c.Fatalf("the deliveries have the IDs %q and %q", first, again)
	}
}

func (c *busCase) order() {
	messages, ids := numbered("m", 1000)
	var handling atomic.Int32
	got := make(chan ports.Message, len(messages))
	c.subscribe("t", func(_ context.Context, m ports.Message) error {
		if handling.Add(1) > 1 {
			c.Error("two messages are handled at once")
		}
		defer handling.Add(-1)
		runtime.Gosched()
		got <- m
		return nil
	})
	for batch := range slices.Chunk(messages, 7) {
		c.publish("t", batch...)
	}
	c.wants(got, ids...)
}

func (c *busCase) publishers() {
	const each = 200
	got := c.collect("t")
	var publishing sync.WaitGroup
	for p := range 8 {
		publishing.Go(func() {
			messages, _ := numbered(strconv.Itoa(p)+"/", each)
			for batch := range slices.Chunk(messages, 3) {
				if err := c.bus.Publish(c.ctx, "t", batch...); err != nil {
					c.Errorf("Publish: %v", err)
				}
			}
		})
	}
	last := map[string]int{}
	for range 8 * each {
		publisher, number, _ := strings.Cut(c.next(got).ID, "/")
		if n, _ := strconv.Atoi(number); n != last[publisher]+1 {
			c.Fatalf("publisher %s: message %d came after %d", publisher, n, last[publisher])
		}
		last[publisher]++
	}
	publishing.Wait()
}

func (c *busCase) fanOut() {
	first, second := c.collect("t"), c.collect("t")
	messages, ids := numbered("m", 100)
	c.publish("t", messages...)
	c.wants(first, ids...)
	c.wants(second, ids...)
}

func (c *busCase) topics() {
	a, b := c.collect("a"), c.collect("b")
	c.publish("a", ports.Message{ID: "a1"})
	c.publish("b", ports.Message{ID: "b1"})
	c.publish("a", ports.Message{ID: "a2"})
	c.wants(b, "b1")
	c.wants(a, "a1", "a2")
}

func (c *busCase) nobody() {
	messages, _ := numbered("m", 5000)
	c.publish("t", messages...)
}

func (c *busCase) publishingHandler() {
	got := c.collect("done")
	c.subscribe("t", func(ctx context.Context, m ports.Message) error {
		if m.ID == "1" {
			return c.bus.Publish(ctx, "t", ports.Message{ID: "2"})
		}
		return c.bus.Publish(ctx, "done", m)
	})
	c.publish("t", ports.Message{ID: "1"})
	c.wants(got, "2")
}
