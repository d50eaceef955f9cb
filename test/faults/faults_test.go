// Package faults breaks the real servers, the network and the processes under the real program while clients use it, and holds
// what the clients were told against what is there afterwards. It holds tests alone; what they share is in test/cluster.
package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"daybook/test/books"
	"daybook/test/cluster"
	"daybook/test/servers"
)

var (
	rounds = flag.Int("faults.rounds", 0, "how often each fault is repeated; 0: a few times, as fits an ordinary run")
	races  = flag.Bool("faults.race", false, "build the program with the race detector")
	seed   = flag.Uint64("faults.seed", 0, "what the random choices of a run follow from; 0: another one each time")
)

// built builds the program once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "daybook-faults-")
	if err != nil {
		return "", err
	}
	folder = dir
	if *races {
		return cluster.Build(dir, "-race")
	}
	return cluster.Build(dir)
})

var folder string

func TestMain(m *testing.M) {
	flag.Parse()
	if atOnce := flag.Lookup("test.parallel"); atOnce.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = atOnce.Value.Set("4") // most of the time they wait
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	fmt.Printf("seed: -faults.seed=%d\n", *seed)
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// times is how often a fault is repeated, where an ordinary run does it so many times.
func times(ordinary int) int {
	if *rounds > 0 {
		return *rounds
	}
	return ordinary
}

// again is the flag that repeats the random choices of this run.
func again() string { return fmt.Sprintf("-faults.seed=%d", *seed) }

// binary is the program.
func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// place is where servers are; "" is a part of the shared one.
type place struct{ postgres, rabbit, elastic string }

// world is a deployment under load: two processes that take commands, one with views in its memory and one that reads those in
// Elasticsearch, and two that relay, project and take messages, of which one is standing by.
type world struct {
	t        *testing.T
	database string // the store, without anything in between
	broker   string
	search   string
	prefix   string // of exchanges and queues
	indices  string // the prefix of indices

	cluster  *cluster.Cluster
	apis     []*cluster.Program
	workers  []*cluster.Program
	load     *cluster.Load
	listener *cluster.Listener
	random   *rand.Rand
	unwatch  func()
	settings []string        // of all processes, besides the usual ones
	balanced func() []string // where clients may send to; nil: to each API process
	patience time.Duration   // of clients; 0: as usual
	pace     time.Duration   // the same
}

// prepare gets the parts of the servers that a world uses, and no processes yet. own are the servers that are not shared.
func prepare(t *testing.T, own place) *world {
	t.Helper()
	w := &world{t: t, database: own.postgres, broker: own.rabbit, search: own.elastic, random: rand.New(rand.NewPCG(*seed, uint64(len(t.Name()))))}
	if w.database == "" {
		w.database = servers.PostgresDatabase(t)
	}
	if w.broker == "" {
		w.broker = servers.Rabbit(t)
	}
	w.indices = "faults"
	if w.search == "" {
		w.search = servers.Elastic(t)
		w.indices = servers.ElasticPrefix(t) + "faults"
	}
	w.prefix = strings.TrimSuffix(servers.RabbitPrefix(t), ".")
	w.listener = cluster.Listen(t, w.broker, w.prefix)
	w.through(place{})
	return w
}

// through says where the processes find the servers instead, as host and port; "" is where they are.
func (w *world) through(p place) {
	w.t.Helper()
	w.cluster = cluster.New(w.t, binary(w.t),
		"DAYBOOK_STORE_DRIVER=postgres", "DAYBOOK_STORE_POSTGRES_URL="+moved(w.t, w.database, p.postgres),
		"DAYBOOK_BUS_DRIVER=rabbitmq", "DAYBOOK_BUS_RABBITMQ_URL="+moved(w.t, w.broker, p.rabbit), "DAYBOOK_BUS_RABBITMQ_PREFIX="+w.prefix,
		"DAYBOOK_VIEWS_ELASTICSEARCH_URL="+moved(w.t, w.search, p.elastic), "DAYBOOK_VIEWS_ELASTICSEARCH_PREFIX="+w.indices,
	)
}

// moved is the URL with another host and port, if one is given.
func moved(t *testing.T, address, host string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		u.Host = host
	}
	return u.String()
}

const (
	memory  = "DAYBOOK_VIEWS_DRIVER=memory"
	elastic = "DAYBOOK_VIEWS_DRIVER=elasticsearch"
)

// up starts the processes and the load, and returns when commands are taken.
func (w *world) up() *world {
	w.t.Helper()
	run := func(name string, env ...string) *cluster.Program {
		return w.cluster.Start(name, append(env, w.settings...)...)
	}
	w.apis = []*cluster.Program{
		run("api with views in memory", memory, "DAYBOOK_ROLES=api"),
		run("api with views in Elasticsearch", elastic, "DAYBOOK_ROLES=api"),
	}
	for _, name := range []string{"first worker", "second worker"} {
		w.workers = append(w.workers, run(name, elastic, "DAYBOOK_ROLES=relay,project,messages"))
	}
	if w.balanced == nil {
		w.balanced = w.targets
	}
	w.cluster.Rest(recovery)
	w.begin("", 0)
	return w
}

// begin starts a load, and returns when commands are taken. It has a name of its own unless it is the first, and comes after a position.
func (w *world) begin(name string, after int64) {
	w.t.Helper()
	w.load = &cluster.Load{Name: name, After: after, Seed: *seed, Targets: w.balanced, Patience: w.patience, Pace: w.pace}
	w.load.Start(w.t)
	w.load.Await(w.t, 100, recovery)
}

