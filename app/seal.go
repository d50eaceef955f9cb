package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"daybook/adapters/notary"
	"daybook/core/es"
	"daybook/core/ports"
)

// sealPath is the folder of the notary; "" when its key ends with the process.
func (c *Config) sealPath() string {
	if c.Seal.Path == "" && c.Store.Driver == "pebble" {
		return c.Store.Pebble.Path + ".seal"
	}
	return c.Seal.Path
}

func openNotary(c Config) (*notary.Notary, error) {
	if path := c.sealPath(); path != "" {
		n, err := notary.Open(path, c.Seal.Origin)
		if err != nil {
			return nil, fmt.Errorf("seal.path: %w", err)
		}
		return n, nil
	}
	return notary.New(c.Seal.Origin)
}

// checkpointEvery is how often a checkpoint is kept while there is anything new.
const checkpointEvery = time.Minute

// accessOrigin is what the name of the access ledger in its checkpoints has more than that of the accounts' ledger.
const accessOrigin = "/access"

// keepCheckpoints keeps checkpoints of both ledgers now and then, and when ctx ends.
func (a *App) keepCheckpoints(ctx context.Context) {
	if a.config.sealPath() == "" {
		return
	}
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	var accounts, beside es.Position
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		whole := context.WithoutCancel(ctx)
		accounts = a.keepCheckpoint(whole, "", accounts, a.engine.Store)
		if l := a.access.ledger.Load(); l != nil {
			beside = a.keepCheckpoint(whole, AccessSuffix, beside, l.store)
		}
	}
}

// keepCheckpoint keeps a checkpoint of a store that has grown since the one before, and gives how far the last one goes.
func (a *App) keepCheckpoint(ctx context.Context, ledger string, before es.Position, store ports.Store) es.Position {
	tree, err := store.Tree(ctx)
	if err == nil && tree.Size == before {
		return before
	}
	if err == nil {
		c := es.Checkpoint{Origin: a.notary.Origin(), Size: tree.Size, Root: tree.Root(), At: a.engine.Now().UTC()}
		if ledger == AccessSuffix {
			c.Origin += accessOrigin
		}
		var signed string
		if signed, err = a.notary.Sign(c.Text()); err == nil {
			err = a.notary.Keep(ledger, signed)
		}
	}
	if err == nil {
		return tree.Size
	}
	if !errors.Is(err, ports.ErrStoreUnavailable) {
		a.log.Warn("no checkpoint was kept", "error", err)
	}
	return before
}

// KeptCheckpoints gives the notes that were kept of a ledger, "" for that of accounts or AccessSuffix, where the configuration says, and the key
// that checks them.
func KeptCheckpoints(c Config, ledger string) (notes []string, key string, err error) {
	path := c.sealPath()
	if path == "" {
		return nil, "", nil
	}
	return notary.Kept(path, ledger)
}

// OfAccess reports whether a checkpoint is one of an access ledger.
func OfAccess(c es.Checkpoint) bool { return strings.HasSuffix(c.Origin, accessOrigin) }
