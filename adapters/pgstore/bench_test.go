package pgstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/servers"
)

// Compare only figures of one run: disks and neighbours change from one minute to the next.

var (
	benchData     = []byte(`{"amount":12345,"currency":"EUR","reference":"invoice 2025-1028","balance":1234567}`)
	benchMetadata = []byte(`{"principal":"local","commandId":"b1946ac9-2d4c-4c1e-9b51-0a6f3f0e7f11"}`)
)

func benchEvent(stream string, v es.Version, p es.Position, at time.Time) es.Recorded {
	return es.Recorded{
		Stream: es.StreamID(stream), Version: v, Position: p, Type: "MoneyDeposited", Schema: 1, EffectiveAt: at, RecordedAt: at, Data: benchData, Metadata: benchMetadata,
	}
}

// BenchmarkAppend counts events per second: a single row in a transaction of its own from 64 connections, as pgbench does it,
// and then the store, with writers that wait for their event and one loop that takes all of those who wait into a batch.
func BenchmarkAppend(b *testing.B) {
	b.Run("reference=insert/connections=64", func(b *testing.B) {
		s := open(b, Options{})
		execute(b, servers.Postgres(b), inSchema(`CREATE TABLE daybook.reference (position bigserial PRIMARY KEY, stream_id text NOT NULL,
			version bigint NOT NULL, type text NOT NULL, schema integer NOT NULL, effective_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL,
			data text NOT NULL, metadata text NOT NULL, UNIQUE (stream_id, version))`, s.options.Schema))
		config, err := pgxpool.ParseConfig(servers.Postgres(b))
		if err != nil {
			b.Fatal(err)
		}
		config.MaxConns, config.MinConns = 64, 64
		pool, err := pgxpool.NewWithConfig(b.Context(), config)
		if err != nil {
			b.Fatal(err)
		}
		defer pool.Close()
		insert := inSchema(`INSERT INTO daybook.reference (stream_id, version, type, schema, effective_at, recorded_at, data, metadata)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, s.options.Schema)
		spread(b, 64, func(w, n int) error {
			now := time.Now()
			_, err := pool.Exec(b.Context(), insert, fmt.Sprint("acc-", w), n+1, "MoneyDeposited", 1, now, now, benchData, benchMetadata)
			return err
		})
	})
	for _, guarded := range []bool{true, false} {
		for _, writers := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("store/writers=%d/guard=%v", writers, guarded), func(b *testing.B) {
				s := open(b, Options{})
				if !guarded {
					execute(b, servers.Postgres(b), inSchema(`ALTER TABLE daybook.events DISABLE TRIGGER USER`, s.options.Schema))
				}
				in := make(chan *appended, writers)
				var loop sync.WaitGroup
				loop.Go(func() { batching(b, s, in) })
				last := make([]es.Hash, writers)
				spread(b, writers, func(w, n int) error {
					a := &appended{stream: fmt.Sprint("acc-", w), version: es.Version(n + 1), hash: last[w], done: make(chan error, 1)}
					in <- a
					err := <-a.done
					last[w] = a.hash
					return err
				})
				close(in)
				loop.Wait()
			})
		}
	}
}

// appended is one event on its way.
type appended struct {
	stream  string
	version es.Version
	hash    es.Hash // of the version before, and then of this one
	done    chan error
}

// batching is the simplest sequencer: whoever waits goes with the next batch.
func batching(b *testing.B, s *Store, in <-chan *appended) {
	batches, events := 0, 0
	for first := range in {
		batch := []*appended{first}
		for more := true; more && len(batch) < 1024; {
			select {
			case a, ok := <-in:
				if more = ok; ok {
					batch = append(batch, a)
				}
			default:
				more = false
			}
		}
		err := appendAll(s, batch)
		batches, events = batches+1, events+len(batch)
		for _, a := range batch {
			a.done <- err
		}
	}
	b.ReportMetric(float64(events)/float64(batches), "events/batch")
}

func appendAll(s *Store, batch []*appended) error {
	var needs ports.Needs
	for _, a := range batch {
		needs.Streams = append(needs.Streams, ports.StreamNeed{Stream: es.StreamID(a.stream), After: a.version - 1, Hash: a.hash, At: s.head.At()})
		needs.Keys = append(needs.Keys, fmt.Sprintf("local/%s-%d", a.stream, a.version))
	}
	u, err := s.Begin(context.Background(), needs)
	if err != nil {
		return err
	}
	known := u.Known()
	at := known.LastRecordedAt
	var out ports.Batch
	for i, a := range batch {
		at = ports.NextTime(at, time.Now())
		out.Events = append(out.Events, benchEvent(a.stream, a.version, known.Head+es.Position(i+1), at))
		out.Outcomes = append(out.Outcomes, ports.Outcome{Key: needs.Keys[i], RecordedAt: at, Body: benchData[:40]})
	}
	err = u.Commit(context.Background(), out)
	for i, a := range batch {
		a.hash = out.Events[i].Hash
	}
	return err
}

// spread runs b.N calls from so many goroutines and reports how many were done in a second.
func spread(b *testing.B, writers int, call func(writer, n int) error) {
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; left.Add(-1) >= 0; n++ {
				if err := call(w, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkFeed counts events per second in pages of 1000: a bare pgx reader that scans every column, one that only counts the
// rows, and the store, which gives events with their JSON.
func BenchmarkFeed(b *testing.B) {
	const all, page = 100_000, 1000
	s := open(b, Options{})
	for first := es.Position(1); first <= all; first += page {
		u, err := s.Begin(b.Context(), ports.Needs{})
		if err != nil {
			b.Fatal(err)
		}
		var batch ports.Batch
		at := ports.NextTime(u.Known().LastRecordedAt, start)
		for p := first; p < first+page; p++ {
			batch.Events = append(batch.Events, benchEvent(fmt.Sprint("acc-", p), 1, p, at.Add(time.Duration(p-first)*time.Microsecond)))
		}
		if err := u.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	execute(b, servers.Postgres(b), inSchema(`VACUUM ANALYZE daybook.events`, s.options.Schema))
	conn := connect(b, servers.Postgres(b))
	scanned := func(each func(pgx.Rows) error) func(after int64) (int, error) {
		return func(after int64) (n int, err error) {
			rows, err := conn.Query(b.Context(), s.sql.feed, after, page)
			if err != nil {
				return 0, err
			}
			defer rows.Close()
			for ; rows.Next(); n++ {
				if err := each(rows); err != nil {
					return n, err
				}
			}
			return n, rows.Err()
		}
	}
	var kept []es.Recorded
	for _, c := range []struct {
		name string
		read func(after int64) (int, error)
	}{
		{"reference=scan", scanned(func(rows pgx.Rows) error {
			var e es.Recorded
			var hash []byte
			return rows.Scan(&e.Position, &e.Stream, &e.Version, &e.Type, &e.Schema, &e.EffectiveAt, &e.RecordedAt, &e.Data, &e.Metadata, &hash)
		})},
		{"reference=count", scanned(func(pgx.Rows) error { return nil })},
		{"store", func(after int64) (n int, err error) {
			kept, err = s.ReadFeed(b.Context(), es.Position(after), page)
			return len(kept), err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			after, events := int64(0), 0
			for b.Loop() {
				n, err := c.read(after)
				if err != nil {
					b.Fatal(err)
				}
				if after, events = after+int64(n), events+n; n < page {
					after = 0
				}
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkPositionAt finds a place in time among a hundred thousand events.
func BenchmarkPositionAt(b *testing.B) {
	s := open(b, Options{})
	execute(b, servers.Postgres(b), inSchema(`BEGIN; SET LOCAL daybook.unit = 'on'; INSERT INTO daybook.events
		SELECT n, 'acc-' || n, 1, 'T', 1, now(), now() + n * interval '1 second', '{}', '{}' FROM generate_series(1, 100000) n; COMMIT`, s.options.Schema))
	when := time.Now().Add(10 * time.Hour)
	for b.Loop() {
		if _, err := s.PositionAt(b.Context(), when); err != nil {
			b.Fatal(err)
		}
	}
}
