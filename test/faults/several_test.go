package faults

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/test/books"
	"daybook/test/cluster"
	"daybook/test/faulttable"
)

// several is a deployment without load: three processes that take commands, two of them with views of their own, and a worker.
func several(t *testing.T) *world {
	t.Helper()
	w := prepare(t, place{})
	for n, views := range []string{memory, elastic, memory} {
		w.apis = append(w.apis, w.cluster.Start(fmt.Sprintf("api %d", n), views, "DAYBOOK_ROLES=api"))
	}
	w.workers = append(w.workers, w.cluster.Start("worker", elastic, "DAYBOOK_ROLES=relay,project,messages"))
	return w
}

// post sends a command that must be taken.
func post(t *testing.T, p *cluster.Program, path, body, key string) *cluster.Answer {
	t.Helper()
	a := cluster.Post(t.Context(), p.URL(), path, body, key)
	if !a.Taken() {
		t.Fatalf("%s was answered %d %s (%v)", path, a.Status, a.Body, a.Err)
	}
	return a
}

func TestWhatOneProcessAnsweredEveryOtherShowsOnceItIsAskedForThatPosition(t *testing.T) {
	faulttable.Covers(t, "F26", faulttable.Production, again())
	w := several(t)
	last := post(t, w.apis[0], "fresh/create", `{"owner":"Ada","currency":"EUR"}`, "create")
	for _, p := range w.apis { // until the indices are there, which are made first
		cluster.Within(t, recovery, "the views of "+p.Name()+" are open", func(ctx context.Context) error {
			return cluster.Get(ctx, p.URL()+"/v1/accounts/fresh?minPosition=1", nil)
		})
	}
	var slowest [3]time.Duration
	for n := range 10 * times(3) {
		last = post(t, w.apis[n%3], "fresh/deposit", `{"amount":1}`, fmt.Sprint(n))
		for i, p := range w.apis {
			began := time.Now()
			var one books.Account
			if err := cluster.Get(t.Context(), fmt.Sprintf("%s/v1/accounts/fresh?minPosition=%d", p.URL(), last.Position), &one); err != nil || one.Balance != last.Balance {
				t.Fatalf("%s shows %+v after %s (%v)", p.Name(), one, last.Body, err)
			}
			slowest[i] = max(slowest[i], time.Since(began))
			var list struct{ Items []books.Account }
			if err := cluster.Get(t.Context(), fmt.Sprintf("%s/v1/accounts?minPosition=%d", p.URL(), last.Position), &list); err != nil || list.Items[0] != one {
				t.Fatalf("%s lists %+v after %s (%v)", p.Name(), list, last.Body, err)
			}
		}
	}
	for _, p := range w.apis {
		err := cluster.Get(t.Context(), fmt.Sprintf("%s/v1/accounts/fresh?minPosition=%d", p.URL(), last.Position+1000), nil)
		if err == nil || !strings.Contains(err.Error(), "position_ahead") {
			t.Errorf("a position that nobody has written gave %v", err)
		}
	}
	t.Logf("the slowest answers with minPosition: memory %v, Elasticsearch %v, memory %v", slowest[0], slowest[1], slowest[2])
}

func TestTheSameKeySentToAllProcessesAtOnceHasOneEffectAndOneAnswer(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F46", faulttable.Production, again())
	faulttable.Covers(t, "F47", faulttable.Production, again())
	w := several(t)
	post(t, w.apis[0], "same/create", `{"owner":"Ada","currency":"EUR"}`, "create")
	finals := map[string]cluster.Final{}
	for n := range 50 * times(2) {
		key := fmt.Sprint("key-", n)
		answers := make([]*cluster.Answer, 2*len(w.apis))
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				answers[i] = cluster.Post(t.Context(), w.apis[i%len(w.apis)].URL(), "same/deposit", `{"amount":3}`, key)
			})
		}
		all.Wait()
		first := 0
		for _, a := range answers {
			if !a.Taken() || a.Body != answers[0].Body {
				t.Fatalf("%s was answered\n%s and\n%d %s (%v)", key, answers[0].Body, a.Status, a.Body, a.Err)
			}
			if !a.Replayed {
				first++
			}
		}
		if first != 1 {
			t.Errorf("%d answers to %s say that they are the first", first, key)
		}
		finals[key] = cluster.Final{Command: books.Command{Key: key, Account: "same", Verb: "deposit", Amount: 3}, Answer: answers[0]}
	}
	w.otherContent(finals)
	books := cluster.ReadBooks(t, w.apis[2].URL())
	for key, f := range finals {
		if events := books.ByCommand[key]; len(events) != 1 || events[0].Position != f.Answer.Position {
			t.Errorf("%s was answered %s and has %d events", key, f.Answer.Body, len(events))
		}
	}
}

// otherContent sends other commands under one key to two processes at once: one is taken, the other is told.
func (w *world) otherContent(finals map[string]cluster.Final) {
	w.t.Helper()
	for n := range 20 {
		key := fmt.Sprint("other-", n)
		var answers [2]*cluster.Answer
		var both sync.WaitGroup
		for i := range answers {
			both.Go(func() {
				answers[i] = cluster.Post(w.t.Context(), w.apis[i].URL(), "same/deposit", fmt.Sprintf(`{"amount":%d}`, i+1), key)
			})
		}
		both.Wait()
		taken, refused := answers[0], answers[1]
		if !taken.Taken() {
			taken, refused = refused, taken
		}
		if !taken.Taken() || refused.Status != http.StatusUnprocessableEntity || refused.Code != "idempotency_key_mismatch" {
			w.t.Errorf("%s was answered %s and %s", key, answers[0].Body, answers[1].Body)
		}
		finals[key] = cluster.Final{Command: books.Command{Key: key}, Answer: taken}
	}
}

func TestTwoProcessesWriteOneHotAccount(t *testing.T) {
	faulttable.Covers(t, "F12", faulttable.Production, again())
	faulttable.Covers(t, "F28", faulttable.Production, again())
	w := several(t)
	w.load = &cluster.Load{Seed: *seed, Accounts: 1, Clients: 32, Pace: time.Nanosecond, Targets: w.targets}
	w.load.Start(t)
	w.load.Mark()
	began := time.Now()
	w.load.Await(t, 1000*times(2), time.Minute)
	took := time.Since(began)
	s := w.load.Spell()
	t.Logf("%.0f commands a second on one account, over %d processes with 32 clients: %v", float64(s.Taken)/took.Seconds(), len(w.apis), s)
	w.load.Stop()
	books := cluster.ReadBooks(t, w.apis[0].URL())
	cluster.CheckAnswers(t, books, w.load.Finals())
	for _, p := range w.apis {
		cluster.CheckViews(t, books, p.URL(), recovery)
	}
	w.listener.Check(t, books, recovery)
	cluster.CheckHistory(t, books, w.load)
	if len(s.Kinds) > 0 {
		t.Errorf("processes that write one account are in each other's way: %v", s)
	}
}
