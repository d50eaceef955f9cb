package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"daybook/adapters/httpapi"
	"daybook/adapters/pebblestore"
	"daybook/core/access"
	"daybook/core/ports"
)

// Backup says what a backup holds.
type Backup = httpapi.Backup

// BackUp copies the configured store, which must be the embedded one and not in use, and the access ledger beside it, if there is one.
func BackUp(ctx context.Context, c Config, log *slog.Logger, dir string) (b Backup, err error) {
	ledger, err := OpenLedger(c, log)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	main, ok := ledger.Store.(ports.BackupStore)
	if !ok {
		return b, ports.ErrBackupElsewhere
	}
	if !there(c.Store.Pebble.Path + AccessSuffix) {
		return backUp(ctx, main.Backup, nil, dir)
	}
	beside, err := OpenAccessStore(c, log)
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, beside.Close()) }()
	return backUp(ctx, main.Backup, beside, dir)
}

// backUp copies the stores of this process.
func (a *App) backUp(ctx context.Context, dir string) (Backup, error) {
	if _, err := access.Of(ctx).Grant(access.Backup); err != nil {
		return Backup{}, err
	}
	if a.config.Store.Driver != "pebble" || !there(a.config.Store.Pebble.Path+AccessSuffix) {
		return backUp(ctx, a.engine.Backup, nil, dir)
	}
	beside, err := a.access.opened()
	if err != nil {
		return Backup{}, err
	}
	return backUp(ctx, a.engine.Backup, beside.store, dir)
}

// backUp copies the access ledger first: where there is a backup of the accounts' ledger, that of the other is there too.
func backUp(ctx context.Context, main func(context.Context, string) (ports.Backup, error), beside ports.Store, dir string) (b Backup, err error) {
	if second, ok := beside.(ports.BackupStore); ok {
		held, err := second.Backup(ctx, dir+AccessSuffix)
		if err != nil {
			return b, err
		}
		b.Access = &held
	}
	if b.Backup, err = main(ctx, dir); err != nil && b.Access != nil {
		err = errors.Join(err, os.RemoveAll(dir+AccessSuffix))
	}
	return b, err
}

// Restore makes the configured store, which must be the embedded one and empty, out of a backup of it, and the access ledger beside it, if the
// backup has one.
func Restore(c Config, backup string) (b Backup, err error) {
	if c.Store.Driver != "pebble" {
		return b, ports.ErrBackupElsewhere
	}
	place, both := c.Store.Pebble.Path, there(backup+AccessSuffix)
	if both { // before anything is done
		if entries, err := os.ReadDir(place + AccessSuffix); err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return b, ports.ErrBackupRefused.Say("The directory %s is not empty; a backup is restored into an empty place. Nothing was done.", place+AccessSuffix).Because(err)
		}
	}
	if b.Backup, err = pebblestore.Restore(backup, place); err != nil || !both {
		return b, err
	}
	held, err := pebblestore.Restore(backup+AccessSuffix, place+AccessSuffix)
	b.Access = &held
	return b, err
}

// there reports whether there is anything at the path.
func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
