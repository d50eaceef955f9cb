package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"daybook/adapters/httpapi"
	"daybook/core/engine"
	"daybook/core/fault"
)

// checkWithin is how long each dependency may take to say how it is.
const checkWithin = time.Second

// dependencies says how store, views and bus stand. All are asked at once, each within its own time: one that is down or
// silent hides no other. Only the store is needed: commands and history go on without the others.
func dependencies(ctx context.Context, o engine.Options) []httpapi.Check {
	checks := []httpapi.Check{{Name: "store", Needed: true}, {Name: "views"}, {Name: "bus"}}
	questions := [...]func(context.Context) (ok bool, detail string, err error){
		func(ctx context.Context) (bool, string, error) {
			head, err := o.Store.Head(ctx)
			return true, fmt.Sprintf("head at position %d", head), err
		},
		func(ctx context.Context) (bool, string, error) {
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
		},
		func(context.Context) (bool, string, error) { return true, "", o.Bus.Healthy() },
	}
	var asked sync.WaitGroup
	for i, question := range questions {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkWithin)
			defer cancel()
			ok, detail, err := question(ctx)
			switch {
			case ctx.Err() != nil:
				ok, detail = false, "does not answer within "+checkWithin.String()
			case err != nil:
				ok, detail = false, fault.Of(err).Msg
			}
			checks[i].OK, checks[i].Detail = ok, detail
		})
	}
	asked.Wait()
	return checks
}
