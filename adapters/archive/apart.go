package archive

import "context"

// aparts bounds how many calls of one archive may hang at once.
const aparts = 64

// apart does what a file system over the network may never return from: who asked gets on when ctx ends, and the call is left behind,
// until it returns or the process ends. Each holds one of the slots; who finds none waits for one. Only what changes nothing may be
// done apart, for it may be done late. drop is told of what nobody waits for any more.
func apart[T any](ctx context.Context, slots chan struct{}, do func() (T, error), drop func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	done := make(chan result)
	go func() {
		defer func() { <-slots }()
		value, err := do()
		select {
		case done <- result{value, err}:
		case <-ctx.Done():
			if err == nil {
				drop(value)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
