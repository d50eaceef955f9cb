package acceptance

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/jackc/pgx/v5"

	"daybook/app"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/test/servers"
)

// readByAuditors runs a guarded Daybook in which an auditor reads, and stops it.
func readByAuditors(t *testing.T, on func(*app.Config)) app.Config {
	t.Helper()
	var config app.Config
	var key string
	d := begin(t, func(c *app.Config) {
		on(c)
		key = keyFor(t, c, "otto", access.Auditor)
		c.Auth.Mode = "required"
		config = *c
	})
	for range 3 {
		d.get("/v1/accounts/acc-1/events", "Authorization", "Bearer "+key, "Audit-Reason", "case 17").want(t, http.StatusNotFound)
	}
	d.stop()
	return config
}

// verifyAccess checks the access ledger of a configuration, as daybook verify --access does.
func verifyAccess(t *testing.T, c app.Config) error {
	t.Helper()
	store, err := app.OpenAccessStore(c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer store.Close()
	return (&engine.Verification{History: engine.StoreHistory{Store: store}}).Run(t.Context())
}

func wantTampered(t *testing.T, what string, err error) {
	t.Helper()
	var tampered *engine.TamperedError
	if !errors.As(err, &tampered) {
		t.Errorf("what was read was %s, and the ledger verifies: %v", what, err)
	}
}

func TestWhoEditsOrDeletesWhatAuditorsReadInPebbleIsFoundOut(t *testing.T) {
	c := readByAuditors(t, onPebble(t.TempDir()))
	if err := verifyAccess(t, c); err != nil {
		t.Fatal(err)
	}
	change := func(f func(db *pebble.DB, key, value []byte) error) {
		db, err := pebble.Open(c.Store.Pebble.Path+app.AccessSuffix, &pebble.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.NewIter(nil)
		if err != nil {
			t.Fatal(err)
		}
		changed := false
		for rows.First(); rows.Valid() && !changed; rows.Next() {
			if bytes.Contains(rows.Value(), []byte(`"outcome":"read"`)) {
				changed = true
				if err := f(db, bytes.Clone(rows.Key()), bytes.Clone(rows.Value())); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := errors.Join(rows.Close(), db.Close()); err != nil || !changed {
			t.Fatal(changed, err)
		}
	}
	var at, whole []byte
	change(func(db *pebble.DB, key, value []byte) error {
		at, whole = key, value
		return db.Set(key, bytes.Replace(value, []byte("case 17"), []byte("case 18"), 1), pebble.Sync)
	})
	wantTampered(t, "edited", verifyAccess(t, c))
	change(func(db *pebble.DB, _, _ []byte) error { return db.Set(at, whole, pebble.Sync) })
	if err := verifyAccess(t, c); err != nil {
		t.Fatal(err)
	}
	change(func(db *pebble.DB, key, _ []byte) error { return db.Delete(key, pebble.Sync) })
	wantTampered(t, "deleted", verifyAccess(t, c))
}

func TestWhoEditsOrDeletesWhatAuditorsReadInPostgreSQLIsFoundOut(t *testing.T) {
	url := servers.PostgresDatabase(t)
	c := readByAuditors(t, func(c *app.Config) { c.Store.Driver, c.Store.Postgres.URL = "postgres", url })
	if err := verifyAccess(t, c); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	change := func(statement string) {
		err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `SELECT set_config('daybook_access.archive', 'on', true), set_config('daybook_access.unit', 'on', true)`); err != nil {
				return err
			}
			done, err := tx.Exec(t.Context(), statement+` WHERE position = (SELECT min(position) FROM daybook_access.events WHERE data LIKE '%"outcome":"read"%')`)
			if err == nil && done.RowsAffected() != 1 {
				err = errors.New("nothing was changed")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	change(`UPDATE daybook_access.events SET data = replace(data, 'case 17', 'case 18')`)
	wantTampered(t, "edited", verifyAccess(t, c))
	change(`UPDATE daybook_access.events SET data = replace(data, 'case 18', 'case 17')`)
	if err := verifyAccess(t, c); err != nil {
		t.Fatal(err)
	}
	change(`DELETE FROM daybook_access.events`)
	wantTampered(t, "deleted", verifyAccess(t, c))
}

func TestTheAccessLedgerIsMadeWhenItIsFirstNeededWhereNobodyIsAsked(t *testing.T) {
	dir := t.TempDir()
	place := filepath.Join(dir, "store") + app.AccessSuffix
	d := begin(t, onPebble(dir))
	d.get("/v1/status").want(t, http.StatusOK)
	d.get("/v1/accounts/acc-1/events").want(t, http.StatusNotFound)
	if _, err := os.Stat(place); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("there is an access ledger that nobody needs: %v", err)
	}
	d.post("/v1/admin/rebuild", "").want(t, http.StatusAccepted)
	if got := d.get("/v1/admin/audit").want(t, http.StatusOK).member("items.0.action"); got != "POST /v1/admin/rebuild" {
		t.Errorf("the audit log begins with %v", got)
	}
	if _, err := os.Stat(place); err != nil {
		t.Error(err)
	}
}

func TestCheckpointsOfTheAccessLedgerAreKeptAndToldApart(t *testing.T) {
	c := readByAuditors(t, onPebble(t.TempDir()))
	notes, key, err := app.KeptCheckpoints(c, app.AccessSuffix)
	if err != nil || len(notes) == 0 || key == "" {
		t.Fatalf("%d checkpoints are kept: %v", len(notes), err)
	}
	accounts, _, err := app.KeptCheckpoints(c, "")
	if err != nil || len(accounts) != 0 { // nothing was written there
		t.Errorf("%d checkpoints of accounts are kept: %v", len(accounts), err)
	}
	if !bytes.HasPrefix([]byte(notes[len(notes)-1]), []byte("daybook/access\n4\n")) { // a key, and three times reading
		t.Errorf("got %s", notes[len(notes)-1])
	}
}
