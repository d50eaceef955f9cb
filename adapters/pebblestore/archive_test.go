package pebblestore

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
)

// filled gives a store with events of three streams, and these.
func filled(t *testing.T, o Options, each int) (*Store, []es.Recorded) {
	t.Helper()
	s := open(t, o)
	for n := range 5 {
		for _, stream := range []es.StreamID{"a", "b", "c"} {
			mustWrite(t, s, stream, es.Version(n*each), each, string(stream))
		}
	}
	all, err := s.ReadFeed(t.Context(), 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return s, all
}

func archived(t *testing.T, s *Store) es.Position {
	t.Helper()
	p, err := s.Archived(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAForgettingThatIsCutShortByTheDiskHasForgottenWhatArchivedSays(t *testing.T) {
	const step, steps = 10, 12
	for cut := range int32(steps) {
		disk := vfs.NewCrashableMem() // no look for leaks: a store that has failed keeps what it had until the process ends
		var on atomic.Bool
		var left atomic.Int32
		left.Store(cut)
		fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
			if on.Load() && sync && filepath.Ext(op.Path) == ".log" && left.Add(-1) < 0 {
				return syscall.EIO
			}
			return nil
		}))
		s, all := filled(t, Options{Dir: "store", fs: fs, forgetStep: step}, 10)
		on.Store(true)
		wantCode(t, "forget", s.Forget(t.Context(), step*steps), ports.ErrStoreUnavailable, "has failed")
		if p := archived(t, s); p != es.Position(cut)*step {
			t.Errorf("after %d steps archived is %d", cut, p)
		}
		for _, percent := range []int{0, 30, 60, 100} { // of what was not synced
			crashed := open(t, Options{Dir: "store", fs: disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: newRandom()}), forgetStep: step})
			p := archived(t, crashed)
			if least := es.Position(cut) * step; p != least && p != least+step {
				t.Errorf("after %d steps and a crash archived is %d", cut, p)
			}
			contract.WantForgotten(t, crashed, all, p)
			if err := crashed.Forget(t.Context(), step*steps); err != nil {
				t.Error(err)
			}
			contract.WantForgotten(t, crashed, all, step*steps)
			crashed.Close()
		}
		s.Close()
	}
}

