package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"daybook/test/books"
	"daybook/test/cluster"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

const (
	memory  = "DAYBOOK_VIEWS_DRIVER=memory"
	elastic = "DAYBOOK_VIEWS_DRIVER=elasticsearch"
	worker  = "DAYBOOK_ROLES=relay,project,messages"
)

// world is a deployment under load: processes that take commands, and two workers of which one is standing by. All begin with the
// build of the tree.
type world struct {
	*desk
	older, newer string
	cluster      *cluster.Cluster
	apis         []*cluster.Program
	workers      []*cluster.Program
	broker       string
	prefix       string // of exchanges and queues
	load         *cluster.Load
	listener     *cluster.Listener
	schemas      map[string]int // of the events that are stored, after settle
}

// start starts an API process for each way to keep views. r is the release that it is to become.
func start(t *testing.T, r *release, views ...string) *world {
	t.Helper()
	w := &world{desk: newDesk(t), broker: servers.Rabbit(t), prefix: strings.TrimSuffix(servers.RabbitPrefix(t), ".")}
	database, search, indices := servers.PostgresDatabase(t), servers.Elastic(t), servers.ElasticPrefix(t)+"upgrade"
	w.older, w.newer = program(t, this), program(t, r)
	w.listener = cluster.Listen(t, w.broker, w.prefix)
	c := cluster.New(t, w.older,
		"DAYBOOK_STORE_DRIVER=postgres", "DAYBOOK_STORE_POSTGRES_URL="+database,
		"DAYBOOK_BUS_DRIVER=rabbitmq", "DAYBOOK_BUS_RABBITMQ_URL="+w.broker, "DAYBOOK_BUS_RABBITMQ_PREFIX="+w.prefix,
		"DAYBOOK_VIEWS_ELASTICSEARCH_URL="+search, "DAYBOOK_VIEWS_ELASTICSEARCH_PREFIX="+indices,
	)
	w.cluster = c
	for n, v := range views {
		w.apis = append(w.apis, c.Start(fmt.Sprint("api ", n+1), v, "DAYBOOK_ROLES=api"))
	}
	for _, name := range []string{"first worker", "second worker"} {
		w.workers = append(w.workers, c.Start(name, elastic, worker))
	}
	w.load = &cluster.Load{Targets: w.targets}
	w.load.Start(t)
	for _, p := range w.apis {
		cluster.Within(t, patience, "the views of "+p.Name()+" are filled", func(ctx context.Context) error {
			return cluster.Get(ctx, p.URL()+"/v1/accounts?minPosition=1", nil)
		})
	}
	w.load.Mark()
	w.load.Await(t, 50, patience)
	return w
}

func (w *world) targets() (urls []string) {
	for _, p := range w.apis {
		urls = append(urls, p.URL())
	}
	return urls
}

// become replaces the build of processes, one after another, while the others go on.
func (w *world) become(binary string, processes ...*cluster.Program) {
	w.t.Helper()
	for _, p := range processes {
		p.Stop()
		p.Install(binary)
		p.Start()
		w.load.Await(w.t, 20, patience)
	}
}

// settle ends the load and holds everything against everything, and gives what clients saw. All processes are of the next build.
func (w *world) settle(byMessage map[string]cluster.Final) cluster.Spell {
	w.t.Helper()
	w.load.Await(w.t, 50, patience)
	seen := w.load.Spell()
	w.t.Logf("clients saw %v", seen)
	w.load.Stop()
	maps.Copy(w.sent, byMessage)
	b := w.cluster.Check(w.load, w.sent, patience, w.targets()...)
	for _, p := range w.apis {
		if count, why := parked(w.t, p); count > 0 {
			w.t.Errorf("%s still tells of %d parked views: %v", p.Name(), count, why)
		}
	}
	w.schemas = w.asStored(w.listener.Check(w.t, b, patience))
	cluster.CheckVerified(w.t, w.apis[0])
	return seen
}

// wroteBoth fails the test unless both builds have written events that differ.
func (w *world) wroteBoth() {
	w.t.Helper()
	if w.schemas["MoneyDeposited 1"] == 0 || w.schemas["MoneyDeposited 2"] == 0 {
		w.t.Errorf("the store has events of these schemas: %v", w.schemas)
	}
}

// asStored holds what came by the bus against what the store has, byte by byte, and counts the schemas.
func (w *world) asStored(published map[int64]json.RawMessage) map[string]int {
	w.t.Helper()
	schemas := map[string]int{}
	for after := "0"; after != ""; {
		var page struct {
			Items []json.RawMessage
			Next  string
		}
		if err := cluster.Get(w.t.Context(), w.apis[0].URL()+"/v1/events?limit=1000&after="+after, &page); err != nil {
			w.t.Fatal(err)
		}
		for _, stored := range page.Items {
			var e struct {
				EventType        string
				Schema, Position int64
			}
			if err := json.Unmarshal(stored, &e); err != nil {
				w.t.Fatal(err)
			}
			schemas[fmt.Sprint(e.EventType, " ", e.Schema)]++
			if !bytes.Equal(stored, published[e.Position]) {
				w.t.Errorf("stored is\n%s and published was\n%s", stored, published[e.Position])
			}
		}
		after = page.Next
	}
	return schemas
}

