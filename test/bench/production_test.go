package bench

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/adapters/elasticviews"
	"daybook/adapters/membus"
	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/adapters/msgapi"
	"daybook/adapters/pebblestore"
	"daybook/adapters/pgstore"
	"daybook/adapters/rabbitbus"
	"daybook/adapters/watermillbus"
	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/servers"
)

// The benchmarks of this file need the real servers: eval "$(scripts/servers up)".

// onBothStores measures the same on both durable stores, the embedded one without waiting for its disk.
func onBothStores(b *testing.B, measure func(*testing.B, ports.Store)) {
	b.Run("pebble", func(b *testing.B) { measure(b, openPebble(b, pebblestore.Options{NoSync: true})) })
	b.Run("postgres", func(b *testing.B) {
		store, _ := openPostgres(b)
		measure(b, store)
	})
}

func openPebble(b *testing.B, o pebblestore.Options) *pebblestore.Store {
	b.Helper()
	o.Dir = b.TempDir()
	store, err := pebblestore.Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	return store
}

func openPostgres(b *testing.B) (*pgstore.Store, string) {
	b.Helper()
	url := servers.PostgresDatabase(b)
	store, err := pgstore.Open(b.Context(), pgstore.Options{URL: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	return store, url
}

func openRabbit(b *testing.B, prefix string) ports.Bus {
	b.Helper()
	commands := msgapi.Topic(prefix)
	broker, err := rabbitbus.Open(b.Context(), rabbitbus.Options{
		URL: servers.Rabbit(b), Prefix: prefix + ".", Durable: []ports.Subscription{{Topic: commands, Name: msgapi.Subscriber}, {Topic: prefix + ".events", Name: "bench"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	return openBus(b, broker)
}

func openBus(b *testing.B, broker watermillbus.Broker) ports.Bus {
	b.Helper()
	bus, err := watermillbus.New(broker, watermillbus.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { bus.Close() })
	return bus
}

// BenchmarkProductionProject fills views from PostgreSQL: reading, decoding, applying, and storing the documents. The reference is a bare
// pgx reader that scans every column, in turns with the fills: the machine is the same to both.
func BenchmarkProductionProject(b *testing.B) {
	defer runtime.KeepAlive(make([]byte, 64<<20)) // as in BenchmarkReplay
	store, url := openPostgres(b)
	registry := accountsRegistry(b)
	writeHistory(b, store, registry, replayEvents, 10_000)
	for name, open := range map[string]func() ports.Views{
		"memory": func() ports.Views { return memviews.New(registry) },
		"elasticsearch": func() ports.Views {
			views, err := elasticviews.Open(b.Context(), elasticviews.Options{URL: servers.Elastic(b), Prefix: servers.ElasticPrefix(b), Registry: registry})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { views.Close() })
			return views
		},
	} {
		b.Run(name, func(b *testing.B) {
			var reference time.Duration
			for b.Loop() {
				b.StopTimer()
				began := time.Now()
				scanEvents(b, url)
				reference += time.Since(began)
				b.StartTimer()
				fill(b, engine.New(engine.Options{
					Anonymous: access.Local,
					Registry:  registry, Store: store, Bus: noBus{}, Views: open(), Observer: ports.Silent{}, Now: time.Now, EventsTopic: "events",
				}))
			}
			events := float64(replayEvents) * float64(b.N)
			b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(events/reference.Seconds(), "scanned/s")
			b.ReportMetric(reference.Seconds()/b.Elapsed().Seconds(), "of-a-scan")
		})
	}
}

// scanEvents reads every event with nothing but the driver.
func scanEvents(b *testing.B, url string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	rows, err := conn.Query(b.Context(), `SELECT position, stream_id, version, type, schema, effective_at, recorded_at, data, metadata, hash FROM daybook.events ORDER BY position`)
	if err != nil {
		b.Fatal(err)
	}
	var e es.Recorded
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&e.Position, &e.Stream, &e.Version, &e.Type, &e.Schema, &e.EffectiveAt, &e.RecordedAt, &e.Data, &e.Metadata, &hash},
		func() error { return nil })
	if err != nil || e.Position != replayEvents {
		b.Fatalf("read up to %d: %v", e.Position, err)
	}
}

// BenchmarkProductionRelay publishes a history from PostgreSQL to a quorum queue of RabbitMQ, every message confirmed.
func BenchmarkProductionRelay(b *testing.B) {
	const events = 50_000
	store, _ := openPostgres(b)
	registry := accountsRegistry(b)
	writeHistory(b, store, registry, events, 10_000)
	for b.Loop() {
		prefix := strings.TrimSuffix(servers.RabbitPrefix(b), ".")
		bus := openRabbit(b, prefix)
		topic := prefix + ".events"
		relayed := watching{to: events, done: make(chan struct{})}
		e := engine.New(engine.Options{
			Anonymous: access.Local,
			Registry:  registry, Store: store, Bus: bus, Views: &noViews{}, Observer: &relayed, Now: time.Now, EventsTopic: topic, Source: "/bench",
		})
		ctx, stop := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { e.RunRelay(ctx) })
		<-relayed.done
		stop()
		running.Wait()
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// watching tells when so many events were relayed or committed.
type watching struct {
	ports.Silent
	to   es.Position
	done chan struct{}
	once sync.Once
}

func (w *watching) Relayed(p ports.Passage) { w.reached(p.To) }

func (w *watching) Committed(c ports.Commit) { w.reached(c.Head) }

func (w *watching) reached(p es.Position) {
	if p >= w.to {
		w.once.Do(func() { close(w.done) })
	}
}

// BenchmarkProductionExecute runs deposits from many goroutines through the engine on PostgreSQL, beside pgbench's single-row
// inserts with as many and with 64 clients.
func BenchmarkProductionExecute(b *testing.B) {
	store, url := openPostgres(b)
	registry := accountsRegistry(b)
	const accounts = 1000
	e := engine.New(engine.Options{
		Anonymous: access.Local,
		Registry:  registry, Store: store, Bus: noBus{}, Views: &noViews{}, Observer: ports.Silent{}, Now: time.Now, EventsTopic: "events",
	})
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { e.RunCommands(ctx) })
	b.Cleanup(func() { stop(); running.Wait() })
	execute := func(line []byte) {
		envelope, err := wire.DecodeEnvelope(registry, line)
		if err == nil {
			request := envelope.Request(es.Metadata{})
			request.Key = "" // as a deposit without an idempotency key
			_, err = e.Execute(b.Context(), request)
		}
		if err != nil {
			b.Error(err)
		}
	}
	for i := range accounts {
		execute(fmt.Appendf(nil, `{"id":"x","account":"acc-%d","command":"create","data":{"owner":"Ada","currency":"EUR"}}`, i))
	}
	for _, writers := range []int{64, 256} {
		for name, target := range map[string]func(i int64) int64{
			"random": func(i int64) int64 { return i * 7919 % accounts },
			"hot":    func(int64) int64 { return 0 },
		} {
			b.Run(fmt.Sprintf("%d writers %s", writers, name), func(b *testing.B) {
				var n atomic.Int64
				b.SetParallelism(writers / 2)
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						execute(fmt.Appendf(nil, `{"id":"x","account":"acc-%d","command":"deposit","data":{"amount":1}}`, target(n.Add(1))))
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
			})
		}
	}
	for _, protocol := range []string{"simple", "prepared"} {
		for _, clients := range []int{8, 64} {
			b.Run(fmt.Sprintf("pgbench %s %d clients", protocol, clients), func(b *testing.B) { pgbench(b, url, protocol, clients) })
		}
	}
}

// insertScript writes a row like an event's, into a table with the same keys.
const insertScript = `\set id random(1, 1000)
\set version random(1, 1000000000000)
INSERT INTO bench_reference (stream_id, version, type, schema, effective_at, recorded_at, data, metadata)
VALUES ('acc-' || :id, :version, 'MoneyDeposited', 1, now(), now(), '{"amount":1}', '{"principal":"local","requestId":"63f98d6e410d0b4854ebbc14eed75d44"}');
`

const referenceTable = `CREATE TABLE IF NOT EXISTS bench_reference (position bigserial PRIMARY KEY, stream_id text NOT NULL, version bigint NOT NULL,
	type text NOT NULL, schema int NOT NULL, effective_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL, data text NOT NULL,
	metadata text NOT NULL, UNIQUE (stream_id, version))`

// pgbench reports the transactions per second of single-row inserts.
func pgbench(b *testing.B, url, protocol string, clients int) {
	program, err := exec.LookPath("pgbench")
	if err != nil {
		program = "/usr/lib/postgresql/15/bin/pgbench"
	}
	pool, err := pgxpool.New(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(b.Context(), referenceTable); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), program, "-n", "-M", protocol, "-c", strconv.Itoa(clients), "-j", "2", "-T", "5", "-f", "/dev/stdin", url)
		cmd.Stdin = strings.NewReader(insertScript)
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Skipf("pgbench: %v\n%s", err, out)
		}
		if m := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out); m != nil {
			tps, _ := strconv.ParseFloat(string(m[1]), 64)
			b.ReportMetric(tps, "commands/s")
		}
	}
}

