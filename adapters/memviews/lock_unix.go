//go:build unix && !solaris && !aix

package memviews

import (
	"os"
	"syscall"
)

// lock takes a file for this process until it is closed or the process ends; an error if another has it.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
