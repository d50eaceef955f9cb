// Package pebblestore is the embedded store: a directory on the local disk, one process, no server. It keeps the contract
// of ports.Store on top of Pebble, a log-structured merge tree. Only what is about that directory may live here.
//
// The tables, each under a prefix byte; numbers are 8 bytes, big-endian, so that keys sort as numbers do:
//
//	'e' position               the event as JSON with its hash, byte for byte as es.Recorded.AppendJSON writes it
//	's' stream 0x00 version    the position of that version of the stream
//	'c' key                    the outcome of a command, see appendOutcome
//	'x' recorded time, key     a refusal, by age, so that it can be forgotten
//	'p' name                   a checkpoint
//	'z' stream 0x00 position   a snapshot of the stream
//	't'                        the tree of hashes up to the last event, as es.Tree.AppendBinary writes it
//	'n' level index            a node of that tree; the level is one byte
//	'a'                        the position up to which events were forgotten; their rows under 'e' are gone
//	'a' stream                 the version and the hash of the last event of the stream that was forgotten
//
// A commit is one Pebble batch, synced. The file DAYBOOK next to Pebble's own says that the directory is ours and in
// which format, so that both are known before Pebble touches anything.
//
// A write to the log or the manifest that fails stops the store for good (see failstop): the commit on its way is
// answered with ErrOutcomeUnknown, later ones are refused, reads go on. A failed sync is never tried again, since the
// system may have dropped what it could not write. Writing stops before the disk is full: a reserve is kept free in which
// Pebble can finish its own work, and which makes a ballast file unnecessary. When others fill the reserve too, the
// store cannot be opened until there is room again, and says so.
package pebblestore

import (
	"context"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Options say where the store lives and how it behaves. Dir is required.
type Options struct {
	Dir string // made if it does not exist; must be empty or hold a store of ours
	// NoSync answers commits before they are on disk: a crash of the machine (not of the process alone) may lose the last
	// ones, though never some and not those before them. For benchmarks and tests.
	NoSync bool
	// MinFree is how many bytes of the disk are left free: below it, commands are refused with ErrStoreFull. Zero means
	// 64 MiB, or an eighth of a smaller disk.
	MinFree uint64
	// Logf takes warnings: the disk fills up, background work failed. It must not block or call the store. Nil drops them.
	Logf func(format string, args ...any)
	// OnFailure is called once, from a goroutine of its own, when the store has failed and takes no more writes until the
	// process is started again. Nil is allowed.
	OnFailure func(error)

	fs           vfs.FS                    // nil means the real one
	retryAfter   time.Duration             // until background work that failed is tried again; zero means a second
	pebbleFormat pebble.FormatMajorVersion // zero means ours
	forgetStep   int                       // zero means ours
}

// errDamaged: what is on disk is not what was written.
var errDamaged = fault.New(fault.Internal, "store_damaged", "A part of the store is damaged and cannot be read.")

// Store is a ports.Store in a directory. Open makes one.
type Store struct {
	options  Options
	fs       vfs.FS
	lock     io.Closer
	db       *pebble.DB
	stop     *failstop
	head     es.Watermark
	archived es.Watermark            // events up to it were forgotten, durably
	tree     atomic.Pointer[es.Tree] // up to head
	life     context.Context         // ends when the store is closed
	end      context.CancelFunc
	writing  atomic.Pointer[flight] // the commit on its way, or the one that failed

	found   int           // the format of the directory before this Open; zero: it had none
	fresh   bool          // the directory was made by this Open
	wrote   atomic.Bool   // something has been committed since the store was opened
	trouble chan struct{} // holds a token once tables could not be written

	use    sync.RWMutex // read-held by every call that touches db, so that none does after Close
	closed bool         // guarded by use

	checkpoints sync.Mutex // held while one is saved
	leases      ports.LocalLeases

	forgetting ports.Turn  // of those who forget events
	forgetful  atomic.Bool // the directory's mark says that events were forgotten, or will be

	turn ports.Turn // of units of work; whoever has it may touch what follows
	last time.Time  // recorded time of the event at head; zero while there is none
	// oldest is the recorded time of the oldest refusal kept, in microseconds; noRefusal while there is none.
	oldest  int64
	reserve uint64 // bytes of the disk to be left free
	warned  bool   // that the disk fills up
	ends    map[es.StreamID]ports.StreamEnd
	buffer  []byte
}

// noRefusal is after every time.
const noRefusal = math.MaxInt64

// enter begins a call that uses db; leave must follow unless it gives an error.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil && s.life.Err() == nil {
		return err
	}
	s.use.RLock()
	if s.closed {
		s.use.RUnlock()
		return ports.ErrStoreClosed
	}
	return nil
}

func (s *Store) leave() { s.use.RUnlock() }

// Head implements ports.Store.
func (s *Store) Head(ctx context.Context) (es.Position, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	return s.head.At(), nil
}

// Wait implements ports.Store.
func (s *Store) Wait(ctx context.Context, past es.Position) error {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.life, stop)()
	err := s.head.Wait(waiting, past+1)
	if s.life.Err() != nil {
		return ports.ErrStoreClosed
	}
	return err
}

// Close implements ports.Store. A commit that is on its way is finished first. A store that has failed is left as it is,
// and its directory stays locked, until the process ends.
func (s *Store) Close() error {
	s.end()
	s.use.Lock()
	defer s.use.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.stop.failure() != nil {
		return nil
	}
	err := s.stop.guard(func() error {
		s.flush()
		return s.db.Close()
	})
	if err == nil {
		err = s.lock.Close()
	}
	if err != nil {
		return ports.ErrStoreUnavailable.Say("The store in %s could not be closed in order; what was committed is safe.", s.options.Dir).Because(err)
	}
	return nil
}

// flush moves what only the log has into tables, whose checksums cover every byte. Where tables cannot be written now, the
// log will do.
func (s *Store) flush() {
	if !s.wrote.Load() || len(s.trouble) > 0 {
		return
	}
	if flushed, err := s.db.AsyncFlush(); err == nil {
		select {
		case <-flushed:
		case <-s.trouble:
		}
	}
}

// unreadable is the fault for an error of a read; what says which part could not be read.
func (s *Store) unreadable(err error, what string) error {
	if pebble.IsCorruptionError(err) {
		return errDamaged.Say("The store in %s is damaged: %s cannot be read.", s.options.Dir, what).Because(err)
	}
	return ports.ErrStoreUnavailable.Say("The store in %s could not read %s.", s.options.Dir, what).Because(err)
}

// damaged is the fault for bytes that are there but wrong, or missing.
func (s *Store) damaged(what string, err error) error {
	return errDamaged.Say("The store in %s is damaged: %s", s.options.Dir, what).Because(err)
}
