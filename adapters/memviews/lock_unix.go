//go:build unix && !solaris && !aix

package memviews

import (
	"os"
	"syscall"

	"daybook/adapters/handover"
)

// lock takes a file for this process until it is closed or the process ends; an error if another has it.
func lock(f *os.File) error {
	_, err := handover.Take(func() (*os.File, error) { return f, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }, syscall.EWOULDBLOCK)
	return err
}
