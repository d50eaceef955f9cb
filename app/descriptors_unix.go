//go:build unix

package app

import "syscall"

// descriptors is how many files and connections this process may have open, or zero when that is not known.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	const most = 1 << 20 // some systems say that there is no limit
	return int(min(limit.Cur, most))
}
