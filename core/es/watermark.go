package es

import (
	"context"
	"sync"
)

// Watermark is a position that rises and that goroutines can wait for. The zero value stands at 0 and is ready to
// use. All methods may be called concurrently.
type Watermark struct {
	mu     sync.Mutex
	at     Position
	raised chan struct{} // closed at the next rise; nil while nobody waits
}

// At is the position reached so far.
func (w *Watermark) At() Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

// Raise moves the watermark to p and wakes those who wait; a p that is not above it changes nothing.
func (w *Watermark) Raise(p Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p <= w.at {
		return
	}
	w.at = p
	if w.raised != nil {
		close(w.raised)
		w.raised = nil
	}
}

// Lower moves the watermark back to p, if it is above it: what it stood for turned out to be lost. Those who wait go on waiting.
func (w *Watermark) Lower(p Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = min(w.at, p)
}

// Wait returns nil once the watermark is at p or above, or the context's error.
func (w *Watermark) Wait(ctx context.Context, p Position) error {
	for {
		w.mu.Lock()
		if w.at >= p {
			w.mu.Unlock()
			return nil
		}
		if w.raised == nil {
			w.raised = make(chan struct{})
		}
		raised := w.raised
		w.mu.Unlock()
		select {
		case <-raised:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
