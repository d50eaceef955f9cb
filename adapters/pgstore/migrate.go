package pgstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"daybook/core/fault"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrationLock is the session lock that lets one process at a time migrate.
const migrationLock = 1749700000

// migrateTimeout bounds a migration, and how long other processes wait for it.
const migrateTimeout = 10 * time.Minute

// tablePatience is how long a migration waits for a table at a time. While it waits for somebody who reads for long, such as pg_dump, all
// who come after it wait too; so it steps back, lets them pass, and tries again after tableRest.
const (
	tablePatience = 500 * time.Millisecond
	tableRest     = 4 * tablePatience
)

// errMigration: the tables could not be brought up to this build.
var errMigration = fault.New(fault.Internal, "store_migration", "The tables of the store could not be brought up to this build.")

// migrate brings the schema up to this build. Every migration is one transaction: a start that was killed in the middle
// has left the one before or the one after.
func (s *Store) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	db := stdlib.OpenDB(*s.config)
	defer db.Close()
	if err := s.createSchema(ctx, db); err != nil {
		return err
	}
	migrations, err := s.migrations()
	if err != nil {
		return errMigration.Because(err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, uint64(migrateTimeout/time.Second)))
	if err != nil {
		return errMigration.Because(err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, nil, goose.WithGoMigrations(migrations...), goose.WithDisableGlobalRegistry(true),
		goose.WithTableName(s.sql.migrationsTable), goose.WithSessionLocker(locker))
	if err != nil {
		return errMigration.Because(err)
	}
	if err := s.migrateWith(ctx, provider); err != nil {
		return s.unmigrated(ctx, err)
	}
	current, target, err := provider.GetVersions(ctx)
	switch {
	case err != nil:
		return s.unmigrated(ctx, err)
	case current > target:
		return errMigration.Say("The %s was migrated by a newer Daybook (schema %s is at version %d, this build knows %d): use that or a later build.",
			s.place, s.options.Schema, current, target)
	}
	return nil
}

// migrateWith does what is pending. A migration that finds a table in use is tried again, until ctx ends.
func (s *Store) migrateWith(ctx context.Context, provider *goose.Provider) error {
	for {
		pending, err := provider.HasPending(ctx)
		if err == nil && pending {
			_, err = provider.Up(ctx)
		}
		var known *pgconn.PgError
		if !errors.As(err, &known) || known.Code != "55P03" {
			return err
		}
		s.options.Logf("a migration waits until nobody uses the tables any more who was there before it; all others go on meanwhile")
		if !s.retryAfter(ctx, tableRest) {
			return err
		}
	}
}

// createSchema makes the schema if there is none. Of several who try at once one succeeds and the others find it there.
func (s *Store) createSchema(ctx context.Context, db *sql.DB) error {
	for {
		var there bool
		if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, s.options.Schema).Scan(&there); err != nil {
			return s.unmigrated(ctx, err)
		}
		if there {
			return nil
		}
		_, err := db.ExecContext(ctx, `CREATE SCHEMA `+s.options.Schema)
		var known *pgconn.PgError
		if err == nil || errors.As(err, &known) && (known.Code == "42P06" || known.Code == "23505") { // somebody else was faster
			continue
		}
		return s.unmigrated(ctx, err)
	}
}

// migrations are the embedded files, in order, with the schema put in.
func (s *Store) migrations() ([]*goose.Migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	var all []*goose.Migration
	for _, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, err
		}
		text, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		statements := fmt.Sprintf("SET LOCAL lock_timeout = %d;\n%s", tablePatience.Milliseconds(), inSchema(string(text), s.options.Schema))
		all = append(all, goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, statements)
			// gofail: var midMigration struct{}
			return err
		}}, nil))
	}
	return all, nil
}

// unmigrated is the fault for an error of a migration.
func (s *Store) unmigrated(ctx context.Context, err error) error {
	f := fault.Of(s.failed(ctx, err))
	var known *pgconn.PgError
	if f.Kind == fault.Unavailable && !errors.As(err, &known) {
		return f
	}
	why := reason(err)
	return errMigration.Say("The tables in schema %s of the %s could not be brought up to this build: %s. Nothing was half done: "+
		"mend the cause and start again.", s.options.Schema, s.place, why).Because(err)
}
