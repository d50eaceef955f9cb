package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/adapters/httpapi"
	"daybook/adapters/membus"
	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/adapters/msgapi"
	"daybook/adapters/watermillbus"
	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/books"
	"daybook/test/cluster"
	"daybook/test/faulttable"
)

// unruly is a bus that delivers each message twice, keeps some back, and shuffles what it has. Of what is on the topic lossy it
// loses a tenth.
type unruly struct {
	ports.Bus

	lossy  string
	mu     sync.Mutex
	random *rand.Rand
	kept   map[string][]ports.Message
}

// Publish implements ports.Bus.
func (u *unruly) Publish(ctx context.Context, topic string, messages ...ports.Message) error {
	return u.Bus.Publish(ctx, topic, u.stir(topic, messages)...)
}

func (u *unruly) stir(topic string, messages []ports.Message) (now []ports.Message) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := u.kept[topic]
	for _, m := range messages {
		if topic != u.lossy || u.random.IntN(10) > 0 {
			all = append(all, m, m)
		}
	}
	u.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	keep := len(all) / 3
	u.kept[topic] = append([]ports.Message(nil), all[:keep]...)
	return all[keep:]
}

// flush publishes what was kept back.
func (u *unruly) flush(t *testing.T, topic string) {
	t.Helper()
	u.mu.Lock()
	rest := u.kept[topic]
	delete(u.kept, topic)
	u.mu.Unlock()
	if err := u.Bus.Publish(t.Context(), topic, rest...); err != nil {
		t.Fatal(err)
	}
}

const (
	eventsTopic   = "unruly.events"
	commandsTopic = "unruly.commands"
	repliesTopic  = "unruly.replies"
)

// inMemory runs the whole engine on memory and the bus, and gives where its API listens.
func inMemory(t *testing.T, bus ports.Bus) (base string) {
	t.Helper()
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		t.Fatal(err)
	}
	store, views := memstore.New(), memviews.New(registry)
	e := engine.New(engine.Options{
		Anonymous: access.Local,
		Registry:  registry, Store: store, Bus: bus, Views: views, Observer: ports.Silent{}, Now: time.Now,
		EventsTopic: eventsTopic, CommandsTopic: commandsTopic, Source: "/unruly",
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context){e.RunCommands, e.RunRelay, e.RunProjector} {
		running.Go(func() { run(ctx) })
	}
	if err := msgapi.New(e, bus, registry, msgapi.Options{}).Subscribe(ctx, commandsTopic); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(httpapi.New(httpapi.Options{Engine: e, Lifetime: ctx}))
	t.Cleanup(func() {
		stop()
		running.Wait()
		server.CloseClientConnections()
		server.Close()
		_ = bus.Close()
		_ = views.Close()
		_ = store.Close()
	})
	return server.URL
}

func TestABusThatDeliversEverythingTwiceAndShuffledAndLosesSomeChangesNoBalance(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F32", faulttable.Memory, again())
	faulttable.Covers(t, "F33", faulttable.Memory, again())
	faulttable.Covers(t, "F34", faulttable.Memory, again())
	inner, err := watermillbus.New(membus.New(membus.Options{}), watermillbus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bus := &unruly{Bus: inner, lossy: eventsTopic, random: rand.New(rand.NewPCG(*seed, 3)), kept: map[string][]ports.Message{}}
	base := inMemory(t, bus)
	heard := listenToReplies(t, inner)

	load := &cluster.Load{Seed: *seed, Pace: time.Millisecond, Targets: func() []string { return []string{base} }}
	load.Start(t)
	sent := map[string]books.Command{}
	for n := range 200 * times(3) {
		c := books.Command{Key: fmt.Sprint("msg-", n), Account: fmt.Sprintf("acc-%03d", n%20), Verb: "deposit", Amount: 1}
		sent[c.Key] = c
		if err := bus.Publish(t.Context(), commandsTopic, ports.Message{
			ID: c.Key, Headers: map[string]string{msgapi.HeaderReplyTo: repliesTopic}, Body: []byte(cluster.Envelope(&c)),
		}); err != nil {
			t.Fatal(err)
		}
	}
	bus.flush(t, commandsTopic)
	load.Await(t, 200, recovery)
	load.Stop()
	for len(heard.all()) < len(sent) {
		bus.flush(t, repliesTopic)
		if !cluster.Pass(t.Context(), 10*time.Millisecond) {
			t.Fatalf("%d of %d commands were answered", len(heard.all()), len(sent))
		}
	}
	for key, a := range heard.all() {
		load.Settle(cluster.Final{Command: sent[key], Answer: a})
	}
	books := cluster.ReadBooks(t, base)
	cluster.CheckAnswers(t, books, load.Finals())
	cluster.CheckViews(t, books, base, recovery)
}

// replies are what was heard, by the command's id.
type replies struct {
	mu sync.Mutex
	by map[string]*cluster.Answer
}

func listenToReplies(t *testing.T, bus ports.Bus) *replies {
	t.Helper()
	r := &replies{by: map[string]*cluster.Answer{}}
	err := bus.Subscribe(t.Context(), ports.Subscription{Topic: repliesTopic}, func(_ context.Context, m ports.Message) error {
		a := &cluster.Answer{Body: string(m.Body)}
		r.mu.Lock()
		defer r.mu.Unlock()
		id := strings.TrimPrefix(m.ID, "re-")
		if err := json.Unmarshal(m.Body, a); err != nil {
			t.Errorf("the answer %s: %v", m.Body, err)
		}
		if first := r.by[id]; first != nil && first.Position != a.Position {
			t.Errorf("%s was answered %s and then %s", id, first.Body, a.Body)
		}
		r.by[id] = a
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *replies) all() map[string]*cluster.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := make(map[string]*cluster.Answer, len(r.by))
	for k, v := range r.by {
		copied[k] = v
	}
	return copied
}
