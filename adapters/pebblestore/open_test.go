package pebblestore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"daybook/core/ports"
	"daybook/test/faulttable"
)

func TestADirectoryThatCannotServeIsRefusedWithWords(t *testing.T) {
	noLeaks(t)
	for what, c := range map[string]struct {
		prepare func(t *testing.T, dir string)
		words   []string
	}{
		"it holds somebody else's files": {
			func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "thesis.txt"), "precious") },
			[]string{"is not empty and holds no Daybook store"},
		},
		"it holds somebody else's Pebble": {
			func(t *testing.T, dir string) {
				db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}})
				if err != nil {
					t.Fatal(err)
				}
				db.Close()
			},
			[]string{"is not empty and holds no Daybook store"},
		},
		"it is of a newer Daybook": {
			func(t *testing.T, dir string) {
				writeFile(t, filepath.Join(dir, "DAYBOOK"), "daybook store, format 4\n")
				writeFile(t, filepath.Join(dir, "MANIFEST-9"), "of a shape unknown today")
			},
			[]string{"was written by a newer Daybook, format 4; this one reads up to 3"},
		},
		"its mark is damaged": {
			func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "DAYBOOK"), "daybook sto") },
			[]string{"does not say which format"},
		},
		"it is a file": {
			func(t *testing.T, dir string) {
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
				writeFile(t, dir, "")
			},
			[]string{"cannot be made"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			c.prepare(t, dir)
			before := listing(t, dir)
			_, err := Open(Options{Dir: dir})
			for _, w := range append(c.words, dir) {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("got %v, which does not say %q", err, w)
				}
			}
			if after := listing(t, dir); after != before {
				t.Errorf("the refusal changed the directory from\n%s\nto\n%s", before, after)
			}
		})
	}
}

func TestADirectoryThatCannotBeWrittenToIsRefusedWithWords(t *testing.T) {
	noLeaks(t)
	for what, kind := range map[string]errorfs.OpKind{"lock": errorfs.OpLock, "mark": errorfs.OpCreate} {
		t.Run(what, func(t *testing.T) {
			fs, on := failing(vfs.NewMem(), "*", &os.PathError{Op: "open", Path: "store", Err: syscall.EROFS}, kind)
			on.Store(true)
			_, err := Open(Options{Dir: "store", fs: fs})
			wantCode(t, "open", err, ports.ErrStoreUnavailable, "store cannot be written to")
		})
	}
}

func TestEveryWriteThatFailsWhileOpeningIsAnErrorWithWords(t *testing.T) {
	faulttable.Covers(t, "F30", faulttable.Pebble)
	for n := int32(0); ; n++ {
		index := errorfs.OnIndex(n)
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
				return nil
			}
			if index.MaybeError(op) != nil {
				return syscall.ENOSPC
			}
			return nil
		}))
		s, err := Open(Options{Dir: "store", fs: fs})
		if err == nil {
			s.Close()
			if n == 0 {
				t.Error("nothing was written")
			}
			if index.Load() >= 0 { // the failure was never met: the one before was the last write of all
				return
			}
			continue
		}
		if !errors.Is(err, ports.ErrStoreUnavailable) || !strings.Contains(err.Error(), "store") {
			t.Errorf("write %d: got %v", n, err)
		}
	}
}

func TestASecondProcessIsRefusedWithWords(t *testing.T) {
	faulttable.Covers(t, "F11", faulttable.Pebble)
	if dir := os.Getenv("PEBBLESTORE_SECOND_PROCESS"); dir != "" {
		_, err := Open(Options{Dir: dir})
		fmt.Printf("second process: %v\n", err)
		return
	}
	noLeaks(t)
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	defer s.Close()
	second := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestASecondProcessIsRefusedWithWords$")
	second.Env = append(os.Environ(), "PEBBLESTORE_SECOND_PROCESS="+dir)
	out, err := second.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "The store in "+dir+" is in use by another process") {
		t.Errorf("the second process said %s (%v)", out, err)
	}
	_, err = Open(Options{Dir: dir})
	wantCode(t, "the same process again", err, ports.ErrStoreUnavailable, "is in use")
	mustWrite(t, s, "a", 0, 1, "k")
}

func TestAnOpenThatGotNoFurtherThanItsMarkIsTakenUpAgain(t *testing.T) {
	faulttable.Covers(t, "F30", faulttable.Pebble)
	noLeaks(t)
	for _, left := range []string{"LOCK", "DAYBOOK.new", "lost+found"} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, left), "")
		if left != "LOCK" {
			writeFile(t, filepath.Join(dir, "DAYBOOK"), "daybook store, format 1\n")
		}
		s := open(t, Options{Dir: dir})
		mustWrite(t, s, "a", 0, 1, "k")
		s.Close()
		s = open(t, Options{Dir: dir})
		wantFeed(t, s, 1)
		s.Close()
	}
}

func TestADirectoryInAnOlderFormatOfPebbleOpens(t *testing.T) {
	noLeaks(t)
	disk := vfs.NewMem()
	s := open(t, Options{Dir: "store", fs: disk, pebbleFormat: pebble.FormatMinSupported})
	mustWrite(t, s, "a", 0, 3, "k")
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s, "a", 3, 1, "k2")
	s.Close()
	s = open(t, Options{Dir: "store", fs: disk})
	wantFeed(t, s, 4)
	if got := s.db.FormatMajorVersion(); got != pebbleFormat {
		t.Errorf("the directory has Pebble's format %d, want %d", got, pebbleFormat)
	}
	s.Close()
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// listing names the files of a directory with their contents.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&out, "%s %q\n", path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
