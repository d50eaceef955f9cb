package app

import (
	"daybook/adapters/pebblestore"
	"daybook/core/ports"
)

// Restore makes the configured store, which must be the embedded one and empty, out of a backup of it.
func Restore(c Config, backup string) (ports.Backup, error) {
	if c.Store.Driver != "pebble" {
		return ports.Backup{}, ports.ErrBackupElsewhere
	}
	return pebblestore.Restore(backup, c.Store.Pebble.Path)
}
