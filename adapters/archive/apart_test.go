//go:build unix

package archive

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gocloud.dev/blob/fileblob"

	"daybook/core/ports"
	"daybook/test/faulttable"
)

// A pipe that nobody writes to hangs whoever opens it, as a file does on a server that is gone.
func TestAFolderThatHangsIsGivenUpAndHoldsNoMoreThanItsSlots(t *testing.T) {
	faulttable.Covers(t, "F65", faulttable.Archive)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	folder := t.TempDir()
	pipe := filepath.Join(folder, "hangs")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.WriteFile(filepath.Join(folder, "there"), []byte("abc"), 0o600)); err != nil {
		t.Fatal(err)
	}
	bucket, err := fileblob.OpenBucket(folder, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		t.Fatal(err)
	}
	b := newBlobs(bucket, folder, 20*time.Millisecond)
	b.slots = make(chan struct{}, 2)
	for n := range 5 {
		if _, err := b.get(t.Context(), "hangs", 0, -1); !errors.Is(err, errStill) {
			t.Fatalf("reading %d: %v", n, err)
		}
	}
	if _, err := b.get(t.Context(), "there", 0, -1); !errors.Is(err, errStill) {
		t.Errorf("with all slots taken: %v", err)
	}
	release(t, pipe)
	for {
		data, err := b.get(t.Context(), "there", 0, -1)
		if err == nil && bytes.Equal(data, []byte("abc")) {
			break
		}
		if !errors.Is(err, errStill) {
			t.Fatalf("after it is there again: %q, %v", data, err)
		}
	}
	if _, err := b.get(t.Context(), "hangs", 0, -1); !errors.Is(err, errStill) {
		t.Errorf("reading: %v", err)
	}
	if err := b.close(); err != nil { // a process can end
		t.Error(err)
	}
	release(t, pipe)
}

// release has those go on who hang.
func release(t *testing.T, pipe string) {
	t.Helper()
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close() // nothing was written
}

// It hangs perhaps when it is opened, too: a process would never start, and never end.
func TestAnArchiveThatHangsWhenItIsOpenedIsGivenUpAndUsedOnceItIsThere(t *testing.T) {
	faulttable.Covers(t, "F65", faulttable.Archive)
	bare, there, _ := ledger(t, 3*node+9, 2*node, frameEvents)
	answers := make(chan struct{})
	a := attach(bare, func(context.Context) (*Archive, error) {
		<-answers
		return newArchive(there.storage, "here")
	})
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := a.Try(ctx); !errors.Is(err, ports.ErrArchiveUnavailable) {
			t.Errorf("it was opened: %v", err)
		}
		cancel()
	}
	close(answers)
	if err := a.Try(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
