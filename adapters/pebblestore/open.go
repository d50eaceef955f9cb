package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"daybook/adapters/handover"
	"daybook/core/es"
	"daybook/core/ports"
)

// Open opens the store in the directory, and makes it if there is none. Its errors are faults whose sentences say what
// is wrong with the directory. One process at a time can have a directory open.
func Open(options Options) (*Store, error) {
	if options.Logf == nil {
		options.Logf = func(string, ...any) {}
	}
	if options.fs == nil {
		options.fs = vfs.Default
	}
	if options.retryAfter == 0 {
		options.retryAfter = time.Second
	}
	if options.forgetStep == 0 {
		options.forgetStep = forgetStep
	}
	if options.pebbleFormat == 0 {
		options.pebbleFormat = pebbleFormat
	}
	s := &Store{options: options, stop: newFailstop(options.OnFailure), trouble: make(chan struct{}, 1), ends: map[es.StreamID]ports.StreamEnd{}}
	s.fs = haltingFS{options.fs, s.stop, options.Dir}
	s.life, s.end = context.WithCancel(context.Background())
	s.turn, s.forgetting = ports.NewTurn(s.life), ports.NewTurn(s.life)
	if err := s.claim(); err != nil {
		return nil, err
	}
	// gofail: var pebbleMidCreate struct{}
	err := s.checkLog()
	if err == nil {
		err = s.openPebble()
	}
	if err != nil {
		if s.stop.failure() == nil { // else a halted goroutine still has its hands in the directory
			err = errors.Join(err, s.lock.Close())
		}
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.loadTree(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.stop.armed.Store(true)
	if s.fresh { // Pebble's very first log is of an older kind that tells less about damage: begin the next one
		if err := s.stop.guard(s.db.Flush); err != nil {
			return nil, s.failed(err)
		}
	}
	return s, nil
}

// claim makes sure that the directory exists, is ours, is not in use and has room, in this order, and locks it.
func (s *Store) claim() error {
	dir := s.options.Dir
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return ports.ErrStoreUnavailable.Say("The store's directory %s cannot be made. Make it, or name another one.", dir).Because(err)
	}
	if err := s.recognize(); err != nil {
		return err
	}
	if err := s.roomToOpen(); err != nil {
		return err
	}
	lock, err := handover.Take(func() (*pebble.Lock, error) { return pebble.LockDirectory(dir, s.fs) }, syscall.EAGAIN)
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return ports.ErrStoreUnavailable.Say("The store's directory %s cannot be written to. Mend its owner and permissions, or name another one.", dir).Because(err)
	} else if err != nil {
		return ports.ErrStoreUnavailable.Say("The store in %s is in use by another process. Stop that one first, or talk to it instead.", dir).Because(err)
	}
	s.lock = lock
	s.fresh = s.found == 0
	s.forgetful.Store(s.found == formatArchived)
	if !s.fresh {
		return nil
	}
	if err := s.mark(format); err != nil {
		err = ports.ErrStoreUnavailable.Say("The store's directory %s cannot be written to.", dir).Because(err)
		return errors.Join(err, lock.Close())
	}
	return nil
}

// pebbleFormat is the format of Pebble's own files. A directory of an older one is brought to it when it is opened; a
// Daybook that knows no later one refuses the directory.
const pebbleFormat = pebble.FormatTableFormatV6

// The format of a store, in a file of its own.
const (
	markFile = "DAYBOOK"
	markText = "daybook store, format %d\n"
	// format is what a store has that has not forgotten any events.
	format = 2
	// formatUnsealed is the one before: events had no hashes.
	formatUnsealed = 1
	// formatArchived is that of a store that has forgotten events.
	formatArchived = 3
)

// recognize reads the mark of the directory. A directory with anything in it and no mark is somebody else's.
func (s *Store) recognize() error {
	dir := s.options.Dir
	names, err := s.fs.List(dir)
	if err != nil {
		return ports.ErrStoreUnavailable.Say("The store's directory %s cannot be read.", dir).Because(err)
	}
	foreign := false
	for _, name := range names {
		switch name {
		case markFile:
			s.found, err = s.readFormat()
			return err
		case "LOCK", "lost+found", markFile + ".new": // of an open that got no further, or of the file system
		default:
			foreign = true
		}
	}
	if foreign {
		return ports.ErrStoreUnavailable.Say("The directory %s is not empty and holds no Daybook store. Name an empty directory, or the one of a store.", dir)
	}
	return nil
}

