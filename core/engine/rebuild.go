package engine

import (
	"context"
	"fmt"
	"sync"

	"daybook/core/es"
	"daybook/core/fault"
)

// Operation is work that goes on after the request that started it was answered.
type Operation struct {
	ID       string
	Kind     string // "rebuild"
	State    string // OperationRunning and so on
	Position es.Position
	Head     es.Position
	Error    string
}

// States of an operation.
const (
	OperationRunning = "running"
	OperationDone    = "done"
	OperationFailed  = "failed"
)

// rebuilds keeps the rebuilds of this process, newest last.
type rebuilds struct {
	mu  sync.Mutex
	all []*Operation
}

// Rebuild starts to empty the views and fill them again from the store; it returns at once. ctx bounds the work, so it
// must outlive the request that asked for it. One rebuild runs at a time: a second one is ErrRebuildRunning.
func (e *Engine) Rebuild(ctx context.Context) (Operation, error) {
	e.rebuilds.mu.Lock()
	defer e.rebuilds.mu.Unlock()
	if n := len(e.rebuilds.all); n > 0 && e.rebuilds.all[n-1].State == OperationRunning {
		return *e.rebuilds.all[n-1], ErrRebuildRunning
	}
	op := &Operation{ID: fmt.Sprintf("op-%d", len(e.rebuilds.all)+1), Kind: "rebuild", State: OperationRunning}
	e.rebuilds.all = append(e.rebuilds.all, op)
	started := *op
	go func() {
		err := e.rebuild(ctx)
		e.rebuilds.mu.Lock()
		defer e.rebuilds.mu.Unlock()
		op.State = OperationDone
		if err != nil {
			op.State, op.Error = OperationFailed, "the views could not be filled; see the log"
			e.Observer.Failed("rebuild the views", err)
		}
	}()
	return started, nil
}

// Operation gives an operation of this process as it stands.
func (e *Engine) Operation(ctx context.Context, id string) (Operation, error) {
	e.rebuilds.mu.Lock()
	defer e.rebuilds.mu.Unlock()
	for _, op := range e.rebuilds.all {
		if op.ID != id {
			continue
		}
		now := *op
		if now.State == OperationFailed {
			return now, nil
		}
		progress, err := e.Views.Progress(ctx)
		if err != nil {
			return now, err
		}
		head, err := e.Store.Head(ctx)
		if err != nil {
			return now, err
		}
		now.Position, now.Head = progress.Checkpoint, head
		return now, nil
	}
	return Operation{}, ErrNoOperation
}

// Whoever writes shared views fills them anew when what was asked for is beyond what was done. The names are checkpoints in
// the store, which every process sees; their positions count rebuilds.
const (
	rebuildAsked = "views rebuild asked"
	rebuildDone  = "views rebuild done"
)

// rebuild fills the views of this process, or asks whoever writes shared views to do so and waits for it.
func (e *Engine) rebuild(ctx context.Context) error {
	if !e.Views.Shared() {
		return e.projector.rebuild(ctx)
	}
	asked, err := e.Store.Checkpoint(ctx, rebuildAsked)
	if err != nil {
		return err
	}
	asked++
	if err := e.Store.SaveCheckpoint(ctx, rebuildAsked, 0, asked); err != nil {
		return err
	}
	for failures := 0; ; {
		done, err := e.Store.Checkpoint(ctx, rebuildDone)
		switch {
		case err == nil && done >= asked:
			return nil
		case err == nil:
			failures = 0
		case fault.KindOf(err) != fault.Unavailable:
			return err
		default:
			failures++
		}
		if !pause(ctx, max(idlePoll/10, backoff(failures))) {
			return ctx.Err()
		}
	}
}

func (p *projector) rebuild(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fill(ctx)
}
