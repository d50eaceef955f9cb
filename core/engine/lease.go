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
	e.Observer.Led(name, 0, false)
	for failures := 0; ctx.Err() == nil; {
		err := e.try(ctx, name, work)
		switch {
		case err == nil:
			failures = 0
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

// try does the work if this process gets the lease of the name now, else its error says why it did not. It ends like that of lead.
func (e *Engine) try(ctx context.Context, name string, work func(ctx context.Context, token ports.Token)) error {
	l := lease{engine: e, name: name}
	asking, cancel := context.WithCancel(ctx)
	l.sure = l.ask(asking)
	var err error
	if l.token, err = e.Store.Lease(ctx, name, e.Process, leaseTTL); err != nil {
		cancel()
		return err
	}
	l.hold(ctx, work, cancel)
	return nil
}

// lease is one that this process holds.
type lease struct {
	engine *Engine
	name   string
	token  ports.Token
	sure   context.Context // ends when the lease may have ended, unless it is prolonged
}

// ask gives the context in which a lease that is asked for now can be relied on.
func (l *lease) ask(ctx context.Context) context.Context {
	sure, cancel := context.WithTimeout(ctx, leaseTTL-leasePace)
	context.AfterFunc(sure, cancel)
	return sure
}

// hold does the work while the lease can be prolonged, and then gives the lease back. unsure ends l.sure as it is now.
func (l *lease) hold(ctx context.Context, work func(context.Context, ports.Token), unsure func()) {
	held, end := context.WithCancel(ctx)
	prolonged := make(chan struct{})
	go func() {
		defer close(prolonged)
		defer end()
		l.prolong(held)
	}()
	l.engine.Observer.Led(l.name, l.token, true)
	work(held, l.token)
	l.engine.Observer.Led(l.name, l.token, false)
	end()
	unsure()
	<-prolonged
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), leasePace)
	defer cancel()
	if err := l.engine.Store.Release(last, l.name, l.token); err != nil && ctx.Err() == nil {
		l.engine.Observer.Failed("give back the lease "+l.name, err)
	}
}

// prolong keeps the lease and returns when it is lost, or soon may be.
func (l *lease) prolong(ctx context.Context) {
	for pause(l.sure, leasePace) && ctx.Err() == nil {
		sure := l.ask(ctx)
		token, err := l.engine.Store.Lease(l.sure, l.name, l.engine.Process, leaseTTL)
		switch {
		case err == nil && token == l.token:
			l.sure = sure
		case err == nil || errors.Is(err, ports.ErrLeaseHeld):
			return
		}
	}
}
