// Package smalldisk gives tests a file system that they can fill.
package smalldisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Disk is a small file system in memory. Its methods fail the test when they cannot do what they say.
type Disk struct {
	Dir string // where it is; everybody may enter it
	t   testing.TB
}

// Mount makes one of so many MiB, which is there until the test ends. That needs root; without it the test is skipped.
func Mount(t testing.TB, mib int) *Disk {
	t.Helper()
	dir, err := os.MkdirTemp("", "daybook-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := syscall.Mount("daybook", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0755", mib)); err != nil {
		t.Skipf("SKIPPED: a small file system cannot be mounted, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return &Disk{dir, t}
}

// Fill leaves so many bytes free, and gives what makes room again.
func (d *Disk) Fill(left int64) (makeRoom func()) {
	d.t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(d.Dir, &stat); err != nil {
		d.t.Fatal(err)
	}
	name := filepath.Join(d.Dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for room := int64(stat.Bavail)*stat.Bsize - left; room > 0; room -= int64(len(block)) {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
	return func() {
		d.t.Helper()
		if err := os.Remove(name); err != nil {
			d.t.Error(err)
		}
	}
}
