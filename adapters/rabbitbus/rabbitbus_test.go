package rabbitbus_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"go.uber.org/goleak"

	"daybook/adapters/rabbitbus"
	"daybook/adapters/watermillbus"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheBusOverRabbitMQKeepsTheContract(t *testing.T) {
	url := servers.Rabbit(t)
	contract.Bus(t, func(t *testing.T) ports.Bus {
		// the topics of the contract are short words, so each case gets its own names by a prefix of its topics
		broker := prefixed{open(t, rabbitbus.Options{URL: url, NackPause: time.Millisecond}), servers.RabbitPrefix(t)}
		bus, err := watermillbus.New(broker, watermillbus.Options{FirstRetry: time.Microsecond, LastRetry: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return bus
	})
}

// prefixed is a broker whose topics all begin with a prefix.
type prefixed struct {
	*rabbitbus.Broker
	prefix string
}

func (p prefixed) Publish(topic string, messages ...*message.Message) error {
	return p.Broker.Publish(p.prefix+topic, messages...)
}

func (p prefixed) Subscribe(ctx context.Context, topic, name string, ahead int) (<-chan *message.Message, error) {
	return p.Broker.Subscribe(ctx, p.prefix+topic, name, ahead)
}

func (p prefixed) Dead(ctx context.Context, topic string, limit int) ([]*message.Message, error) {
	return p.Broker.Dead(ctx, p.prefix+topic, limit)
}

func (p prefixed) Settle(ctx context.Context, topic, id string, use func(*message.Message) error) (bool, error) {
	return p.Broker.Settle(ctx, p.prefix+topic, id, use)
}

func TestTheBrokerPassesWatermillsOwnSuite(t *testing.T) {
	url, prefix := servers.Rabbit(t), servers.RabbitPrefix(t)
	features := tests.Features{
		ConsumerGroups: true, GuaranteedOrder: true, Persistent: true,
		GenerateTopicFunc: func(c tests.TestContext) string { return prefix + string(c.TestID) },
	}
	group := func(t *testing.T, name string) (message.Publisher, message.Subscriber) {
		pub := open(t, rabbitbus.Options{URL: url})
		sub := open(t, rabbitbus.Options{URL: url, NackPause: time.Millisecond})
		return pub, sub.Subscriber(name)
	}
	tests.TestPubSub(t, features, func(t *testing.T) (message.Publisher, message.Subscriber) { return group(t, "suite") }, group)
}

func open(tb testing.TB, o rabbitbus.Options) *rabbitbus.Broker {
	tb.Helper()
	broker, err := rabbitbus.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := broker.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return broker
}
