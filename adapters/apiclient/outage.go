package apiclient

import (
	"context"
	"errors"
	"net"
	"time"
)

// Waits before a new connection: the first, doubled for each further one up to the longest.
const (
	firstWait   = 50 * time.Millisecond
	longestWait = 5 * time.Second
)

// outage counts the failures in a row of a stream that wants to go on.
type outage struct {
	reached bool      // the server was reached before, so that it is worth waiting for
	since   time.Time // of the first failure; zero while there is none
	wait    time.Duration
}

// next says how long to wait after one more failure, or that it is time to give up: because the outage lasts longer than the
// patience, because the failure would only come again, or because nobody listens at the address at all.
func (o *outage) next(err error, patience time.Duration) (wait time.Duration, goOn bool) {
	now := time.Now()
	if o.since.IsZero() {
		o.since, o.wait = now, firstWait
	}
	var unreachable *Unreachable
	var problem *Problem
	var dial *net.OpError
	switch {
	case now.Sub(o.since) > patience:
		return 0, false
	case errors.As(err, &problem):
		if !problem.transient() {
			return 0, false
		}
		o.reached = true
		o.wait = max(o.wait, problem.RetryAfter)
	case !errors.As(err, &unreachable):
		return 0, false
	case errors.As(err, &dial) && dial.Op == "dial":
		if !o.reached {
			return 0, false
		}
	default:
		o.reached = true
	}
	wait = o.wait
	o.wait = min(2*o.wait, longestWait)
	return wait, true
}

// Pause waits, or gives the context's error.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
