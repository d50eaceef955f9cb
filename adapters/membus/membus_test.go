package membus

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"go.uber.org/goleak"

	"daybook/test/faulttable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheBusPassesWatermillsOwnSuite(t *testing.T) {
	features := tests.Features{GuaranteedOrder: true, ExactlyOnceDelivery: true, RequireSingleInstance: true}
	tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) {
		b := &remembering{Bus: New(Options{Queue: 10_000, NackPause: time.Millisecond}), log: map[string][]*message.Message{}}
		t.Cleanup(func() { b.Close() })
		return b, b
	}, nil)
}

// remembering gives each subscription what was published before it, which Watermill's suite relies on.
type remembering struct {
	*Bus
	mu  sync.Mutex
	log map[string][]*message.Message
}

func (r *remembering) Publish(topic string, messages ...*message.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log[topic] = append(r.log[topic], messages...)
	return r.Bus.Publish(topic, messages...)
}

func (r *remembering) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out, err := r.Bus.Subscribe(ctx, topic, "", 1)
	if err != nil {
		return nil, err
	}
	r.Bus.mu.RLock()
	subscriptions := r.Bus.subscriptions[topic]
	r.Bus.mu.RUnlock()
	for _, m := range r.log[topic] {
		subscriptions[len(subscriptions)-1].queue <- m
	}
	return out, nil
}

func TestANackedMessageComesAgainAfterThePauseAndBeforeTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Options{NackPause: time.Minute})
		defer b.Close()
		messages := subscribe(t, b, "t")
		publish(t, b, "t", "1", "2")
		first := <-messages
		first.Metadata.Set("mark", "made by the first delivery")
		started := time.Now()
		first.Nack()
		again := <-messages
		if again.UUID != "1" || time.Since(started) != time.Minute {
			t.Fatalf("got %s after %s, want 1 after a minute", again.UUID, time.Since(started))
		}
		if len(again.Metadata) != 0 {
			t.Fatalf("the second delivery carries %v", again.Metadata)
		}
		again.Ack()
		if next := <-messages; next.UUID != "2" {
			t.Fatalf("got %s, want 2", next.UUID)
		}
	})
}

func TestPublishBlocksWhileAQueueIsFullAndHoldsUpNoOtherTopic(t *testing.T) {
	faulttable.Covers(t, "F40", faulttable.Memory)
	synctest.Test(t, func(t *testing.T) {
		b := New(Options{Queue: 2})
		defer b.Close()
		stuck, other := subscribe(t, b, "stuck"), subscribe(t, b, "other")
		publish(t, b, "stuck", "1", "2")
		synctest.Wait() // the subscription holds one out, so there is room for one more
		publish(t, b, "stuck", "3")
		var published error
		returned := make(chan struct{})
		go func() {
			published = b.Publish("stuck", message.NewMessage("4", nil))
			close(returned)
		}()
		synctest.Wait()
		select {
		case <-returned:
			t.Fatal("Publish returned while the queue was full")
		default:
		}
		publish(t, b, "other", "o")
		(<-other).Ack()
		(<-stuck).Ack()
		<-returned
		if published != nil {
			t.Fatal(published)
		}
	})
}

func TestPublishStopsWaitingWhenItsContextTheSubscriptionOrTheBusEnds(t *testing.T) {
	endings := map[string]struct {
		end  func(message, subscription context.CancelFunc, b *Bus)
		want error
	}{
		"context":      {func(message, _ context.CancelFunc, _ *Bus) { message() }, context.Canceled},
		"subscription": {func(_, subscription context.CancelFunc, _ *Bus) { subscription() }, nil},
		"bus":          {func(_, _ context.CancelFunc, b *Bus) { b.Close() }, ErrClosed},
	}
	for name, ending := range endings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New(Options{Queue: 1})
				defer b.Close()
				ctx, endSubscription := context.WithCancel(t.Context())
				if _, err := b.Subscribe(ctx, "t", "", 1); err != nil {
					t.Fatal(err)
				}
				publish(t, b, "t", "1")
				synctest.Wait()
				publish(t, b, "t", "2")
				ctx, endMessage := context.WithCancel(t.Context())
				published := make(chan error)
				go func() { published <- b.Publish("t", message.NewMessageWithContext(ctx, "3", nil)) }()
				synctest.Wait()
				ending.end(endMessage, endSubscription, b)
				if err := <-published; !errors.Is(err, ending.want) {
					t.Fatalf("got %v, want %v", err, ending.want)
				}
				endMessage()
				endSubscription()
			})
		})
	}
}

func TestAClosedBusRefusesAndItsChannelsAreClosed(t *testing.T) {
	b := New(Options{})
	messages := subscribe(t, b, "t")
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, open := <-messages; open {
		t.Fatal("the channel is open")
	}
	if err := b.Publish("t", message.NewMessage("1", nil)); !errors.Is(err, ErrClosed) {
		t.Fatalf("Publish: %v", err)
	}
	if _, err := b.Subscribe(t.Context(), "t", "", 1); !errors.Is(err, ErrClosed) {
		t.Fatalf("Subscribe: %v", err)
	}
}

func subscribe(t *testing.T, b *Bus, topic string) <-chan *message.Message {
	t.Helper()
	messages, err := b.Subscribe(t.Context(), topic, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

func publish(t *testing.T, b *Bus, topic string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := b.Publish(topic, message.NewMessage(id, nil)); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkPublishToAck(b *testing.B) {
	for _, subscribers := range []int{1, 3} {
		b.Run(strconv.Itoa(subscribers)+" subscribers", func(b *testing.B) {
			bus := New(Options{})
			var acked sync.WaitGroup
			for range subscribers {
				messages, err := bus.Subscribe(b.Context(), "t", "", 1)
				if err != nil {
					b.Fatal(err)
				}
				acked.Go(func() {
					for range b.N {
						(<-messages).Ack()
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if err := bus.Publish("t", &message.Message{UUID: "x", Payload: []byte("{}")}); err != nil {
					b.Fatal(err)
				}
			}
			acked.Wait()
			b.StopTimer()
			bus.Close()
		})
	}
}
