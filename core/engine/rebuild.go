package engine

import (
	"context"
	"errors"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Rebuild starts to build the views again from the store, beside those that readers go on to see, and swaps them; it returns at once.
// ctx bounds the work, so it must outlive the request that asked for it. One rebuild runs at a time: a second one is ErrRebuildRunning.
func (e *Engine) Rebuild(ctx context.Context) (Operation, error) {
	if _, err := e.may(ctx, access.Rebuild); err != nil {
		return Operation{}, err
	}
	return e.operations.start(OperationRebuild, ErrRebuildRunning, func(tell func(func(*Operation))) error {
		compared, err := e.rebuild(ctx)
		tell(func(op *Operation) { op.Compared = compared })
		if err != nil {
			e.Observer.Failed("rebuild the views", err)
			return errors.New("the views could not be filled; see the log")
		}
		return nil
	})
}

// rebuildProgress is how far a rebuild is, and the head.
func (e *Engine) rebuildProgress(ctx context.Context, state string) (at, head es.Position, err error) {
	progress, err := e.Views.Progress(ctx)
	if err != nil {
		return 0, 0, err
	}
	head, err = e.Store.Head(ctx)
	if state == OperationDone {
		return progress.Checkpoint, head, err
	}
	return progress.Beside, head, err
}

// Whoever writes shared views builds them anew when what was asked for is beyond what was done. The names are checkpoints in
// the store, which every process sees; their positions count rebuilds. What another rebuild began is not gone on with.
const (
	rebuildAsked = "views rebuild asked"
	rebuildBegun = "views rebuild begun"
	rebuildDone  = "views rebuild done"
)

// rebuild builds the views of this process, or asks whoever writes shared views to do so and waits for it.
func (e *Engine) rebuild(ctx context.Context) ([]Comparison, error) {
	if !e.Views.Shared() {
		return e.projector.rebuild(ctx, false, 0)
	}
	asked, err := e.Store.Checkpoint(ctx, rebuildAsked)
	if err != nil {
		return nil, err
	}
	asked++
	if err := e.Store.SaveCheckpoint(ctx, rebuildAsked, 0, asked); err != nil {
		return nil, err
	}
	for failures := 0; ; {
		done, err := e.Store.Checkpoint(ctx, rebuildDone)
		switch {
		case err == nil && done >= asked:
			if last := e.projector.compared.Load(); last != nil && last.asked >= asked {
				return last.compared, nil
			}
			return nil, nil
		case err == nil:
			failures = 0
		case fault.KindOf(err) != fault.Unavailable:
			return nil, err
		default:
			failures++
		}
		if !pause(ctx, max(idlePoll/10, backoff(failures))) {
			return nil, ctx.Err()
		}
	}
}

// result is what a rebuild of shared views found, and how many had been asked for.
type result struct {
	asked    es.Position
	compared []Comparison
}

// rebuildShared does a rebuild that some process asked for, or goes on with it after whoever had begun.
func (p *projector) rebuildShared(ctx context.Context, asked es.Position) error {
	begun, err := p.Store.Checkpoint(ctx, rebuildBegun)
	if err != nil {
		return err
	}
	compared, err := p.rebuild(ctx, begun == asked, asked)
	if err != nil {
		return err
	}
	p.compared.Store(&result{asked, compared})
	return p.Store.SaveCheckpoint(ctx, rebuildDone, 0, asked)
}

// rebuild builds a second set of views, from where it is or anew, compares it with the one that readers see, and swaps them. The
// views go on following meanwhile.
func (p *projector) rebuild(ctx context.Context, resume bool, asked es.Position) ([]Comparison, error) {
	token, err := p.catchUpTo(ctx, 0) // that they are open is enough: who compares catches up
	if err != nil {
		return nil, err
	}
	set, err := p.Views.Beside(ctx, token)
	if err != nil {
		return nil, err
	}
	next := newFolding(p.Options, p.snapshots, set)
	next.token = token
	next.states = newStates(1 << 40)
	if resume {
		if resume, err = p.useful(ctx, set); err != nil {
			return nil, err
		}
	}
	if resume {
		err = next.adopt(ctx)
	} else {
		err = p.begin(ctx, next, asked)
	}
	if err != nil {
		return nil, err
	}
	if err := next.follow(ctx, fillPage, toHead); err != nil {
		return nil, err
	}
	// gofail: var midRebuild struct{}
	if err := set.Open(ctx, token); err != nil {
		return nil, err
	}
	if err := next.follow(ctx, p.page(), toHead); err != nil { // what came while it was opened
		return nil, err
	}
	compared, err := p.compare(ctx, next)
	if err != nil {
		return nil, err
	}
	// gofail: var beforeRebuildSwap struct{}
	if err := p.swap(ctx, next); err != nil {
		return nil, err
	}
	for i := range compared { // what differed is no error
		if c := &compared[i]; !c.Equal() {
			p.Observer.Failed("find the views as they should be", errors.New(c.String()))
		}
	}
	return compared, nil
}

// begin empties a set beside and, where views are shared, notes for which rebuild.
func (p *projector) begin(ctx context.Context, next *folding, asked es.Position) error {
	if err := next.empty(ctx); err != nil || !p.Views.Shared() {
		return err
	}
	return p.Store.SaveCheckpoint(ctx, rebuildBegun, 0, asked)
}

// compare compares the views with those that are to follow them, a stretch at a time: in between, the views go on.
func (p *projector) compare(ctx context.Context, next *folding) ([]Comparison, error) {
	c := newComparing(p.Registry, p.Views, next.views)
	for more := true; more; {
		err := p.together(ctx, next, func() (err error) {
			more, err = c.stretch(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return c.found, nil
}

// swap gives readers the new views.
func (p *projector) swap(ctx context.Context, next *folding) error {
	return p.together(ctx, next, func() error {
		if err := p.Views.Swap(ctx, next.token); err != nil {
			p.open = false // it may have been done
			return err
		}
		next.forget()
		next.views, next.shown = p.Views, p.shown
		p.live = next
		return nil
	})
}

// together brings the views and those that are to follow them to one position, and holds both there while do runs.
func (p *projector) together(ctx context.Context, next *folding, do func() error) error {
	if err := p.writing.Take(ctx); err != nil {
		return err
	}
	defer p.writing.End()
	if !p.open || p.live.token != next.token {
		return ports.ErrCheckpointMoved.Say("The views changed hands, or could not be written, while they were built again.")
	}
	if err := p.live.follow(ctx, p.page(), toHead); err != nil {
		p.open = false
		return err
	}
	if err := next.follow(ctx, p.page(), p.live.at); err != nil {
		return err
	}
	return do()
}