// readFormat gives the format that the directory has, if this build can read it.
func (s *Store) readFormat() (found int, err error) {
	dir := s.options.Dir
	f, err := s.fs.Open(s.fs.PathJoin(dir, markFile))
	if err != nil {
		return 0, ports.ErrStoreUnavailable.Say("The store's directory %s cannot be read.", dir).Because(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return 0, ports.ErrStoreUnavailable.Say("The file %s in %s cannot be read.", markFile, dir).Because(err)
	}
	if _, err := fmt.Sscanf(string(text), markText, &found); err != nil || found < 1 {
		return 0, s.damaged(fmt.Sprintf("its file %s does not say which format the store has.", markFile), err)
	}
	if found > formatArchived {
		return 0, ports.ErrStoreUnavailable.Say("The store in %s was written by a newer Daybook, format %d; this one reads up to %d. Use that Daybook, or a later one.", dir, found, formatArchived)
	}
	return found, nil
}

// mark says that the directory is ours and of which format. The mark is whole, or it is the one before: a failure here is one that the
// store can live with, so the file system is the bare one.
func (s *Store) mark(format int) error {
	disk := s.options.fs
	name := disk.PathJoin(s.options.Dir, markFile)
	f, err := disk.Create(name+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, markText, format)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := disk.Rename(name+".new", name); err != nil {
		return err
	}
	dir, err := disk.OpenDir(s.options.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (s *Store) openPebble() error {
	err := s.stop.guard(func() (err error) {
		s.db, err = pebble.Open(s.options.Dir, s.pebbleOptions())
		return err
	})
	if err == nil {
		return nil
	}
	if pebble.IsCorruptionError(err) {
		return s.damaged("its log or manifest cannot be read, so it was not opened. Restore it from a backup.", err)
	}
	return ports.ErrStoreUnavailable.Say("The store in %s cannot be opened.", s.options.Dir).Because(err)
}

// pebbleOptions are tuned for bulk writes in batches of a thousand events on two cores and a small process when idle:
// Pebble begins with a memtable of 256 KiB and doubles it only under load.
func (s *Store) pebbleOptions() *pebble.Options {
	log := logger{s.stop, s.options.Logf}
	o := &pebble.Options{
		FS:                          s.fs,
		Lock:                        s.lock.(*pebble.Lock),
		Logger:                      log,
		FormatMajorVersion:          s.options.pebbleFormat,
		CacheSize:                   cacheSize,
		MemTableSize:                s.memTableSize(),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       24,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		EventListener: &pebble.EventListener{
			BackgroundError: s.backgroundError,
			// A damaged block is an error at its reader, who says which event is gone; the default would end the process.
			DataCorruption: func(info pebble.DataCorruptionInfo) { log.Errorf("%s", info) },
		},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = newOutcomeFilter()
		o.Levels[i].BlockSize = 16 << 10                    // for those who read the feed from end to end
		o.TargetFileSizes[i] = min(int64(2<<20)<<i, 16<<20) // a filter is read whole, so tables stay small
	}
	o.Experimental.ReadSamplingMultiplier = -1 // nothing is overwritten, so reads have no compaction to ask for
	return o
}

// backgroundError is told when tables could not be written, as on a full disk. Pebble tries again at once, so the pause
// here, which ends when the store is closed, is what keeps it from turning a processor into heat.
func (s *Store) backgroundError(err error) {
	s.options.Logf("The store in %s could not write a table and will try again: %v", s.options.Dir, err)
	select {
	case s.trouble <- struct{}{}:
	default:
	}
	pause := time.NewTimer(s.options.retryAfter)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-s.life.Done():
	}
}

// load finds the head, the last recorded time, the archived position and the oldest refusal.
func (s *Store) load() error {
	s.oldest = noRefusal
	events, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableEvents}, UpperBound: []byte{tableEvents + 1}})
	if err != nil {
		return s.unreadable(err, "its last event")
	}
	defer events.Close()
	if events.Last() {
		last, err := es.ParseRecorded(events.Value())
		if err != nil || string(appendEventKey(nil, last.Position)) != string(events.Key()) {
			return s.damaged("its last event cannot be read.", err)
		}
		s.last = last.RecordedAt
		s.head.Raise(last.Position)
	}
	if err := events.Error(); err != nil {
		return s.unreadable(err, "its last event")
	}
	archived, err := s.readArchived()
	if err != nil {
		return err
	}
	if archived > 0 && archived >= s.head.At() {
		return s.damaged(fmt.Sprintf("it says that the events up to position %d were forgotten, and ends at %d.", archived, s.head.At()), nil)
	}
	s.archived.Raise(archived)
	refusals, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableRefusals}, UpperBound: []byte{tableRefusals + 1}})
	if err != nil {
		return s.unreadable(err, "its refusals")
	}
	defer refusals.Close()
	if refusals.First() {
		s.oldest, _, _ = parseRefusalKey(refusals.Key())
	}
	if err := refusals.Error(); err != nil {
		return s.unreadable(err, "its refusals")
	}
	return nil
}
