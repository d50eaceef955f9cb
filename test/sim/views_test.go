package sim

import (
	"context"
	"fmt"

	"daybook/core/es"
	"daybook/core/ports"
)

// views are those that all processes share, as one of them reaches them.
type views struct {
	ports.Views
	*process
}

// Shared implements ports.Views.
func (v *views) Shared() bool { return true }

// write is ask for what only who holds the lease may do.
func (v *views) write(ctx context.Context, token ports.Token, what string, act func() error) error {
	v.database.checkToken("views", v.process, token)
	return v.ask(ctx, changes, what, act)
}

func (v *views) ask(ctx context.Context, k kind, what string, act func() error) error {
	return v.port(ctx, &call{from: v.process, kind: k, what: what, act: act}, ports.ErrViewUnavailable)
}

func (v *views) Reset(ctx context.Context, token ports.Token) error {
	return v.write(ctx, token, "empty the views", func() error { return v.Views.Reset(context.WithoutCancel(ctx), token) })
}

func (v *views) Open(ctx context.Context, token ports.Token) error {
	return v.write(ctx, token, "open the views", func() error { return v.Views.Open(context.WithoutCancel(ctx), token) })
}

func (v *views) Progress(ctx context.Context) (p ports.Progress, err error) {
	err = v.ask(ctx, reads, "how far are the views", func() error {
		p, err = v.Views.Progress(ctx)
		return err
	})
	return p, err
}

func (v *views) Write(ctx context.Context, token ports.Token, all []ports.Change, from, to es.Position, hash es.Hash) error {
	return v.write(ctx, token, fmt.Sprintf("write the views from %d to %d", from, to), func() error {
		return v.Views.Write(context.WithoutCancel(ctx), token, all, from, to, hash)
	})
}

func (v *views) Get(ctx context.Context, view, id string) (d es.Document, at es.Position, err error) {
	err = v.ask(ctx, reads, "get "+id, func() error {
		d, at, err = v.Views.Get(ctx, view, id)
		return err
	})
	return d, at, err
}

// Beside gives a set that is reached without trouble.
func (v *views) Beside(ctx context.Context, token ports.Token) (set ports.ViewSet, err error) {
	err = v.ask(ctx, reads, "views beside", func() error {
		set, err = v.Views.Beside(ctx, token)
		return err
	})
	return set, err
}

func (v *views) Swap(ctx context.Context, token ports.Token) error {
	return v.write(ctx, token, "swap the views", func() error { return v.Views.Swap(context.WithoutCancel(ctx), token) })
}
