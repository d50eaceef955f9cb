// Package handover takes what one process at a time can have, such as an address or a lock, from a process that was killed a
// moment ago: until the system has taken back all of its memory, it holds them. What is taken, and how, is its callers' business.
package handover

import (
	"errors"
	"syscall"
	"time"
)

// Patience is how long a process may take to end after it was killed.
const Patience = 2 * time.Second

// often is how often it is asked whether it has ended.
const often = 20 * time.Millisecond

// Take calls take until it gives anything but the error by which the system says that another process holds it, for as long as
// that one may be ending. It may be called from any goroutine.
func Take[T any](take func() (T, error), held syscall.Errno) (taken T, err error) {
	for began := time.Now(); ; time.Sleep(often) {
		if taken, err = take(); !errors.Is(err, held) || time.Since(began) >= Patience {
			return taken, err
		}
	}
}
