package pebblestore

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// write appends n events to a stream at a version, with an outcome under key.
func write(t *testing.T, s *Store, stream es.StreamID, at es.Version, n int, key string) error {
	t.Helper()
	u, err := s.Begin(t.Context(), ports.Needs{Streams: []ports.StreamNeed{{Stream: stream, After: at}}})
	if err != nil {
		return err
	}
	known := u.Known()
	recordedAt := ports.NextTime(known.LastRecordedAt, epoch)
	b := ports.Batch{Outcomes: []ports.Outcome{{Key: key, RecordedAt: recordedAt, Body: []byte("done")}}}
	for i := range n {
		b.Events = append(b.Events, es.Recorded{
			Stream: stream, Version: at + es.Version(i) + 1, Position: known.Head + es.Position(i) + 1, Type: "TestHappened", Schema: 1,
			EffectiveAt: recordedAt, RecordedAt: recordedAt, Data: []byte(`{"amount":1}`), Metadata: []byte(`{"principal":"test"}`),
		})
	}
	return u.Commit(t.Context(), b)
}

func mustWrite(t *testing.T, s *Store, stream es.StreamID, at es.Version, n int, key string) {
	t.Helper()
	if err := write(t, s, stream, at, n, key); err != nil {
		t.Fatal(err)
	}
}

// wantFeed checks that the whole feed can be read and ends at head.
func wantFeed(t *testing.T, s *Store, head es.Position) {
	t.Helper()
	if h, err := s.Head(t.Context()); err != nil || h != head {
		t.Errorf("the head is %d, %v; want %d", h, err, head)
	}
	events, err := s.ReadFeed(t.Context(), 0, 1_000_000)
	if err != nil || es.Position(len(events)) != head {
		t.Errorf("the feed shows %d events, %v; want %d", len(events), err, head)
	}
}

func wantCode(t *testing.T, what string, err error, want *fault.Fault, words ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %s", what, err, want.Code)
		return
	}
	for _, w := range words {
		if !strings.Contains(fault.Of(err).Msg, w) {
			t.Errorf("%s: %q does not say %q", what, fault.Of(err).Msg, w)
		}
	}
}

// failing is a file system on which one kind of operation on some files fails once it is switched on.
func failing(fs vfs.FS, pattern string, err error, kinds ...errorfs.OpKind) (*errorfs.FS, *atomic.Bool) {
	on := new(atomic.Bool)
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !on.Load() {
			return nil
		}
		for _, k := range kinds {
			if match, _ := filepath.Match(pattern, filepath.Base(op.Path)); match && op.Kind == k {
				return err
			}
		}
		return nil
	})), on
}

func TestAWriteThatMustNotFailAndDidStopsTheStoreForGood(t *testing.T) {
	faulttable.Covers(t, "F15", faulttable.Pebble)
	for what, c := range map[string]struct {
		pattern string
		err     error
		kinds   []errorfs.OpKind
		flush   bool // it happens in the background or at the change of a memtable
	}{
		"a failed sync of the log":            {"*.log", syscall.EIO, []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, false},
		"a failed write of the log":           {"*.log", syscall.EIO, []errorfs.OpKind{errorfs.OpFileWrite}, false},
		"a log on a full disk":                {"*.log", syscall.ENOSPC, []errorfs.OpKind{errorfs.OpFileWrite}, false},
		"a new log that cannot be made":       {"*.log", syscall.ENOSPC, []errorfs.OpKind{errorfs.OpCreate, errorfs.OpReuseForWrite}, true},
		"a failed write of the manifest":      {"MANIFEST-*", syscall.EIO, []errorfs.OpKind{errorfs.OpFileWrite}, true},
		"a failed sync of the manifest":       {"MANIFEST-*", syscall.EIO, []errorfs.OpKind{errorfs.OpFileSync}, true},
		"a failed sync of a log that is full": {"*.log", syscall.EIO, []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, true},
	} {
		t.Run(what, func(t *testing.T) {
			disk := vfs.NewCrashableMem() // no look for leaks: a store that has failed keeps what it had until the process ends
			fs, on := failing(disk, c.pattern, c.err, c.kinds...)
			reported := make(chan error, 1)
			s := open(t, Options{Dir: "store", fs: fs, OnFailure: func(err error) { reported <- err }})
			mustWrite(t, s, "a", 0, 3, "before")
			on.Store(true)
			acked := es.Position(3)
			if c.flush {
				go func() { _ = s.db.Flush() }() // never comes back
				<-s.stop.failed
			} else {
				wantCode(t, "the commit on its way", write(t, s, "a", 3, 2, "unknown"), ports.ErrOutcomeUnknown)
			}
			if err := <-reported; !errors.Is(err, c.err) {
				t.Errorf("reported %v, want %v", err, c.err)
			}
			on.Store(false) // the disk is well again, and still nothing is written: what was lost stays lost
			wantCode(t, "the next commit", write(t, s, "a", 3, 1, "later"), ports.ErrStoreUnavailable, "has failed", "reads go on", "start Daybook again")
			wantCode(t, "a checkpoint", s.SaveCheckpoint(t.Context(), "c", 0, 1), ports.ErrStoreUnavailable)
			wantFeed(t, s, acked)
			if events, err := s.ReadStream(t.Context(), "a", 0, 10); err != nil || len(events) != 3 {
				t.Errorf("the stream shows %d events, %v; want 3", len(events), err)
			}
			if o, err := s.Outcome(t.Context(), "before"); err != nil || o == nil {
				t.Errorf("the outcome of the commit before: %v, %v", o, err)
			}
			if !c.flush {
				_, err := s.Outcome(t.Context(), "unknown")
				wantCode(t, "the outcome of the commit that failed", err, ports.ErrStoreUnavailable)
			}
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}

			s = open(t, Options{Dir: "store", fs: disk.CrashClone(vfs.CrashCloneCfg{})})
			defer s.Close()
			if h, _ := s.Head(t.Context()); h != 3 {
				t.Errorf("after the restart the head is %d, want 3", h)
			}
			mustWrite(t, s, "a", 3, 1, "again")
			wantFeed(t, s, 4)
		})
	}
}