func TestAPowerLossWhileEventsAreForgottenAndWrittenLosesNothing(t *testing.T) {
	faulttable.Covers(t, "F16", faulttable.Pebble)
	noLeaks(t)
	disk := vfs.NewCrashableMem()
	random := newRandom()
	s, all := filled(t, Options{Dir: "store", fs: disk, forgetStep: 4}, 4)
	forgotten := make(chan error, 1)
	go func() { forgotten <- s.Forget(t.Context(), 50) }()
	for n := range 10 {
		for _, percent := range []int{0, 50, 100} {
			crashed := open(t, Options{Dir: "store", fs: disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: random})})
			contract.WantForgotten(t, crashed, all, archived(t, crashed))
			crashed.Close()
		}
		mustWrite(t, s, "a", es.Version(20+n), 1, "k")
		next, err := s.ReadFeed(t.Context(), es.Position(len(all)), 2)
		if err != nil || len(next) != 1 {
			t.Fatalf("%d events, %v", len(next), err)
		}
		all = append(all, next...)
		if err := s.SaveSnapshots(t.Context(), []ports.Snapshot{{Stream: "a", Position: es.Position(n), Body: []byte("body")}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-forgotten; err != nil {
		t.Fatal(err)
	}
	contract.WantForgotten(t, s, all, 50)
	s.Close()
}

func TestAReaderFromBeforeAForgettingSeesEventsOrPlaces(t *testing.T) {
	noLeaks(t)
	s, all := filled(t, Options{Dir: "store", fs: vfs.NewMem()}, 4)
	defer s.Close()
	before, err := s.events(1, 60)
	if err != nil {
		t.Fatal(err)
	}
	defer before.close()
	if err := s.Forget(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	for first := es.Position(1); first <= 60; first++ {
		late, err := s.events(first, 60) // as if it had been made in between
		if err != nil {
			t.Fatal(err)
		}
		late.gone = 0
		for p := first; p <= 60; p++ {
			var a, b es.Recorded
			if err := before.read(&a, p, 1); err != nil || string(a.JSON()) != string(all[p-1].JSON()) {
				t.Errorf("position %d is %+v, %v", p, a, err)
			}
			if err := late.read(&b, p, 1); err != nil || b.Position != p || b.Forgotten() != (p <= 20) {
				t.Errorf("from %d on position %d is %+v, %v", first, p, b, err)
			}
		}
		late.close()
	}
}

func TestAStoreHasTheOldFormatUntilItForgetsEvents(t *testing.T) {
	noLeaks(t)
	dir := filepath.Join(t.TempDir(), "store")
	s, all := filled(t, Options{Dir: dir}, 4)
	wantMark := func(dir, want string) {
		t.Helper()
		if mark, err := os.ReadFile(filepath.Join(dir, markFile)); err != nil || !strings.Contains(string(mark), want) {
			t.Errorf("the mark of %s is %q, %v; want %q", dir, mark, err, want)
		}
	}
	for i, want := range []string{"format 2", "format 3"} {
		p := es.Position(i) * 30
		if err := s.Forget(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = open(t, Options{Dir: dir})
		wantMark(dir, want)
		backup, restored := dir+".backup."+want[7:], dir+".restored."+want[7:]
		if _, err := s.Backup(t.Context(), backup); err != nil {
			t.Fatal(err)
		}
		wantMark(backup, want)
		if _, err := Restore(backup, restored); err != nil {
			t.Fatal(err)
		}
		wantMark(restored, want)
		again := open(t, Options{Dir: restored})
		contract.WantForgotten(t, again, all, p)
		mustWrite(t, again, "a", 20, 1, "k")
		again.Close()
	}
	s.Close()
}

func TestAMarkThatCannotBeWrittenIsNoHarm(t *testing.T) {
	noLeaks(t)
	fs, on := failing(vfs.NewMem(), markFile+".new", syscall.ENOSPC, errorfs.OpCreate, errorfs.OpFileWrite)
	s, all := filled(t, Options{Dir: "store", fs: fs}, 4)
	on.Store(true)
	wantCode(t, "forget", s.Forget(t.Context(), 30), ports.ErrStoreUnavailable, markFile, "nothing was done")
	contract.WantForgotten(t, s, all, 0)
	on.Store(false)
	if err := s.Forget(t.Context(), 30); err != nil {
		t.Error(err)
	}
	contract.WantForgotten(t, s, all, 30)
	s.Close()
}

func TestWhatIsKeptOfForgottenEventsIsCheckedWhenItIsRead(t *testing.T) {
	noLeaks(t)
	for what, change := range map[string]func(p pebbleAPI){
		"the end of a stream is gone":          func(p pebbleAPI) { p.must(p.db.Delete(appendLastKey(nil, "b"), nil)) },
		"the end of a stream is another one":   func(p pebbleAPI) { p.must(p.db.Set(appendLastKey(nil, "b"), make([]byte, 40), nil)) },
		"the archived position is no position": func(p pebbleAPI) { p.must(p.db.Set(keyArchived, []byte("x"), nil)) },
		"the archived position is past the end": func(p pebbleAPI) {
			p.must(p.db.Set(keyArchived, []byte{0, 0, 0, 0, 0, 0, 1, 0}, nil))
		},
		"the archived position is too low": func(p pebbleAPI) { p.must(p.db.Set(keyArchived, make([]byte, 8), nil)) },
	} {
		t.Run(what, func(t *testing.T) {
			disk := vfs.NewMem()
			s, _ := filled(t, Options{Dir: "store", fs: disk}, 1)
			if err := s.Forget(t.Context(), 14); err != nil { // all of a and b
				t.Fatal(err)
			}
			change(pebbleAPI{t, s.db})
			s.Close()
			s, err := Open(Options{Dir: "store", fs: disk})
			if err == nil {
				defer s.Close()
				if _, err = s.ReadFeed(t.Context(), 0, 10); err == nil {
					err = write(t, s, "b", 5, 1, "k")
				}
			}
			wantCode(t, what, err, errDamaged)
		})
	}
}

func TestWritesBesideUnitsOfWorkDoNotMakeATornEndOfTheLogDamage(t *testing.T) {
	record := func(key []byte) (header, payload []byte) {
		header = make([]byte, olderHeader)
		header[6] = olderFull
		payload = append(make([]byte, 8+4+1), byte(len(key)))
		return header, append(payload, key...)
	}
	for what, c := range map[string]struct {
		key     []byte
		commits int
	}{
		"a commit":     {appendEventKey(nil, 1), 1},
		"a forgetting": {keyArchived, 0},
		"a checkpoint": {appendCheckpointKey(nil, "c"), 0},
		"a snapshot":   {appendSnapshotKey(nil, "a", 1), 0},
	} {
		behind := logCheck{invalid: true}
		if behind.see(record(c.key)); behind.commits != c.commits {
			t.Errorf("%s counts as %d commits", what, behind.commits)
		}
	}
}
