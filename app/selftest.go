package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"daybook/adapters/pgstore"
	"daybook/app/selftest"
	"daybook/core/es"
	"daybook/core/ports"
)

// SelfTest tries what Daybook promises on a scratch ledger of the configured store: a folder beside the embedded store, a schema of its own in the
// database. It is removed afterwards. The configured ledger is not touched, and may be in use.
func SelfTest(ctx context.Context, c Config, log *slog.Logger) (results []selftest.Result, err error) {
	registry, err := es.NewRegistry(modules(c)...)
	if err != nil {
		return nil, err
	}
	p := parts{config: c, log: log, registry: registry, failed: func(error) {}}
	remove, err := p.toScratch()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	return selftest.Run(ctx, selftest.Place{
		Registry: registry, Forgets: c.Store.Driver == "memory",
		Open: func() (ports.Store, error) { return open("store", stores, c.Store.Driver, p) },
	})
}

// toScratch leads the parts to a place of their own, which the function it gives back removes.
func (p *parts) toScratch() (remove func() error, err error) {
	switch p.config.Store.Driver {
	case "pebble":
		beside := filepath.Dir(filepath.Clean(p.config.Store.Pebble.Path))
		if err := os.MkdirAll(beside, 0o700); err != nil {
			return nil, fmt.Errorf("store.pebble.path: %w", err)
		}
		dir, err := os.MkdirTemp(beside, "daybook-selftest-")
		if err != nil {
			return nil, fmt.Errorf("store.pebble.path: %w", err)
		}
		p.config.Store.Pebble.Path = filepath.Join(dir, "store")
		return func() error { return os.RemoveAll(dir) }, nil
	case "postgres":
		p.schema, p.connections = pgstore.ScratchPrefix+strings.ToLower(rand.Text()[:12]), 4
		o := pgstore.Options{URL: p.config.Store.Postgres.URL, Schema: p.schema}
		return func() error { return pgstore.RemoveScratch(context.Background(), o) }, nil
	}
	return func() error { return nil }, nil
}
