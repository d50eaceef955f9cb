package app

import (
	"log/slog"

	"daybook/core/ports"
)

// OpenStore opens the configured store alone, for work on it while no server has it. The caller closes it.
func OpenStore(c Config, log *slog.Logger) (ports.Store, error) {
	return open("store", stores, c.Store.Driver, parts{config: c, log: log, failed: func(error) {}})
}