// start is a whole world on the shared servers.
func start(t *testing.T) *world {
	t.Helper()
	return prepare(t, place{}).up()
}

func (w *world) targets() (urls []string) {
	for _, p := range w.apis {
		urls = append(urls, p.URL())
	}
	return urls
}

// recovery is how long anything may take to be back after a fault, without a restart.
const recovery = cluster.Patience

// settle waits until each process answers, ends the load and holds everything against everything.
func (w *world) settle() *books.Books {
	w.t.Helper()
	for _, p := range w.cluster.Programs() {
		cluster.Within(w.t, recovery, p.Name()+" is ready", func(ctx context.Context) error {
			return cluster.Get(ctx, p.URL()+"/readyz", nil)
		})
	}
	w.load.Await(w.t, 50, recovery)
	w.load.Stop()
	books := w.cluster.Check(w.load, nil, recovery, w.targets()...)
	w.listener.Check(w.t, books, recovery)
	w.checkConnections()
	return books
}

// pool is how many connections to the database a process has at the most: to its ledger and to what says who may do what.
const pool = 10 + 4

// checkConnections waits until there are no more connections than the pools of all processes hold.
func (w *world) checkConnections() {
	w.t.Helper()
	cluster.Within(w.t, recovery, "connections to PostgreSQL are given back", func(ctx context.Context) error {
		var there int
		err := w.ask(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
			AND pid <> pg_backend_pid()`, &there)
		if most := pool * len(w.cluster.Programs()); err == nil && there > most {
			err = fmt.Errorf("there are %d, and should be %d at the most", there, most)
		}
		return err
	})
}

// during does something and logs what clients saw from its beginning until commands are taken again, and how long it took then
// until the views and the bus had what was there by that time.
func (w *world) during(fault string, do func()) cluster.Spell {
	w.t.Helper()
	w.load.Mark()
	do()
	back := w.load.Await(w.t, 50, recovery)
	s := w.load.Spell()
	views, bus := w.caughtUp()
	w.t.Logf("%s: %v; after its end commands are back in %.2fs, then views in %.2fs and the bus in %.2fs", fault, s, back.Seconds(), views.Seconds(), bus.Seconds())
	return s
}

// caughtUp waits until the views in Elasticsearch and the relay have come to where the store is now, and says how long each took.
func (w *world) caughtUp() (views, bus time.Duration) {
	w.t.Helper()
	var head int64
	cluster.Within(w.t, recovery, "the store answers", func(ctx context.Context) error {
		return w.ask(ctx, "SELECT max(position) FROM daybook.events", &head)
	})
	var both sync.WaitGroup
	both.Go(func() { views = w.within(recovery, "the views catch up", w.viewsAt(head)) })
	both.Go(func() { bus = w.within(recovery, "the relay catches up", w.relayedTo(head)) })
	both.Wait()
	return views, bus
}

// within is cluster.Within for goroutines other than the test's.
func (w *world) within(limit time.Duration, what string, done func(context.Context) error) time.Duration {
	began := time.Now()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	for err := done(ctx); err != nil; err = done(ctx) {
		if !cluster.Pass(ctx, 20*time.Millisecond) {
			w.t.Errorf("%s: not within %v: %v", what, limit, err)
			break
		}
	}
	return time.Since(began)
}

// viewsAt fails until the views in Elasticsearch have come to the position.
func (w *world) viewsAt(position int64) func(context.Context) error {
	return func(ctx context.Context) error {
		return cluster.Get(ctx, fmt.Sprintf("%s/v1/accounts?limit=1&minPosition=%d", w.apis[1].URL(), position), nil)
	}
}

// relayedTo fails until the relay has saved that it has published everything up to the position.
func (w *world) relayedTo(position int64) func(context.Context) error {
	return func(ctx context.Context) error {
		var at int64
		if err := w.ask(ctx, "SELECT position FROM daybook.checkpoints WHERE name = '"+w.relayLease()+"'", &at); err != nil || at >= position {
			return err
		}
		return fmt.Errorf("the relay is at %d of %d", at, position)
	}
}

// lasts lets a fault last.
func (w *world) lasts(d time.Duration) {
	w.t.Helper()
	cluster.Pass(w.t.Context(), d)
}

// ask reads one row of the store itself.
func (w *world) ask(ctx context.Context, query string, into ...any) error {
	conn, err := pgx.Connect(ctx, w.database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.QueryRow(ctx, query).Scan(into...)
}

// holder is the worker that holds the lease of the name, once one does.
func (w *world) holder(name string) (holder, other *cluster.Program) {
	w.t.Helper()
	cluster.Within(w.t, recovery, "somebody holds the lease "+name, func(ctx context.Context) error {
		var who string
		if err := w.ask(ctx, "SELECT holder FROM daybook.leases WHERE expires_at > clock_timestamp() AND name = '"+name+"'", &who); err != nil {
			return err
		}
		for i, p := range w.workers {
			if strings.Contains(who, fmt.Sprintf("-%d-", p.Pid())) {
				holder, other = p, w.workers[1-i]
				return nil
			}
		}
		return fmt.Errorf("%s is no worker", who)
	})
	return holder, other
}

// the names of leases.
func (w *world) relayLease() string { return "relay:" + w.prefix + ".events" }

const viewsLease = "views"
