package watermillbus_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"daybook/adapters/membus"
	"daybook/adapters/watermillbus"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/contract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheBusOverMembusKeepsTheContract(t *testing.T) {
	contract.Bus(t, func(t *testing.T) ports.Bus {
		pubSub := newMembus()
		return open(t, pubSub, nil)
	})
}

func newMembus() *membus.Bus {
	return membus.New(membus.Options{Queue: 128, NackPause: time.Millisecond})
}

func open(tb testing.TB, broker watermillbus.Broker, log *slog.Logger) *watermillbus.Bus {
	tb.Helper()
	bus, err := watermillbus.New(broker, watermillbus.Options{FirstRetry: time.Microsecond, LastRetry: time.Millisecond, Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := bus.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return bus
}

// broker is a membus whose calls can be made to fail.
type broker struct {
	*membus.Bus
	publishing, subscribing atomic.Pointer[error]
	published               atomic.Int32
}

func (b *broker) Publish(topic string, messages ...*message.Message) error {
	b.published.Add(1)
	if err := b.publishing.Load(); err != nil {
		return *err
	}
	return b.Bus.Publish(topic, messages...)
}

func (b *broker) Subscribe(ctx context.Context, topic, name string, ahead int) (<-chan *message.Message, error) {
	if err := b.subscribing.Load(); err != nil {
		return nil, *err
	}
	return b.Bus.Subscribe(ctx, topic, name, ahead)
}

func TestABrokerThatFailsIsUnavailableAndTheBusGoesOn(t *testing.T) {
	b := &broker{Bus: newMembus()}
	bus := open(t, b, nil)
	down := errors.New("connection refused")
	b.publishing.Store(&down)
	b.subscribing.Store(&down)
	handled := make(chan string)
	handle := func(_ context.Context, m ports.Message) error { handled <- m.ID; return nil }
	for what, err := range map[string]error{
		"Publish":   bus.Publish(t.Context(), "t", ports.Message{ID: "1"}),
		"Subscribe": bus.Subscribe(t.Context(), ports.Subscription{Topic: "t"}, handle),
	} {
		if !errors.Is(err, ports.ErrBusUnavailable) || !errors.Is(err, down) {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.publishing.Store(nil)
	b.subscribing.Store(nil)
	if err := bus.Subscribe(t.Context(), ports.Subscription{Topic: "t"}, handle); err != nil {
		t.Fatal(err)
	}
	if err := bus.Publish(t.Context(), "t", ports.Message{ID: "2"}); err != nil {
		t.Fatal(err)
	}
	if id := <-handled; id != "2" {
		t.Fatalf("got %s", id)
	}
}

func TestADeadMessageThatCannotBePublishedIsDeliveredAgain(t *testing.T) {
	b := &broker{Bus: newMembus()}
	bus := open(t, b, nil)
	down := errors.New("connection refused")
	dead := make(chan ports.Message)
	subscribe(t, bus, ports.DeadLetters("t"), func(_ context.Context, m ports.Message) error { dead <- m; return nil })
	attempts := 0
	subscribe(t, bus, "t", func(_ context.Context, m ports.Message) error {
		if len(m.Headers) != 0 {
			t.Errorf("delivered with %v", m.Headers)
		}
		if attempts++; attempts == 3 {
			b.publishing.Store(nil)
		} else {
			b.publishing.Store(&down)
		}
		return fault.New(fault.Rejected, "no", "No.")
	})
	if err := bus.Publish(t.Context(), "t", ports.Message{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	if m := <-dead; m.ID != "1" || attempts != 3 {
		t.Fatalf("%s is dead after %d attempts", m.ID, attempts)
	}
}

func TestWhatAHandlerPublishesJoinsTheCorrelationOfItsMessage(t *testing.T) {
	pubSub := newMembus()
	bus := open(t, pubSub, nil)
	got := make(chan ports.Message, 2)
	subscribe(t, bus, "second", func(_ context.Context, m ports.Message) error { got <- m; return nil })
	subscribe(t, bus, "first", func(ctx context.Context, _ ports.Message) error {
		return bus.Publish(ctx, "second", ports.Message{ID: "joins"},
			ports.Message{ID: "has its own", Headers: map[string]string{"correlation_id": "other"}})
	})
	err := bus.Publish(t.Context(), "first", ports.Message{ID: "1", Headers: map[string]string{"correlation_id": "c-1"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"c-1", "other"} {
		if m := <-got; m.Headers["correlation_id"] != want {
			t.Errorf("%s: headers are %v, want %s", m.ID, m.Headers, want)
		}
	}
}

func TestFailuresAndDeadLettersAreLoggedAndNothingElse(t *testing.T) {
	var out bytes.Buffer
	pubSub := newMembus()
	bus := open(t, pubSub, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	done := make(chan struct{})
	failures := 0
	subscribe(t, bus, "t", func(_ context.Context, m ports.Message) error {
		switch m.ID {
		case "fails once":
			if failures++; failures == 1 {
				return errors.New("not now")
			}
		case "dead":
			return fault.New(fault.Rejected, "refused", "No.")
		case "last":
			close(done)
		}
		return nil
	})
	err := bus.Publish(t.Context(), "t", ports.Message{ID: "well"}, ports.Message{ID: "fails once"}, ports.Message{ID: "dead"}, ports.Message{ID: "last"})
	if err != nil {
		t.Fatal(err)
	}
	<-done
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "not now") || !strings.Contains(lines[1], "refused: No.") {
		t.Fatalf("the log is\n%s", out.String())
	}
}

func subscribe(tb testing.TB, bus ports.Bus, topic string, h ports.Handler) {
	tb.Helper()
	if err := bus.Subscribe(tb.Context(), ports.Subscription{Topic: topic}, h); err != nil {
		tb.Fatal(err)
	}
}

func BenchmarkPublishToHandled(b *testing.B) {
	pubSub := membus.New(membus.Options{})
	bus := open(b, pubSub, nil)
	var handled sync.WaitGroup
	handled.Add(b.N)
	subscribe(b, bus, "t", func(context.Context, ports.Message) error { handled.Done(); return nil })
	m := ports.Message{ID: "evt-1", Headers: map[string]string{"type": "MoneyDeposited"}, Body: []byte("{}")}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := bus.Publish(b.Context(), "t", m); err != nil {
			b.Fatal(err)
		}
	}
	handled.Wait()
}
