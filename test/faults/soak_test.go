package faults

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"daybook/test/cluster"
	"daybook/test/faulttable"
)

var soak = flag.Duration("faults.soak", 8*time.Second, "for how long everything goes wrong, one thing after another")

// mishap is a fault of the soak.
type mishap struct {
	name string
	do   func()
}

// One process of each kind lives through all of it, and gives back what it holds.
func TestAllThatCanGoWrongOneAfterAnotherLeavesEverythingRightAndMemoryFlat(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F66", faulttable.Production, again(), fmt.Sprint("-faults.soak=", *soak))
	w := prepare(t, place{})
	postgres, rabbit, elastic := between(t, w.database), between(t, w.broker), between(t, w.search)
	w.through(place{postgres: postgres.host(), rabbit: rabbit.host(), elastic: elastic.host()})
	w.pace, w.settings = 4*time.Millisecond, []string{cluster.Thrifty}
	w.up()
	all := w.mishaps(map[string]*network{"PostgreSQL": postgres, "RabbitMQ": rabbit, "Elasticsearch": elastic})
	lasting := []*cluster.Program{w.apis[0], w.workers[0]}
	var memory cluster.Soak
	var deck []int
	leg := min(time.Minute, *soak/2)
	began := time.Now()
	for legs := 1; ; legs++ {
		for begun := time.Now(); time.Since(begun) < leg; {
			if len(deck) == 0 {
				deck = w.random.Perm(len(all))
			}
			w.during(all[deck[0]].name, all[deck[0]].do)
			deck = deck[1:]
		}
		if time.Since(began) >= *soak {
			w.load.Await(t, memory.Missing(lasting...), 10*recovery)
		}
		books := w.settle()
		w.caughtUp()
		memory.Rest(t, books, recovery, lasting...)
		w.load.Forget()
		if t.Failed() || time.Since(began) >= *soak && memory.Told(lasting...) {
			break
		}
		w.begin(fmt.Sprintf("leg-%d-", legs), books.Head)
	}
	memory.Log(t, lasting...)
	cluster.CheckVerified(t, w.apis[0])
}

// mishaps are all that may happen: those of the processes that are ended now and then, and those of the network to each server.
func (w *world) mishaps(networks map[string]*network) (all []mishap) {
	add := func(do func(), name string, args ...any) { all = append(all, mishap{fmt.Sprintf(name, args...), do}) }
	for _, p := range []*cluster.Program{w.apis[1], w.workers[1]} {
		add(func() { w.killed(p) }, "kill -9 of the %s", p.Name())
		add(func() { w.stopped(p) }, "orderly stop of the %s", p.Name())
	}
	for _, p := range w.cluster.Programs() {
		add(func() { w.standsStill(p, w.aWhile()) }, "the %s stands still", p.Name())
	}
	for _, server := range []string{"PostgreSQL", "RabbitMQ", "Elasticsearch"} {
		n := networks[server]
		suffer := func(begin func() (end func()), name string) {
			add(func() {
				end := begin()
				w.lasts(w.aWhile())
				end()
			}, name, server)
		}
		suffer(n.swallow, "the network to %s swallows everything")
		suffer(n.refuse, "%s is away")
		suffer(n.reset, "connections to %s are reset")
		suffer(func() func() { return n.delay(500) }, "each answer of %s takes 0.5 s more")
	}
	add(func() {
		end, _ := networks["PostgreSQL"].cutCommits(20)
		w.lasts(w.aWhile())
		end()
	}, "every 20th answer to a commit is cut")
	return all
}

// aWhile is how long a fault of the soak lasts, which is shorter in a short one.
func (w *world) aWhile() time.Duration {
	most := min(4*moment, *soak/8)
	return most/4 + time.Duration(w.random.Int64N(int64(most)*3/4))
}