func TestACommitThatFailsIsSettledByItsKeyAfterTheRestart(t *testing.T) {
	faulttable.Covers(t, "F15", faulttable.Pebble)
	disk := vfs.NewCrashableMem()
	fs, on := failing(disk, "*.log", syscall.EIO, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo)
	s := open(t, Options{Dir: "store", fs: fs})
	mustWrite(t, s, "a", 0, 1, "before")
	on.Store(true)
	wantCode(t, "commit", write(t, s, "a", 1, 1, "unknown"), ports.ErrOutcomeUnknown)
	s.Close()
	for lost, percent := range map[bool]int{true: 0, false: 100} { // of what was not synced
		clone := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: newRandom()})
		s := open(t, Options{Dir: "store", fs: clone})
		o, err := s.Outcome(t.Context(), "unknown")
		events, err2 := s.ReadStream(t.Context(), "a", 1, 10)
		if err != nil || err2 != nil || (o == nil) != lost || (len(events) == 0) != lost {
			t.Errorf("lost %t: outcome %v, events %d, %v, %v", lost, o, len(events), err, err2)
		}
		s.Close()
	}
}

// once gives a channel that is closed at the first warning.
func once() (<-chan struct{}, func(string, ...any)) {
	warned := make(chan struct{})
	first := sync.OnceFunc(func() { close(warned) })
	return warned, func(string, ...any) { first() }
}

func TestATableThatCannotBeWrittenIsWrittenAgainAndNothingIsLost(t *testing.T) {
	noLeaks(t)
	fs, on := failing(vfs.NewMem(), "*.sst", syscall.ENOSPC, errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync)
	warned, warn := once()
	s := open(t, Options{Dir: "store", fs: fs, retryAfter: time.Millisecond, Logf: warn})
	mustWrite(t, s, "a", 0, 3, "k")
	on.Store(true)
	flushed, err := s.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	<-warned
	mustWrite(t, s, "a", 3, 1, "k2") // goes on: the log holds it
	on.Store(false)
	<-flushed
	wantFeed(t, s, 4)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestACloseDoesNotWaitForTablesThatCannotBeWritten(t *testing.T) {
	noLeaks(t)
	fs, on := failing(vfs.NewMem(), "*.sst", syscall.ENOSPC, errorfs.OpCreate)
	warned, warn := once()
	s := open(t, Options{Dir: "store", fs: fs, retryAfter: time.Hour, Logf: warn})
	mustWrite(t, s, "a", 0, 3, "k")
	on.Store(true)
	if _, err := s.db.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	<-warned
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	on.Store(false)
	s = open(t, Options{Dir: "store", fs: fs})
	wantFeed(t, s, 3)
	s.Close()
}
