package pebblestore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/test/faulttable"
)

var epoch = time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func TestAPowerLossLosesNothingThatWasAnsweredAndHalvesNothing(t *testing.T) {
	faulttable.Covers(t, "F16", faulttable.Pebble)
	noLeaks(t)
	disk := vfs.NewCrashableMem()
	s := open(t, Options{Dir: "store", fs: disk})
	random := newRandom()
	const perBatch = 3
	for n := range 12 {
		mustWrite(t, s, "a", es.Version(n*perBatch), perBatch, fmt.Sprint("k", n))
		if n == 5 {
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n % 4 {
			if err := s.SaveCheckpoint(t.Context(), "c", 0, es.Position(n+i)); err != nil { // not synced
				t.Fatal(err)
			}
		}
		for _, percent := range []int{0, 20, 50, 50, 80, 100} {
			crashed := open(t, Options{Dir: "store", fs: disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: random})})
			wantFeed(t, crashed, es.Position((n+1)*perBatch))
			if o, err := crashed.Outcome(t.Context(), fmt.Sprint("k", n)); err != nil || o == nil {
				t.Errorf("batch %d: the outcome is %v, %v", n, o, err)
			}
			crashed.Close()
		}
	}
	s.Close()
}

func TestALogCutShortAnywhereShowsWholeBatches(t *testing.T) {
	faulttable.Covers(t, "F17", faulttable.Pebble)
	noLeaks(t)
	const perBatch = 3
	disk := vfs.NewMem()
	s := open(t, Options{Dir: "store", fs: disk})
	for n := range 4 {
		mustWrite(t, s, "a", es.Version(n*perBatch), perBatch, fmt.Sprint("k", n))
	}
	log := newest(t, disk, "*.log")
	whole := read(t, disk, log)
	last := es.Position(4 * perBatch)
	for cut := len(whole) - 1; cut >= 0; cut -= 7 {
		clone := cloneOf(t, disk)
		overwrite(t, clone, log, whole[:cut])
		opened, err := Open(Options{Dir: "store", fs: clone})
		if err != nil {
			if fault.KindOf(err) != fault.Internal { // refused with words is the other right answer
				t.Fatalf("cut at %d: %v", cut, err)
			}
			continue
		}
		head, _ := opened.Head(t.Context())
		if head%perBatch != 0 || head > last {
			t.Errorf("cut at %d of %d: the head is %d after one of %d", cut, len(whole), head, last)
		}
		last = head
		wantFeed(t, opened, head)
		opened.Close()
	}
	if last != 0 {
		t.Errorf("the shortest log still shows %d events", last)
	}
	s.Close()
}

func TestAFlippedBitInTheLogIsNotTakenForItsEnd(t *testing.T) {
	faulttable.Covers(t, "F17", faulttable.Pebble)
	noLeaks(t)
	disk := vfs.NewMem()
	s := open(t, Options{Dir: "store", fs: disk})
	for n := range 6 {
		mustWrite(t, s, "a", es.Version(n*3), 3, fmt.Sprint("k", n))
	}
	log := newest(t, disk, "*.log")
	whole := read(t, disk, log)
	for at := 0; at < len(whole)*3/5; at += 11 { // the two commits that follow show that this was on the disk
		clone := cloneOf(t, disk)
		flipped := slices.Clone(whole)
		flipped[at] ^= 4
		overwrite(t, clone, log, flipped)
		opened, err := Open(Options{Dir: "store", fs: clone})
		if err == nil {
			head, _ := opened.Head(t.Context())
			t.Errorf("with byte %d of %d flipped the store opens with head %d", at, len(whole), head)
			opened.Close()
			continue
		}
		wantDamage(t, err)
	}
	s.Close()
}

