package app

import (
	"fmt"
	"maps"
	"slices"

	"daybook/adapters/membus"
	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/adapters/pebblestore"
	"daybook/adapters/watermillbus"
	"daybook/core/ports"
)

// The closed tables of drivers: what a driver setting may be, and how the adapter is made. They are data, checked by the
// compiler; nothing registers itself. Their keys feed checks, help and messages.
var (
	stores = map[string]func(parts) (ports.Store, error){
		"memory": func(parts) (ports.Store, error) { return memstore.New(), nil },
		"pebble": func(p parts) (ports.Store, error) {
			return pebblestore.Open(pebblestore.Options{
				Dir:       p.config.Store.Pebble.Path,
				Logf:      func(format string, args ...any) { p.log.Warn(fmt.Sprintf("store: "+format, args...)) },
				OnFailure: p.failed,
			})
		},
	}
	buses = map[string]func(parts) (ports.Bus, error){
		"memory": func(p parts) (ports.Bus, error) {
			return watermillbus.New(membus.New(membus.Options{}), watermillbus.Options{Log: p.log})
		},
	}
	views = map[string]func(parts) (ports.Views, error){
		"memory": func(p parts) (ports.Views, error) { return memviews.New(p.registry), nil },
	}
)

// names gives the drivers of a table, for checks and messages.
func names[P any](table map[string]func(parts) (P, error)) func() []string {
	return func() []string { return slices.Sorted(maps.Keys(table)) }
}

// open makes the adapter of a port that the configuration names.
func open[P any](port string, table map[string]func(parts) (P, error), driver string, p parts) (P, error) {
	adapter, err := table[driver](p)
	if err != nil {
		return adapter, fmt.Errorf("%s.driver %s: %w", port, driver, err)
	}
	return adapter, nil
}
