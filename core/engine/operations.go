package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"daybook/core/access"
	"daybook/core/es"
)

// Operation is work that goes on after the request that started it was answered.
type Operation struct {
	ID        string
	Kind      string // OperationRebuild and so on
	State     string // OperationRunning and so on
	Position  es.Position
	Head      es.Position   // where it is done
	PerSecond int64         // events, on the average since it was first asked how far it is; zero: not known yet
	Left      time.Duration // about; zero: not known
	Compared  []Comparison  // of a rebuild: how the views before and after differ; nil where another process made them
	HeldBack  string        // of an archival: why some events stay that are old enough; "" if none do
	Error     string

	began time.Time // of the figures
	from  es.Position
}

// Kinds of operations.
const (
	OperationRebuild = "rebuild"
	OperationArchive = "archive"
)

// States of an operation.
const (
	OperationRunning = "running"
	OperationDone    = "done"
	OperationFailed  = "failed"
)

// pace tells how fast it goes, given how far it is.
func (op *Operation) pace(at, head es.Position, now time.Time) {
	op.Position, op.Head = max(op.Position, at), head
	if op.began.IsZero() {
		op.began, op.from = now, op.Position
	}
	op.PerSecond, op.Left = 0, 0
	if took := now.Sub(op.began).Seconds(); took > 0 && op.Position > op.from {
		rate := float64(op.Position-op.from) / took
		op.PerSecond = int64(rate)
		op.Left = time.Duration(float64(head-min(op.Position, head)) / rate * float64(time.Second))
	}
}

// operations keeps the operations of this process, newest last.
type operations struct {
	mu  sync.Mutex
	all []*Operation
}

// start does work in the background, unless other work of its kind is being done: that is the error given. The work tells how the
// operation stands; its own error is for whoever asked.
func (o *operations) start(kind string, busy error, work func(tell func(func(*Operation))) error) (Operation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, op := range o.all {
		if op.Kind == kind && op.State == OperationRunning {
			return *op, busy
		}
	}
	op := &Operation{ID: fmt.Sprintf("op-%d", len(o.all)+1), Kind: kind, State: OperationRunning}
	o.all = append(o.all, op)
	started := *op
	tell := func(change func(*Operation)) {
		o.mu.Lock()
		defer o.mu.Unlock()
		change(op)
	}
	go func() {
		err := work(tell)
		tell(func(op *Operation) {
			op.State = OperationDone
			if err != nil {
				op.State, op.Error = OperationFailed, err.Error()
			}
		})
	}()
	return started, nil
}

// Operation gives an operation of this process as it stands.
func (e *Engine) Operation(ctx context.Context, id string) (Operation, error) {
	if _, err := e.may(ctx, access.Operations); err != nil {
		return Operation{}, err
	}
	e.operations.mu.Lock()
	defer e.operations.mu.Unlock()
	for _, op := range e.operations.all {
		if op.ID != id {
			continue
		}
		if op.State == OperationFailed {
			return *op, nil
		}
		at, head := op.Position, op.Head
		if op.Kind == OperationRebuild {
			var err error
			if at, head, err = e.rebuildProgress(ctx, op.State); err != nil {
				return *op, err
			}
		}
		op.pace(at, head, e.Now())
		return *op, nil
	}
	return Operation{}, ErrNoOperation
}