// BenchmarkCommandsByMessage publishes commands at once and measures until the last one is applied: how fast messages are
// accepted says nothing.
func BenchmarkCommandsByMessage(b *testing.B) {
	const commands = 20_000
	for name, open := range map[string]func(b *testing.B, prefix string) (ports.Store, ports.Bus){
		"memory": func(b *testing.B, _ string) (ports.Store, ports.Bus) {
			return memstore.New(), openBus(b, membus.New(membus.Options{Queue: commands}))
		},
		"postgres and rabbitmq": func(b *testing.B, prefix string) (ports.Store, ports.Bus) {
			store, _ := openPostgres(b)
			return store, openRabbit(b, prefix)
		},
	} {
		b.Run(name, func(b *testing.B) {
			var accepting, draining time.Duration
			for range b.N {
				b.StopTimer()
				prefix := "bench"
				if name != "memory" {
					prefix = strings.TrimSuffix(servers.RabbitPrefix(b), ".")
				}
				store, bus := open(b, prefix)
				accepted, drained := applyByMessage(b, store, bus, prefix, commands)
				accepting, draining = accepting+accepted, draining+drained
			}
			b.ReportMetric(float64(commands*b.N)/accepting.Seconds(), "accepted/s")
			b.ReportMetric(float64(commands*b.N)/(accepting+draining).Seconds(), "applied/s")
			b.ReportMetric(draining.Seconds()/float64(b.N), "s-to-drain")
		})
	}
}

