package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"daybook/adapters/archive"
	"daybook/core/ports"
)

// Ledger is the store that a configuration names, with its archive behind it.
type Ledger struct {
	Store   ports.Store
	Archive ports.Archive // nil: none

	attached *archive.Attached // the same
}

// OpenLedger opens the store that the configuration names and its archive, for a command that needs nothing else, but both of them. The
// caller closes it.
func OpenLedger(c Config, log *slog.Logger) (Ledger, error) {
	l, err := openLedger(parts{config: c, log: log, failed: func(error) {}})
	if err == nil && l.Archive != nil {
		if err = l.Archive.Healthy(context.Background()); err != nil {
			return Ledger{}, errors.Join(fmt.Errorf("archive.url: %w", err), l.Close())
		}
	}
	return l, err
}

// openLedger opens the store, and the archive unless that is out of reach: awaitArchive goes on with it then. One that is there and is
// not that of the store is refused.
func openLedger(p parts) (l Ledger, err error) {
	store, err := open("store", stores, p.config.Store.Driver, p)
	if err != nil {
		return l, err
	}
	l.Store = store
	if address := p.config.Archive.URL; address != "" {
		l.attached = archive.Attach(store, address)
		l.Archive = l.attached
		err = tryArchive(context.Background(), l.attached)
	} else {
		err = archive.Match(context.Background(), store, nil)
	}
	if err != nil && (l.Archive == nil || !errors.Is(err, ports.ErrArchiveUnavailable)) {
		return Ledger{}, errors.Join(fmt.Errorf("archive.url: %w", err), l.Close())
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

// archiveWithin is how long an archive may take to answer a try; the pauses between them grow from the first to the last.
const (
	archiveWithin     = 10 * time.Second
	firstArchivePause = time.Second
	lastArchivePause  = 16 * time.Second
)

func tryArchive(ctx context.Context, a *archive.Attached) error {
	ctx, cancel := context.WithTimeout(ctx, archiveWithin)
	defer cancel()
	return a.Try(ctx)
}

// awaitArchive has an archive that is out of reach tried until it is there: at the start, and whenever it is lost.
func (a *App) awaitArchive(ctx context.Context) {
	if a.archive == nil {
		return
	}
	for err := tryArchive(ctx, a.archive); ctx.Err() == nil; {
		if err != nil {
			a.reachArchive(ctx, err)
		}
		select {
		case err = <-a.archive.Lost():
		case <-ctx.Done():
		}
	}
}

// reachArchive tries the archive until it is there. A wrong one is tried on too, so that the right one can be put in its place.
func (a *App) reachArchive(ctx context.Context, err error) {
	for pause := firstArchivePause; err != nil; pause = min(2*pause, lastArchivePause) {
		a.tellOfArchive(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		if err = tryArchive(ctx, a.archive); ctx.Err() != nil {
			return
		}
	}
	a.log.Info("the archive is there, and is that of this ledger")
}

// tellOfArchive says why an archive is not used.
func (a *App) tellOfArchive(err error) {
	if !errors.Is(err, ports.ErrArchiveUnavailable) && !errors.Is(err, ports.ErrStoreUnavailable) {
		a.log.Error("the archive is refused: nothing is read from it, and nothing is moved to it", "error", err)
	}
	a.engine.Observer.Failed("reach the archive", err)
}
