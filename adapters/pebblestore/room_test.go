package pebblestore

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

const mib = 1 << 20

func setFree(disk *vfs.MemFS, free, total uint64) {
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: total, UsedBytes: total - free})
}

func TestWritesStopBeforeTheDiskIsFullAndComeBackWhenThereIsRoom(t *testing.T) {
	faulttable.Covers(t, "F14", faulttable.Pebble)
	noLeaks(t)
	disk := vfs.NewMem()
	setFree(disk, 900*mib, 1000*mib)
	s := open(t, Options{Dir: "store", fs: disk})
	defer s.Close()
	mustWrite(t, s, "a", 0, 2, "k")
	setFree(disk, 63*mib, 1000*mib)
	for range 3 {
		err := write(t, s, "a", 2, 1, "k2")
		wantCode(t, "write", err, ports.ErrStoreFull, "63.0 MiB free", "64.0 MiB are kept in reserve", "Reads go on")
		if f := fault.Of(err); f.Kind != fault.Unavailable || len(f.Details) != 2 || f.Details[0].Value != 63*mib {
			t.Errorf("the fault is %+v", f)
		}
		wantFeed(t, s, 2)
		if o, err := s.Outcome(t.Context(), "k"); err != nil || o == nil {
			t.Errorf("outcome: %v, %v", o, err)
		}
	}
	setFree(disk, 64*mib, 1000*mib)
	mustWrite(t, s, "a", 2, 1, "k2")
	wantFeed(t, s, 3)
}

func TestTheReserveIsAnOptionAndSmallerOnASmallDisk(t *testing.T) {
	noLeaks(t)
	for _, c := range []struct{ option, total, want uint64 }{
		{0, 100_000 * mib, 64 * mib}, {0, 512 * mib, 64 * mib}, {0, 8 * mib, mib}, {5 * mib, 8 * mib, 5 * mib}, {500 * mib, 8000 * mib, 500 * mib},
	} {
		disk := vfs.NewMem()
		setFree(disk, c.total, c.total)
		s := open(t, Options{Dir: "store", fs: disk, MinFree: c.option})
		setFree(disk, c.want, c.total)
		mustWrite(t, s, "a", 0, 1, "k")
		setFree(disk, c.want-1, c.total)
		wantCode(t, "write", write(t, s, "a", 1, 1, "k2"), ports.ErrStoreFull)
		s.Close()
	}
}

func TestADiskFourFifthsUsedIsWarnedOfOnceUntilItHasRoomAgain(t *testing.T) {
	faulttable.Covers(t, "F14", faulttable.Pebble)
	noLeaks(t)
	disk := vfs.NewMem()
	setFree(disk, 900*mib, 1000*mib)
	warnings := 0
	s := open(t, Options{Dir: "store", fs: disk, Logf: func(format string, _ ...any) {
		if strings.Contains(format, "80 %% used") {
			warnings++
		}
	}})
	defer s.Close()
	for i, c := range []struct {
		free     uint64
		warnings int
	}{{201, 0}, {199, 1}, {150, 1}, {199, 1}, {300, 1}, {100, 2}} {
		setFree(disk, c.free*mib, 1000*mib)
		u, err := s.Begin(t.Context(), ports.Needs{})
		if err != nil {
			t.Fatal(err)
		}
		u.Rollback()
		if warnings != c.warnings {
			t.Errorf("step %d: %d MiB free gave %d warnings, want %d", i, c.free, warnings, c.warnings)
		}
	}
}

func TestAStoreOnAFullDiskIsNotOpenedAndSaysSo(t *testing.T) {
	noLeaks(t)
	disk := vfs.NewMem()
	setFree(disk, 1000*mib, 1000*mib)
	s := open(t, Options{Dir: "store", fs: disk})
	mustWrite(t, s, "a", 0, 2, "k")
	s.Close()
	setFree(disk, 15*mib, 1000*mib)
	_, err := Open(Options{Dir: "store", fs: disk})
	wantCode(t, "open", err, ports.ErrStoreFull, "store has 15.0 MiB free; opening it needs 16.0 MiB", "Make room and start again")
	setFree(disk, 16*mib, 1000*mib) // below the reserve: for reading
	s = open(t, Options{Dir: "store", fs: disk})
	wantFeed(t, s, 2)
	wantCode(t, "write", write(t, s, "a", 2, 1, "k2"), ports.ErrStoreFull)
	s.Close()
}
