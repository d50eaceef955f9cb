package ports

import "context"

// Turn is a lock within one process that is held while something slow is asked, as the part of a store's write lock that lies there:
// one unit of work has it at a time. Waiting for it ends with the context of whoever waits, and with the life of what it belongs to.
// NewTurn makes one; its methods may be called concurrently.
type Turn struct {
	taken chan struct{} // holds a token while somebody has it
	life  context.Context
}

// NewTurn gives a turn that nobody has. life ends when what it belongs to is closed.
func NewTurn(life context.Context) Turn { return Turn{make(chan struct{}, 1), life} }

// Take waits until nobody has the turn, and takes it. Its error is that of ctx, or ErrStoreClosed; then End must not follow.
func (t Turn) Take(ctx context.Context) error {
	if err := ctx.Err(); err != nil && t.life.Err() == nil {
		return err
	}
	select {
	case t.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.life.Done():
		return ErrStoreClosed
	}
}

// End gives the turn to the next.
func (t Turn) End() { <-t.taken }
