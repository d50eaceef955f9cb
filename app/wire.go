package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"daybook/adapters/elasticviews"
	"daybook/adapters/membus"
	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/adapters/msgapi"
	"daybook/adapters/pebblestore"
	"daybook/adapters/pgstore"
	"daybook/adapters/rabbitbus"
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
				Logf:      p.warn("store"),
				OnFailure: p.failed,
			})
		},
		"postgres": func(p parts) (ports.Store, error) {
			return pgstore.Open(context.Background(), pgstore.Options{URL: p.config.Store.Postgres.URL, Schema: p.schema, MaxConns: p.connections, Logf: p.warn("store")})
		},
	}
	buses = map[string]func(parts) (ports.Bus, error){
		"memory": func(p parts) (ports.Bus, error) {
			return watermillbus.New(membus.New(membus.Options{}), watermillbus.Options{Log: p.log})
		},
		"rabbitmq": func(p parts) (ports.Bus, error) {
			c := p.config.Bus.RabbitMQ
			commands := msgapi.Topic(c.Prefix)
			broker, err := rabbitbus.Open(context.Background(), rabbitbus.Options{
				URL: c.URL, Prefix: c.Prefix + ".", Log: p.log,
				Durable:       []ports.Subscription{{Topic: commands, Name: msgapi.Subscriber}, {Topic: ports.DeadLetters(commands), Name: "dead"}},
				DeliveryLimit: map[string]int{commands: deliveryLimit},
			})
			if err != nil {
				return nil, err
			}
			return watermillbus.New(broker, watermillbus.Options{Log: p.log})
		},
	}
	views = map[string]func(parts) (ports.Views, error){
		"memory": func(p parts) (ports.Views, error) {
			v, err := memviews.Open(memviews.Options{Registry: p.registry, Dir: p.config.viewsPath(), Failed: p.observer.Failed})
			if err != nil {
				return nil, fmt.Errorf("views.memory.path: %w", err)
			}
			return v, nil
		},
		"elasticsearch": func(p parts) (ports.Views, error) {
			c := p.config.Views.Elasticsearch
			return elasticviews.Open(context.Background(), elasticviews.Options{URL: c.URL, Prefix: c.Prefix, Registry: p.registry, Logf: p.warn("views")})
		},
	}
)

// viewsPath is the folder of the views in memory; "" when they are not kept.
func (c *Config) viewsPath() string {
	switch path := c.Views.Memory.Path; {
	case path == "none":
		return ""
	case path == "" && c.Store.Driver == "pebble":
		return c.Store.Pebble.Path + ".views"
	default:
		return path
	}
}

// deliveryLimit is how often a command may be given to a process that dies over it before it goes to the dead letters. A
// process that is stopped, or loses its connection, counts too.
const deliveryLimit = 20

// warn logs what an adapter has to tell.
func (p parts) warn(port string) func(format string, args ...any) {
	return func(format string, args ...any) { p.log.Warn(port + ": " + fmt.Sprintf(format, args...)) }
}

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
