package pebblestore

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// failstop stops the store for good at the first write that must not fail and did. Pebble itself would end the process:
// it calls Logger.Fatalf, whose return would report a failed commit as a success, or panics in the middle of changing its
// log. So the error never reaches Pebble. The goroutine that met it stays where it is, for ever, holding no lock that a
// read needs; whoever waits for its work is told instead. Nothing can then go on as if the write had happened.
type failstop struct {
	armed  atomic.Bool // false while the store is being opened: there Pebble gives errors back
	once   sync.Once
	failed chan struct{} // closed at the failure
	err    error         // why; read it after failed is closed
	report func(error)   // called once; nil is allowed
}

func newFailstop(report func(error)) *failstop {
	return &failstop{failed: make(chan struct{}), report: report}
}

// fail marks the store as failed.
func (f *failstop) fail(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.failed)
		if f.report != nil {
			go f.report(err)
		}
	})
}

// failure is why the store has failed, or nil.
func (f *failstop) failure() error {
	select {
	case <-f.failed:
		return f.err
	default:
		return nil
	}
}

// halt marks the store as failed and never returns.
func (f *failstop) halt(err error) {
	f.fail(err)
	select {}
}

// check passes on nil, and an error while the store is being opened. Any other error halts.
func (f *failstop) check(what, name string, err error) error {
	if err != nil && f.armed.Load() {
		f.halt(fmt.Errorf("%s %s: %w", what, filepath.Base(name), err))
	}
	return err
}

// guard runs work that may halt in a goroutine of its own, and gives its error, or its panic, or that of the failure.
func (f *failstop) guard(work func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("pebble panicked: %v", p)
			}
		}()
		done <- work()
	}()
	select {
	case err := <-done:
		return err
	case <-f.failed:
		return f.err
	}
}

// haltingFS is a file system on which writes to the log, the manifest and the other small files that Pebble cannot do
// without either succeed or halt. Tables are left out: one that could not be written is thrown away and written again
// under another name, from what is still in the log.
// Copies of the store in other directories are left out, too.
type haltingFS struct {
	vfs.FS
	stop *failstop
	dir  string // of the store
}

func (fs haltingFS) file(what, name string, f vfs.File, err error) (vfs.File, error) {
	if filepath.Ext(name) == ".sst" || !fs.own(name) {
		return f, err
	}
	if err := fs.stop.check(what, name, err); err != nil {
		return nil, err
	}
	return haltingFile{f, name, fs.stop}, nil
}

func (fs haltingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return fs.file("create", name, f, err)
}

func (fs haltingFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(old, name, c)
	return fs.file("create", name, f, err)
}

func (fs haltingFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	return fs.file("open", name, f, err)
}

// own reports whether a file is in the store's directory, or is that.
func (fs haltingFS) own(name string) bool {
	return filepath.Dir(name) == filepath.Clean(fs.dir) || filepath.Clean(name) == filepath.Clean(fs.dir)
}

func (fs haltingFS) Rename(old, name string) error {
	if !fs.own(name) {
		return fs.FS.Rename(old, name)
	}
	return fs.stop.check("rename", old, fs.FS.Rename(old, name))
}

func (fs haltingFS) Unwrap() vfs.FS { return fs.FS }

// haltingFile is a file of haltingFS.
type haltingFile struct {
	vfs.File
	name string
	stop *failstop
}

func (f haltingFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.stop.check("write", f.name, err)
}

func (f haltingFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, f.stop.check("write", f.name, err)
}

func (f haltingFile) Sync() error {
	return f.stop.check("sync", f.name, f.File.Sync())
}

func (f haltingFile) SyncData() error {
	return f.stop.check("sync", f.name, f.File.SyncData())
}

func (f haltingFile) SyncTo(length int64) (full bool, err error) {
	full, err = f.File.SyncTo(length)
	return full, f.stop.check("sync", f.name, err)
}

func (f haltingFile) Close() error {
	return f.stop.check("close", f.name, f.File.Close())
}

// logger is Pebble's way to speak. Its Fatalf is the last line behind haltingFS, for what Pebble finds impossible.
type logger struct {
	stop *failstop
	logf func(format string, args ...any)
}

func (logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) { l.logf(format, args...) }

func (l logger) Fatalf(format string, args ...any) { l.stop.halt(fmt.Errorf(format, args...)) }
