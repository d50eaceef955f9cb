package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"daybook/core/es"
)

// Reactor does something in the world when events happen, such as to send a notification. It gets each event at least
// once, in position order, from a checkpoint of its own: after a crash it may get some again, so what it does should bear
// that, and the position tells them apart. Filling views anew shows it nothing. Of several processes one runs it at a time.
type Reactor struct {
	Name  string    // for ever: its checkpoint is kept under it
	Types []string  // of the events it gets; none means all
	Since time.Time // events recorded before it are passed over, so that a reactor that is new does not react to old history
	// React takes one event. While it fails the event comes again, after pauses that grow, and those behind it wait: what can
	// never succeed React must let pass.
	React func(ctx context.Context, e *es.Recorded) error
}

// reactorPage is how many events a reactor reads at a time.
const reactorPage = 256

// follower is what shows the feed to the reactor.
func (r *Reactor) follower(e *Engine) *follower {
	return &follower{
		Engine: e, name: reactorPrefix + r.Name, work: "reactor " + r.Name, page: reactorPage,
		take: func(ctx context.Context, events []es.Recorded) (int, error) {
			for i := range events {
				if err := r.see(ctx, &events[i]); err != nil {
					return i, err
				}
			}
			return len(events), nil
		},
	}
}

func (r *Reactor) see(ctx context.Context, event *es.Recorded) (err error) {
	if event.RecordedAt.Before(r.Since) || len(r.Types) > 0 && !slices.Contains(r.Types, event.Type) {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("engine: the reactor panicked at %s: %v\n%s", event.Position.EventID(), p, debug.Stack())
		}
	}()
	return r.React(ctx, event)
}
