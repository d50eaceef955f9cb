package engine

import (
	"context"
	"errors"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// View gives the document of one aggregate and the position the view had reached.
func (e *Engine) View(ctx context.Context, m *es.Module, id string) (es.Document, es.Position, error) {
	grant, err := e.may(ctx, access.Read)
	if err == nil {
		err = e.vouch(ctx)
	}
	if err != nil {
		return es.Document{}, 0, err
	}
	d, at, err := e.Views.Get(ctx, m.Name, id)
	switch {
	case errors.Is(err, ports.ErrViewParked):
		if hidden := e.mayRead(ctx, m, id); hidden != nil {
			err = hidden
		}
		return d, at, err
	case fault.KindOf(err) == fault.NotFound:
		return es.Document{}, at, notFound(m)
	case err == nil && !grant.Reads(d.Readers):
		return es.Document{}, at, notFound(m).Because(access.ErrForbidden)
	}
	return d, at, err
}

// notFound is the fault for an aggregate of the module that does not exist.
func notFound(m *es.Module) *fault.Fault {
	return fault.New(fault.NotFound, m.Noun+"_not_found", "There is no "+m.Noun+" with this id.")
}

// Documents lists those of a module's documents that whoever asks may read.
func (e *Engine) Documents(ctx context.Context, m *es.Module, q ports.Query) (ports.Page, error) {
	grant, err := e.may(ctx, access.Read)
	if err == nil {
		err = e.vouch(ctx)
	}
	if err != nil {
		return ports.Page{}, err
	}
	if grant.Reach < access.All {
		q.Reader = grant.Subject
	}
	return e.Views.List(ctx, m.Name, q)
}

// vouch sees that shared views are of this store's history before this process answers from them: until whoever writes them has
// seen it too, they may be those of a store that was restored since. Once is enough, as a store is restored while nobody uses it.
func (e *Engine) vouch(ctx context.Context) error {
	if !e.Views.Shared() || e.vouched.Load() {
		return nil
	}
	progress, err := e.Views.Progress(ctx)
	if err != nil {
		return err
	}
	foreign, err := e.projector.foreign(ctx, progress)
	switch {
	case err != nil:
		return err
	case foreign != "":
		return ports.ErrViewRebuilding
	}
	e.vouched.Store(true)
	return nil
}

// viewPoll is how often the checkpoint of views that another process writes is asked for.
const viewPoll = 20 * time.Millisecond

// AwaitView waits until the views have reached p, for at most patience. A p beyond the store's head is ErrPositionAhead at
// once; when patience ends it is ErrViewBehind, or ErrViewRebuilding if nobody is let in.
func (e *Engine) AwaitView(ctx context.Context, p es.Position, patience time.Duration) error {
	if err := e.Reached(ctx, p); err != nil {
		return err
	}
	if err := e.vouch(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		progress, err := e.Views.Progress(ctx)
		if err != nil {
			return err
		}
		if progress.Open && progress.Checkpoint >= p {
			return nil
		}
		poll, stop := context.WithTimeout(ctx, viewPoll)
		if !progress.Open || e.projector.reached.At() >= p { // nobody here will tell
			<-poll.Done()
		}
		_ = e.projector.reached.Wait(poll, p) // the checkpoint is asked for again in either case
		stop()
		switch {
		case ctx.Err() == nil:
		case !progress.Open:
			return ports.ErrViewRebuilding
		default:
			return ErrViewBehind.Say("The view has reached position %d, not yet %d. Try again shortly.", progress.Checkpoint, p)
		}
	}
}

// Queued is how many commands wait to be decided.
func (e *Engine) Queued() int { return len(e.sequencer.queue) }

// Status is how the parts of this process stand.
type Status struct {
	Head        es.Position
	Archived    es.Position // events up to here were moved to the archive
	Views       ports.Progress
	Parked      []ports.ParkedDocument // the first few
	ParkedCount int
	ViewsErr    error // why not all of the three above is known
}

// statusParked is how many parked documents a status names.
const statusParked = 100

// statusWithin is how long the views may take to tell how they are.
const statusWithin = time.Second

// Status tells how far everything is. Views that cannot be reached are told of, and are no error.
func (e *Engine) Status(ctx context.Context) (Status, error) {
	var s Status
	if _, err := e.may(ctx, access.Status); err != nil {
		return s, err
	}
	var err error
	if s.Head, err = e.Store.Head(ctx); err != nil {
		return s, err
	}
	if s.Archived, err = e.Store.Archived(ctx); err != nil {
		return s, err
	}
	within, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	if s.Views, s.ViewsErr = e.Views.Progress(within); s.ViewsErr == nil {
		s.Parked, s.ParkedCount, s.ViewsErr = e.Views.Parked(within, statusParked)
	}
	if s.ViewsErr != nil && within.Err() != nil {
		s.ViewsErr = ports.ErrViewUnavailable.Because(s.ViewsErr)
	}
	return s, ctx.Err()
}