// A block of the log ends in zeros where no header fits any more, and in zeros ends a log that was made in advance: neither
// is damage, however many there are.
func TestAHealthyLogIsHealthyWhereverItsBlocksEnd(t *testing.T) {
	commit := func(size int) []byte {
		row := append(make([]byte, 8+4), 1, 9, tableEvents, 0, 0, 0, 0, 0, 0, 0, 1) // sequence, count, kind, length of the key, key
		return append(row, make([]byte, size-len(row))...)
	}
	for left := range 64 { // bytes of the first block
		var log bytes.Buffer
		w := record.NewLogWriter(&log, 7, record.LogWriterConfig{WriteWALSyncOffsets: func() bool { return true }})
		for _, size := range []int{logBlock - newerHeader - left, 500, 700, 900} {
			if _, err := w.WriteRecord(commit(size)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		c := logCheck{number: 7}
		for text := append(log.Bytes(), make([]byte, logBlock)...); len(text) > 0; c.before += logBlock {
			n := min(logBlock, len(text))
			c.look(text[:n])
			text = text[n:]
		}
		if c.position != 1 || c.invalid && c.commits > 0 {
			t.Errorf("with %d bytes left of a block, the log is said to be damaged at byte %d, with %d commits behind", left, c.place, c.commits)
		}
	}
}

func TestACloseLeavesNothingToTheLog(t *testing.T) {
	noLeaks(t)
	disk := vfs.NewMem()
	s := open(t, Options{Dir: "store", fs: disk})
	mustWrite(t, s, "a", 0, 3, "k")
	s.Close()
	names, err := disk.List("store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if filepath.Ext(name) == ".log" {
			overwrite(t, disk, disk.PathJoin("store", name), nil)
		}
	}
	s = open(t, Options{Dir: "store", fs: disk})
	wantFeed(t, s, 3)
	s.Close()
}

func TestAFlippedBitFailsItsReadersAndNoOthers(t *testing.T) {
	faulttable.Covers(t, "F18", faulttable.Pebble)
	noLeaks(t)
	disk := vfs.NewMem()
	s := open(t, Options{Dir: "store", fs: disk})
	const n = 1000 // a few blocks of events
	for i := range n {
		mustWrite(t, s, es.StreamID(fmt.Sprint("acc-", i%10)), es.Version(i/10), 1, fmt.Sprint("k", i))
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	table := newest(t, disk, "*.sst")
	whole := read(t, disk, table)
	unreadable, readable := 0, 0
	for at := 100; at < len(whole); at += len(whole)/20 + 1 {
		clone := cloneOf(t, disk)
		damagedBytes := slices.Clone(whole)
		damagedBytes[at] ^= 4
		overwrite(t, clone, table, damagedBytes)
		s, err := Open(Options{Dir: "store", fs: clone})
		if err != nil {
			wantDamage(t, err)
			continue
		}
		for p := range es.Position(n) {
			events, err := s.ReadFeed(t.Context(), p, 1)
			switch {
			case err != nil:
				wantDamage(t, err)
				wantWords(t, err, fmt.Sprintf("position %d ", p+1))
				unreadable++
			case len(events) != 1 || events[0].Position != p+1 || string(events[0].Data) != `{"amount":1}`:
				t.Fatalf("byte %d: position %d was read as %+v", at, p+1, events)
			default:
				readable++
			}
		}
		for i := range 10 {
			if _, err := s.ReadStream(t.Context(), es.StreamID(fmt.Sprint("acc-", i)), 0, n); err != nil {
				wantDamage(t, err)
			}
		}
		s.Close()
	}
	if unreadable == 0 || readable == 0 {
		t.Errorf("%d events were unreadable and %d readable: the test has not met both", unreadable, readable)
	}
}

func wantDamage(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errDamaged) || fault.KindOf(err) != fault.Internal {
		t.Fatalf("got %v, want a fault that speaks of damage", err)
	}
}

func wantWords(t *testing.T, err error, words string) {
	t.Helper()
	wantCode(t, "read", err, errDamaged, words)
}

// newest finds the file of the store with the highest number among those that match.
func newest(t *testing.T, fs vfs.FS, pattern string) string {
	t.Helper()
	names, err := fs.List("store")
	if err != nil {
		t.Fatal(err)
	}
	found := ""
	for _, name := range names {
		if match, _ := filepath.Match(pattern, name); match && name > found {
			found = name
		}
	}
	return fs.PathJoin("store", found)
}

func read(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, info.Size())
	if _, err := f.ReadAt(data, 0); err != nil && len(data) > 0 {
		t.Fatal(err)
	}
	return data
}

func overwrite(t *testing.T, fs vfs.FS, path string, data []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(slices.Clone(data)) // a file may change what it was given
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// cloneOf copies a store's files as they are now.
func cloneOf(t *testing.T, fs vfs.FS) *vfs.MemFS {
	t.Helper()
	to := vfs.NewMem()
	if _, err := vfs.Clone(fs, to, "store", "store"); err != nil {
		t.Fatal(err)
	}
	return to
}
