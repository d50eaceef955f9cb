package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/adapters/rabbitbus"
	"daybook/adapters/watermillbus"
	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/consumer"
	"daybook/test/servers"
)

func TestAnotherServiceGetsEveryEventOnceAndInOrderAlsoWhenItFallsOver(t *testing.T) {
	const total = 500
	url, prefix := servers.Rabbit(t), servers.RabbitPrefix(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, registry := ledger(ctx, t, url, prefix)
	var mu sync.Mutex
	var got []string
	crash := errors.New("a crash after half of it was done")
	done, bound := make(chan struct{}), make(chan struct{})
	c := &consumer.Consumer{
		URL: url, Exchange: prefix + "events", Queue: prefix + "another-service", Handled: map[string]bool{},
		Bound: sync.OnceFunc(func() { close(bound) }),
		Handle: func(e consumer.Event) error {
			mu.Lock()
			defer mu.Unlock()
			if got = append(got, e.ID); len(got)%150 == 0 { // what it did is rolled back
				got = got[:len(got)-1]
				got = append(got, "crashed")
				return crash
			}
			if got[len(got)-1] == "evt-"+strconv.Itoa(total) {
				close(done)
			}
			return nil
		},
	}
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			if err := c.Run(ctx); err != nil && !errors.Is(err, crash) && ctx.Err() == nil {
				t.Errorf("Run: %v", err)
				return
			}
		}
	})
	<-bound
	for n := range total {
		line := fmt.Sprintf(`{"id":"cmd-%d","account":"acc-%d","command":"create","data":{"owner":"Ada","currency":"EUR"}}`, n, n)
		envelope, err := wire.DecodeEnvelope(registry, []byte(line))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Execute(ctx, envelope.Request(es.Metadata{})); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-done:
	case <-ctx.Done():
		t.Error("not every event came")
	}
	cancel()
	running.Wait()
	next, crashes := 1, 0
	for _, id := range got {
		switch id {
		case "crashed":
			crashes++
		case "evt-" + strconv.Itoa(next):
			next++
		default:
			t.Fatalf("%s came, want evt-%d", id, next)
		}
	}
	if next != total+1 || crashes == 0 {
		t.Fatalf("%d events and %d crashes", next-1, crashes)
	}
}

// ledger is Daybook with its events in memory and its messages in RabbitMQ.
func ledger(ctx context.Context, t *testing.T, url, prefix string) (*engine.Engine, *es.Registry) {
	t.Helper()
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		t.Fatal(err)
	}
	broker, err := rabbitbus.Open(ctx, rabbitbus.Options{URL: url, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	bus, err := watermillbus.New(broker, watermillbus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := memstore.New()
	e := engine.New(engine.Options{
		Anonymous: access.Local,
		Registry:  registry, Store: store, Bus: bus, Views: memviews.New(registry), Observer: ports.Silent{}, Now: time.Now,
		EventsTopic: prefix + "events", Source: "/daybook",
	})
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	running.Go(func() { e.RunCommands(ctx) })
	running.Go(func() { e.RunRelay(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := errors.Join(bus.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return e, registry
}
