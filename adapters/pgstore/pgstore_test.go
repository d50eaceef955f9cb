package pgstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

var start = time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)

// noLeaks fails a test that leaves goroutines behind. pgx closes a connection whose call was cancelled in the background.
func noLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

var schemas atomic.Int64

// schema gives the name of a schema that is not there yet, and removes it after the test: faster than a database.
func schema(t testing.TB) string {
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), schemas.Add(1))
	t.Cleanup(func() { execute(t, servers.Postgres(t), `DROP SCHEMA IF EXISTS `+name+` CASCADE`) })
	return name
}

// connect gives a connection of the test's own.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execute(t testing.TB, url, sql string) {
	t.Helper()
	conn := connect(t, url)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.URL == "" {
		o.URL = servers.Postgres(t)
	}
	if o.Schema == "" {
		o.Schema = schema(t)
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// patience is a context that ends only when something hangs.
func patience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func draft() es.Recorded {
	return es.Recorded{Type: "TestHappened", Schema: 1, Data: []byte(`{"n":1}`), Metadata: []byte(`{"principal":"test"}`)}
}

// next is a batch of one event that goes on where the unit's store ends, in a stream of its own, and an outcome.
func next(u ports.Unit) ports.Batch {
	e := draft()
	e.Position = u.Known().Head + 1
	e.Stream, e.Version = es.StreamID(fmt.Sprint("s", e.Position)), 1
	e.RecordedAt = ports.NextTime(u.Known().LastRecordedAt, start)
	e.EffectiveAt = e.RecordedAt
	return ports.Batch{Events: []es.Recorded{e}, Outcomes: []ports.Outcome{{Key: "key of " + string(e.Stream), RecordedAt: e.RecordedAt}}}
}

// write commits one event.
func write(ctx context.Context, s ports.Store) error {
	u, err := s.Begin(ctx, ports.Needs{})
	if err != nil {
		return err
	}
	return u.Commit(ctx, next(u))
}

func mustWrite(t testing.TB, s ports.Store) {
	t.Helper()
	if err := write(patience(t), s); err != nil {
		t.Fatal(err)
	}
}

func wantHead(t testing.TB, s ports.Store, want es.Position) {
	t.Helper()
	if p, err := s.Head(patience(t)); err != nil || p != want {
		t.Fatalf("the head is %d, %v; want %d", p, err, want)
	}
}

func TestContract(t *testing.T) {
	noLeaks(t)
	contract.Store(t, func(t *testing.T) ports.Store { return open(t, Options{forgetStep: 7}) })
}

// In the durable contract a folder is a database: a file in it names the schema, and a copy of it names the same one.
func TestDurableContract(t *testing.T) {
	noLeaks(t)
	contract.DurableStore(t, func(t *testing.T, dir string) ports.Store {
		name := filepath.Join(dir, "schema")
		kept, err := os.ReadFile(name)
		if err != nil {
			kept = []byte(schema(t))
			if err := os.WriteFile(name, kept, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return open(t, Options{Schema: string(kept)})
	})
}

// deal is a store that gives every call to one of two stores on one database, in turn. What one of them wrote the other shows.
type deal struct {
	*Store
	other *Store
	n     *atomic.Int64
}

func (d deal) pick() *Store {
	if d.n.Add(1)%2 == 0 {
		return d.other
	}
	return d.Store
}

func (d deal) Begin(ctx context.Context, needs ports.Needs) (ports.Unit, error) {
	return d.pick().Begin(ctx, needs)
}
func (d deal) Head(ctx context.Context) (es.Position, error) { return d.pick().Head(ctx) }
func (d deal) ReadStream(ctx context.Context, stream es.StreamID, after es.Version, limit int) ([]es.Recorded, error) {
	return d.pick().ReadStream(ctx, stream, after, limit)
}
func (d deal) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	return d.pick().ReadFeed(ctx, after, limit)
}
func (d deal) PositionAt(ctx context.Context, t time.Time) (es.Position, error) {
	return d.pick().PositionAt(ctx, t)
}
func (d deal) Archived(ctx context.Context) (es.Position, error) { return d.pick().Archived(ctx) }

// Forget ends when both have heard of it; until then the other one may still give what it has in memory.
func (d deal) Forget(ctx context.Context, upTo es.Position) error {
	err := d.pick().Forget(ctx, upTo)
	for _, s := range []*Store{d.Store, d.other} {
		if err != nil {
			break
		}
		waiting, stop := context.WithCancel(ctx)
		ended := context.AfterFunc(s.life, stop)
		if err = s.archived.Wait(waiting, upTo); s.life.Err() != nil {
			err = ports.ErrStoreClosed
		}
		ended()
		stop()
	}
	return err
}
func (d deal) Outcome(ctx context.Context, key string) (*ports.Outcome, error) {
	return d.pick().Outcome(ctx, key)
}
func (d deal) Wait(ctx context.Context, past es.Position) error { return d.pick().Wait(ctx, past) }
func (d deal) Checkpoint(ctx context.Context, name string) (es.Position, error) {
	return d.pick().Checkpoint(ctx, name)
}
func (d deal) SaveCheckpoint(ctx context.Context, name string, token ports.Token, p es.Position) error {
	return d.pick().SaveCheckpoint(ctx, name, token, p)
}
func (d deal) Lease(ctx context.Context, name, holder string, ttl time.Duration) (ports.Token, error) {
	return d.pick().Lease(ctx, name, holder, ttl)
}
func (d deal) Release(ctx context.Context, name string, token ports.Token) error {
	return d.pick().Release(ctx, name, token)
}
func (d deal) Close() error {
	_ = d.other.Close()
	return d.Store.Close()
}

func TestTwoStoresOnOneDatabaseKeepTheContractOfOne(t *testing.T) {
	faulttable.Covers(t, "F27", faulttable.PostgreSQL)
	noLeaks(t)
	contract.Store(t, func(t *testing.T) ports.Store {
		one := open(t, Options{forgetStep: 7})
		return deal{one, open(t, Options{Schema: one.options.Schema, forgetStep: 5}), &atomic.Int64{}}
	})
}

func TestAnOutcomeIsKeptWhetherItsKeyWasAskedForOrNot(t *testing.T) {
	s := open(t, Options{})
	for round, keys := range [][]string{{"a", "b"}, {"b", "c"}, {"a", "d", "d"}} {
		u, err := s.Begin(patience(t), ports.Needs{Keys: keys[:2]})
		if err != nil {
			t.Fatal(err)
		}
		var batch ports.Batch
		for i, key := range keys {
			batch.Outcomes = append(batch.Outcomes, ports.Outcome{Key: key, RecordedAt: start, Body: fmt.Append(nil, round, i)})
		}
		if err := u.Commit(patience(t), batch); err != nil {
			t.Fatal(err)
		}
	}
	for key, want := range map[string]string{"a": "2 0", "b": "1 0", "c": "1 1", "d": "2 2"} {
		if o, err := s.Outcome(patience(t), key); err != nil || o == nil || string(o.Body) != want {
			t.Errorf("%s: %+v, %v; want %s", key, o, err, want)
		}
	}
}

// As through a pooler that gives every transaction another session.
func TestWithoutPreparedStatementsTheStoreWorksAsWell(t *testing.T) {
	s := open(t, Options{URL: servers.Postgres(t) + "&default_query_exec_mode=cache_describe"})
	for range 3 {
		mustWrite(t, s)
	}
	if events, err := s.ReadFeed(patience(t), 0, 10); err != nil || len(events) != 3 {
		t.Errorf("%d events, %v", len(events), err)
	}
	wantHead(t, s, 3)
}
