package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"daybook/test/cluster"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

// undisturbed fails the test when commands had to wait: what broke is not what they need.
func undisturbed(t *testing.T, s cluster.Spell) {
	t.Helper()
	if len(s.Kinds) > 0 || s.Silence.Seconds() > 2 {
		t.Errorf("commands do not need what broke, and were disturbed: %v", s)
	}
}

func TestRabbitMQKilledUnderLoadComesBack(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F31", faulttable.Production, again())
	server := servers.Private(t, "rabbitmq")
	w := prepare(t, place{rabbit: server.URL()})
	w.pace = moment / 10 // its start takes the processor for itself
	w.up()
	for range times(1) {
		undisturbed(t, w.during("RabbitMQ killed with -9 and away for a moment", func() {
			server.Kill()
			w.lasts(moment)
			server.Start()
		}))
	}
	w.settle()
}

func TestTheNetworkToRabbitMQFails(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F31", faulttable.Production, again())
	faulttable.Covers(t, "F34", faulttable.Production, again())
	w := prepare(t, place{})
	n := between(t, w.broker)
	w.through(place{rabbit: n.host()})
	w.up()
	for range times(1) {
		undisturbed(t, w.during("the network to RabbitMQ swallows everything", func() {
			end := n.swallow()
			w.lasts(4 * moment)
			end()
		}))
		undisturbed(t, w.during("each answer of RabbitMQ takes 5 s more", func() {
			end := n.delay(5000)
			w.lasts(3 * moment)
			end()
		}))
		undisturbed(t, w.during("connections to RabbitMQ are reset", func() {
			end := n.reset()
			w.lasts(moment)
			end()
		}))
	}
	w.settle()
}

func TestElasticsearchKilledUnderLoadComesBack(t *testing.T) {
	t.Parallel()
	server := servers.Private(t, "elasticsearch")
	w := prepare(t, place{elastic: server.URL()})
	w.pace = moment / 10 // its start takes the processor for itself
	w.up()
	for range times(1) {
		undisturbed(t, w.during("Elasticsearch killed with -9 and away for a moment", func() {
			server.Kill()
			w.lasts(moment)
			w.listsFail("view_unavailable")
			server.Start()
		}))
	}
	w.settle()
}

func TestTheNetworkToElasticsearchFails(t *testing.T) {
	t.Parallel()
	w := prepare(t, place{})
	n := between(t, w.search)
	w.through(place{elastic: n.host()})
	w.up()
	for range times(1) {
		undisturbed(t, w.during("the network to Elasticsearch swallows everything", func() {
			end := n.swallow()
			w.lasts(3 * moment)
			end()
		}))
		undisturbed(t, w.during("each answer of Elasticsearch takes 5 s more", func() {
			end := n.delay(5000)
			w.lasts(3 * moment)
			end()
		}))
	}
	w.settle()
}

func TestIndicesThatAreDeletedUnderLoadAreFilledAgain(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F57", faulttable.Production, again())
	w := start(t)
	for range times(1) {
		for _, what := range []string{"accounts", "progress"} {
			undisturbed(t, w.during("the index of the "+what+" deleted", func() {
				for _, index := range w.indicesOf(what) {
					w.elasticsearch(http.MethodDelete, "/"+index)
				}
			}))
		}
	}
	w.settle()
}

// listsFail waits until a list read from Elasticsearch is refused with the code, and sees that history is not.
func (w *world) listsFail(code string) {
	w.t.Helper()
	cluster.Within(w.t, recovery, "lists are refused", func(ctx context.Context) error {
		err := cluster.Get(ctx, w.apis[1].URL()+"/v1/accounts", nil)
		var status *cluster.StatusError
		if !errors.As(err, &status) || status.Status != http.StatusServiceUnavailable || status.Code != code {
			return fmt.Errorf("a list gave %w", err)
		}
		return nil
	})
	if err := cluster.Get(w.t.Context(), w.apis[1].URL()+"/v1/accounts/acc-000?version=2", nil); err != nil {
		w.t.Errorf("history needs no view: %v", err)
	}
}

// indicesOf are the indices whose names go on with the word after the prefix. They are made by whoever fills them first.
func (w *world) indicesOf(what string) (names []string) {
	w.t.Helper()
	cluster.Within(w.t, recovery, "there is an index of the "+what, func(context.Context) error {
		for _, name := range strings.Fields(w.elasticsearch(http.MethodGet, "/_cat/indices/"+w.indices+"*?h=index&expand_wildcards=all")) {
			if strings.Contains(name, what) {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	return names
}

func (w *world) elasticsearch(method, path string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.search+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %s %s", method, path, res.Status, bytes.TrimSpace(text))
	}
	return string(text)
}

// Whoever takes the projection over, or starts with views of its own, needs the store and not the bus.
func TestViewsFollowThoughTheBusIsAwayWhenTheirProjectorChanges(t *testing.T) {
	t.Parallel()
	server := servers.Private(t, "rabbitmq")
	w := prepare(t, place{rabbit: server.URL()})
	w.pace = moment / 10
	w.up()
	server.Kill()
	holder, _ := w.holder(viewsLease)
	holder.Kill()
	w.apis[0].Kill()
	w.apis[0].Start()
	w.load.Await(t, 50, recovery)
	var head int64
	if err := w.ask(t.Context(), "SELECT max(position) FROM daybook.events", &head); err != nil {
		t.Fatal(err)
	}
	for _, p := range w.apis {
		took := cluster.Within(t, moment*5, "the views of the "+p.Name()+" follow", func(ctx context.Context) error {
			return cluster.Get(ctx, fmt.Sprintf("%s/v1/accounts?limit=1&minPosition=%d", p.URL(), head), nil)
		})
		t.Logf("the views of the %s follow after %.2fs, without a bus", p.Name(), took.Seconds())
	}
	server.Start()
	holder.Start()
	w.settle()
}

func TestAProcessThatStartsWithoutItsBusAnswersAndStopsAllTheSame(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F65", faulttable.RabbitMQ)
	p := cluster.New(t, binary(t), "DAYBOOK_STORE_DRIVER=memory", "DAYBOOK_BUS_DRIVER=rabbitmq",
		"DAYBOOK_BUS_RABBITMQ_URL=amqp://"+nobody(t)).Start("all roles")
	ctx, cancel := context.WithTimeout(t.Context(), 5*moment)
	defer cancel()
	a := cluster.Post(ctx, p.URL(), "alone/create", `{"owner":"Ada","currency":"EUR"}`, "create")
	if !a.Taken() {
		t.Fatalf("the first command was answered %d %s (%v)", a.Status, a.Body, a.Err)
	}
	a = cluster.Post(ctx, p.URL(), "alone/deposit", `{"amount":5}`, "deposit")
	cluster.Within(t, recovery, "the view follows", func(ctx context.Context) error {
		return cluster.Get(ctx, fmt.Sprintf("%s/v1/accounts/alone?minPosition=%d", p.URL(), a.Position), nil)
	})
	began := time.Now()
	p.Stop()
	if took := time.Since(began); took > 5*moment {
		t.Errorf("it took %v to stop", took)
	}
}