// body is what a process answers to a reading, byte for byte.
func (w *world) body(p *cluster.Program, path string) string {
	w.t.Helper()
	var text json.RawMessage
	if err := cluster.Get(w.t.Context(), p.URL()+path, &text); err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// The worst order: a process that takes commands comes first, and the views fall back to the build before once more.
func TestWhileTwoBuildsRunInAnyOrderNothingIsMisreadOrLostAndAfterwardsNothingIsLeftToDo(t *testing.T) {
	faulttable.Covers(t, "F60", faulttable.Production)
	faulttable.Covers(t, "F61", faulttable.Production)
	w := start(t, next, memory, elastic)
	old, upgraded := w.apis[0], w.apis[1]
	for _, account := range []string{"steady", "paid", "named"} {
		w.taken(old, account, "create", 0)
		w.taken(old, account, "deposit", 100)
	}
	w.become(w.newer, upgraded)
	key, first := w.taken(upgraded, "paid", "deposit", 20)
	w.taken(upgraded, "named", "rename", 0)
	w.load.Await(t, 100, patience)
	s := cluster.NewSender(t, w.broker, w.prefix)
	byMessage := []books.Command{{Key: "message-1", Account: "paid", Verb: "deposit", Amount: 3}, {Key: "message-2", Account: "steady", Verb: "deposit", Amount: 3}}
	for n := range byMessage { // the worker of the build before cannot decide the first
		s.Send(byMessage[n].Key, cluster.Envelope(&byMessage[n]), true)
	}

	w.refused(old, "paid", "withdraw", 1, laterSchema)
	w.refused(old, "named", "deposit", 1, unknownType)
	parks(t, old, "paid", laterSchema) // views in its own memory
	parks(t, old, "named", unknownType)
	parks(t, upgraded, "paid", laterSchema) // those that a worker of the build before writes for all
	parks(t, upgraded, "named", unknownType)
	if err := fails(t.Context(), old.URL()+"/v1/accounts/named?version=3", "later_build", unknownType); err != nil {
		t.Error(err)
	}
	again := cluster.Post(t.Context(), old.URL(), "paid/deposit", `{"amount":20}`, key)
	if !again.Replayed || again.Body != first.Body {
		t.Errorf("what the next build had answered %s is answered %s", first.Body, again.Body)
	}
	for _, path := range []string{"/v1/accounts/paid/events", "/v1/accounts/named/events", "/v1/events?limit=100"} {
		if was, is := w.body(old, path), w.body(upgraded, path); was != is {
			t.Errorf("%s is\n%s of one build and\n%s of the other", path, was, is)
		}
	}
	w.taken(old, "steady", "deposit", 1)
	for _, p := range w.apis {
		if a := shows(t, p, "steady", "Ada Lovelace"); a.Version < 2 {
			t.Errorf("%s shows %+v", p.Name(), a)
		}
	}

	w.become(w.newer, w.workers...)
	if a := shows(t, upgraded, "named", newName); a.Balance != 100 {
		t.Errorf("the views show %+v", a)
	}
	w.become(w.older, w.workers...)
	w.taken(upgraded, "named", "deposit", 1)
	parks(t, upgraded, "named", unknownType) // not what the next build had shown before
	w.become(w.newer, w.workers...)
	if a := shows(t, upgraded, "named", newName); a.Balance != 101 {
		t.Errorf("the views show %+v", a)
	}
	w.become(w.newer, old)
	w.taken(old, "paid", "withdraw", 1)
	w.taken(old, "named", "deposit", 1)
	w.settle(s.Answers(byMessage))
	w.wroteBoth()
}

// The order of docs/operations.md: workers first.
func TestWhenWorkersAreUpgradedBeforeThoseWhoTakeCommandsNoSharedViewIsParkedAndEachMessageIsAnswered(t *testing.T) {
	faulttable.Covers(t, "F61", faulttable.Production)
	w := start(t, next, elastic, elastic)
	s := cluster.NewSender(t, w.broker, w.prefix)
	sent := []books.Command{{Key: "message-create", Account: "by-message", Verb: "create"}}
	s.Send(sent[0].Key, cluster.Envelope(&sent[0]), true)
	for _, p := range slices.Concat(w.workers, w.apis) {
		w.become(w.newer, p)
		for range 50 {
			c := books.Command{Key: fmt.Sprint("message-", len(sent)), Account: "by-message", Verb: "deposit", Amount: 1}
			s.Send(c.Key, cluster.Envelope(&c), true)
			sent = append(sent, c)
		}
	}
	answered := s.Answers(sent)
	cluster.Within(t, patience, "the views have the last message", func(ctx context.Context) error {
		var a shown
		err := cluster.Get(ctx, w.apis[0].URL()+"/v1/accounts/by-message", &a)
		if err == nil && a.Version < int64(len(sent)) {
			err = fmt.Errorf("it is at version %d of %d", a.Version, len(sent))
		}
		return err
	})
	w.taken(w.apis[0], "by-message", "rename", 0)
	shows(t, w.apis[1], "by-message", newName)
	if seen := w.settle(answered).Views; seen["503 view_parked"]+seen["503 view_rebuilding"] > 0 {
		t.Errorf("readers of views saw %v", seen)
	}
	w.wroteBoth()
	for _, p := range slices.Concat(w.workers, w.apis) {
		if log := p.Forgive(); strings.Contains(log, "a document is parked") {
			t.Errorf("%s parked a view:\n%s", p.Name(), log)
		}
	}
}
