package engine

import "context"

// turn is a lock that is held while a port is asked, which may take long: so a context can stop waiting for it.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits until nobody else has the turn. An error means that the context has ended, and nothing was taken.
func (t turn) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// give ends what take began.
func (t turn) give() { <-t }
