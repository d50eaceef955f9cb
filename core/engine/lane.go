package engine

import (
	"context"
	"sync"
	"time"

	"daybook/core/fault"
	"daybook/core/ports"
)

// ErrBehindFailure: a command before this one has to be tried again first.
var ErrBehindFailure = fault.New(fault.Unavailable, "behind_failure", "A command before this one could not be carried out yet; nothing was done.").After(time.Second)

// Lane takes commands that must be decided in their order although many are on their way at once. When one fails for a
// reason that may pass, all behind it are refused with ErrBehindFailure until that one is submitted again. Commands need
// idempotency keys, by which the lane knows them. Submit is called by one goroutine at a time.
type Lane struct {
	engine *Engine
	mu     sync.Mutex
	behind string // the key of the command that has to come again first
}

// Lane makes one. It lasts as long as the source of its commands.
func (e *Engine) Lane() *Lane { return &Lane{engine: e} }

// Submit takes in one command, waiting while the queue is full, and returns before it is decided.
func (l *Lane) Submit(ctx context.Context, r Request) (*Ticket, error) {
	t := &Ticket{lane: l}
	t.single[0].Request = r
	t.jobs = t.single[:]
	err := l.engine.sequencer.submit(ctx, t, true)
	if err != nil {
		l.Failed(r.Key)
	}
	return t, err
}

// admits reports whether the command may be decided now.
func (l *Lane) admits(key string) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.behind == key {
		l.behind = ""
	}
	return l.behind == ""
}

// Failed notes that a command could not even be submitted and has to come again, unless an earlier one has to.
func (l *Lane) Failed(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.behind == "" {
		l.behind = key
	}
}

// settle notes how a ticket of the lane was answered.
func (l *Lane) settle(t *Ticket) {
	if l == nil {
		return
	}
	for i := range t.jobs {
		if err := t.jobs[i].result.Err; err != nil && !ports.Dead(err) {
			l.Failed(t.jobs[i].Key)
		}
	}
}
