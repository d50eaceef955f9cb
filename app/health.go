package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"daybook/adapters/httpapi"
	"daybook/core/engine"
	"daybook/core/fault"
)

// checkWithin is how long each dependency may take to say how it is.
const checkWithin = time.Second

// dependency is a part that a process works with, and how it is asked how it is.
type dependency struct {
	name   string
	needed bool
	ask    func(context.Context) (ok bool, detail string, err error)
}

// dependencies says how the store stands and, with all, views, bus and the archive, if there is one. All are asked at once, each within
// its own time: one that is down or silent hides no other. Only the store is needed: commands and history go on without the others.
func dependencies(ctx context.Context, o engine.Options, all bool) []httpapi.Check {
	parts := partsOf(o)
	if !all {
		parts = slices.DeleteFunc(parts, func(d dependency) bool { return !d.needed })
	}
	checks := make([]httpapi.Check, len(parts))
	var asked sync.WaitGroup
	for i, d := range parts {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkWithin)
			defer cancel()
			ok, detail, err := d.ask(ctx)
			switch {
			case ctx.Err() != nil:
				ok, detail = false, "does not answer within "+checkWithin.String()
			case err != nil:
				ok, detail = false, fault.Of(err).Msg
			}
			checks[i] = httpapi.Check{Name: d.name, Needed: d.needed, OK: ok, Detail: detail}
		})
	}
	asked.Wait()
	return checks
}

// partsOf is what a process works with, what it needs first.
func partsOf(o engine.Options) []dependency {
	parts := []dependency{
		{"store", true, func(ctx context.Context) (bool, string, error) {
			head, err := o.Store.Head(ctx)
			return true, fmt.Sprintf("head at position %d", head), err
		}},
		{"views", false, func(ctx context.Context) (bool, string, error) {
			progress, err := o.Views.Progress(ctx)
			if err != nil {
				return false, "", err
			}
			detail := fmt.Sprintf("at position %d", progress.Checkpoint)
			if !progress.Open {
				return false, detail + ", being built", nil
			}
			_, parked, err := o.Views.Parked(ctx, 1)
			if parked > 0 {
				detail += fmt.Sprintf(", %d parked", parked)
			}
			return parked == 0, detail, err
		}},
		{"bus", false, func(context.Context) (bool, string, error) { return true, "", o.Bus.Healthy() }},
	}
	if o.Archive != nil {
		parts = append(parts, dependency{"archive", false, func(ctx context.Context) (bool, string, error) { return true, "", o.Archive.Healthy(ctx) }})
	}
	return parts
}