// applyByMessage gives how long it takes to publish commands and then until all are applied.
func applyByMessage(b *testing.B, store ports.Store, bus ports.Bus, prefix string, commands int) (accepted, drained time.Duration) {
	registry := accountsRegistry(b)
	const accounts = 100
	applied := &watching{to: es.Position(accounts + commands), done: make(chan struct{})}
	e := engine.New(engine.Options{
		Anonymous: access.Local,
		Registry:  registry, Store: store, Bus: bus, Views: &noViews{}, Observer: applied, Now: time.Now, EventsTopic: prefix + ".events",
	})
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { e.RunCommands(ctx) })
	if err := msgapi.New(e, bus, registry, msgapi.Options{}).Subscribe(ctx, msgapi.Topic(prefix)); err != nil {
		b.Fatal(err)
	}
	messages := make([]ports.Message, 0, accounts+commands)
	add := func(id, account, command, data string) {
		messages = append(messages, ports.Message{ID: id, Body: fmt.Appendf(nil, `{"id":%q,"account":%q,"command":%q,"data":%s}`, id, account, command, data)})
	}
	for i := range accounts {
		add(fmt.Sprint("new-", i), fmt.Sprint("acc-", i), "create", `{"owner":"Ada","currency":"EUR"}`)
	}
	for i := range commands {
		add(fmt.Sprint("cmd-", i), fmt.Sprint("acc-", i%accounts), "deposit", `{"amount":1}`)
	}
	b.StartTimer()
	began := time.Now()
	if err := bus.Publish(b.Context(), msgapi.Topic(prefix), messages...); err != nil {
		b.Fatal(err)
	}
	accepted = time.Since(began)
	<-applied.done
	drained = time.Since(began) - accepted
	b.StopTimer()
	stop()
	running.Wait()
	return accepted, drained
}
