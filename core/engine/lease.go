package engine

import (
	"context"
	"errors"
	"time"

	"daybook/core/ports"
)

// A lease ends leaseTTL after it was last prolonged, which is tried every leasePace: work passes to another process within
// the sum of both after its holder has died. A holder that cannot prolong it stops one pace before it ends.
const (
	leaseTTL  = 2 * time.Second
	leasePace = 500 * time.Millisecond
)

// lead does the work whenever this process holds the lease of the name, until ctx ends. The context of the work ends when
// the lease does; should the work go on regardless, its token is refused.
func (e *Engine) lead(ctx context.Context, name string, work func(ctx context.Context, token ports.Token)) {
	for failures := 0; ctx.Err() == nil; {
		asked := time.Now()
		token, err := e.Store.Lease(ctx, name, e.Process, leaseTTL)
		switch {
		case err == nil:
			failures = 0
			e.hold(ctx, name, token, asked, work)
			continue
		case errors.Is(err, ports.ErrLeaseHeld):
			failures = 0
			pause(ctx, leasePace)
			continue
		case ctx.Err() == nil:
			e.Observer.Failed("take the lease "+name, err)
		}
		pause(ctx, backoff(failures))
		failures++
	}
}

// hold does the work while the lease can be prolonged, and then gives the lease back.
func (e *Engine) hold(ctx context.Context, name string, token ports.Token, since time.Time, work func(context.Context, ports.Token)) {
	held, end := context.WithCancel(ctx)
	prolonged := make(chan struct{})
	go func() {
		defer close(prolonged)
		defer end()
		e.prolong(held, name, token, since)
	}()
	work(held, token)
	end()
	<-prolonged
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), leasePace)
	defer cancel()
	if err := e.Store.Release(last, name, token); err != nil && ctx.Err() == nil {
		e.Observer.Failed("give back the lease "+name, err)
	}
}

// prolong keeps the lease and returns when it is lost, or soon may be.
func (e *Engine) prolong(ctx context.Context, name string, token ports.Token, since time.Time) {
	for pause(ctx, leasePace) {
		asked := time.Now()
		left, cancel := context.WithDeadline(ctx, since.Add(leaseTTL-leasePace))
		again, err := e.Store.Lease(left, name, e.Process, leaseTTL)
		cancel()
		switch {
		case err == nil && again == token:
			since = asked
		case err == nil || errors.Is(err, ports.ErrLeaseHeld) || time.Since(since) >= leaseTTL-leasePace:
			return
		}
	}
}
