package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"daybook/adapters/archive"
	"daybook/core/ports"
)

// Ledger is the store that a configuration names, with its archive behind it.
type Ledger struct {
	Store   ports.Store
	Archive ports.Archive // nil: none
}

// OpenLedger opens the store that the configuration names and its archive, for a command that needs nothing else. The caller closes it.
func OpenLedger(c Config, log *slog.Logger) (Ledger, error) {
	return openLedger(parts{config: c, log: log, failed: func(error) {}})
}

func openLedger(p parts) (l Ledger, err error) {
	store, err := open("store", stores, p.config.Store.Driver, p)
	if err != nil {
		return l, err
	}
	l.Store = store
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
			l = Ledger{}
		}
	}()
	var a *archive.Archive
	if address := p.config.Archive.URL; address != "" {
		if a, err = archive.Open(context.Background(), address); err != nil {
			return l, fmt.Errorf("archive.url: %w", err)
		}
		l.Archive = a
	}
	if err := archive.Match(context.Background(), store, a); err != nil {
		return l, fmt.Errorf("archive.url: %w", err)
	}
	l.Store = archive.Over(store, l.Archive)
	return l, nil
}

// Close closes the store, and then the archive.
func (l Ledger) Close() error {
	err := l.Store.Close()
	if l.Archive != nil {
		err = errors.Join(err, l.Archive.Close())
	}
	return err
}
