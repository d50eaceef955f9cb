package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"daybook/adapters/notary"
	"daybook/core/access"
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

// keepCheckpoints keeps a checkpoint now and then, and when ctx ends.
func (a *App) keepCheckpoints(ctx context.Context) {
	if a.config.sealPath() == "" {
		return
	}
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	var kept es.Position
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		c, signed, err := a.engine.Checkpoint(access.As(context.WithoutCancel(ctx), access.Local))
		if err == nil && c.Size != kept {
			err = a.notary.Keep(signed)
			kept = c.Size
		}
		if err != nil && !errors.Is(err, ports.ErrStoreUnavailable) {
			a.log.Warn("no checkpoint was kept", "error", err)
		}
	}
}

// KeptCheckpoints gives the notes that were kept where the configuration says, and the key that checks them.
func KeptCheckpoints(c Config) (notes []string, key string, err error) {
	path := c.sealPath()
	if path == "" {
		return nil, "", nil
	}
	return notary.Kept(path)
}
