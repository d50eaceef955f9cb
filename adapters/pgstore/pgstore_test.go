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

	"daybook/core/ports"
	"daybook/test/contract"
)

func noLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func testURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("DAYBOOK_TEST_POSTGRES_URL")
	if url == "" {
		t.Skip("DAYBOOK_TEST_POSTGRES_URL is not set")
	}
	return url
}

var schemas atomic.Int64

// schema gives the name of a schema that is not there yet, and removes it after the test.
func schema(t testing.TB) string {
	url := testURL(t)
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), schemas.Add(1))
	t.Cleanup(func() {
		execute(t, url, `DROP SCHEMA IF EXISTS `+name+` CASCADE`)
	})
	return name
}

// execute runs statements on a connection of their own.
func execute(t testing.TB, url string, sql string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.URL == "" {
		o.URL = testURL(t)
	}
	if o.Schema == "" {
		o.Schema = schema(t)
	}
	if o.Logf == nil {
		o.Logf = func(format string, args ...any) { t.Logf(format, args...) }
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	noLeaks(t)
	contract.Store(t, func(t *testing.T) ports.Store { return open(t, Options{}) })
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
		return open(t, Options{Schema: string(kept), UnitTimeout: 10 * time.Second})
	})
}
