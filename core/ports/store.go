// Package ports holds the interfaces the core needs from the outside: the store, the bus, the views, and an observer.
// Each comment is a contract, and each of its sentences is a case of the port's suite in test/contract, which every
// adapter passes. What every adapter must do in one way stands beside its port; no adapter lives here.
package ports

import (
	"context"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
)

// Faults of a store.
var (
	// ErrStoreUnavailable: nothing was read or written; a retry is safe.
	ErrStoreUnavailable = fault.New(fault.Unavailable, "store_unavailable", "The store cannot be reached right now; nothing was done.")
	// ErrStoreFull: the store has no room to write; reads go on.
	ErrStoreFull = fault.New(fault.Unavailable, "store_full", "The store is out of room: nothing was written. Reads go on; writes come back when there is room.")
	// ErrOutcomeUnknown: a commit was on its way when the store failed; it may be durable or not.
	ErrOutcomeUnknown = fault.New(fault.Unknown, "outcome_unknown", "The store failed while the command was being written: it may or may not have happened. Send it again with the same idempotency key to find out.")
	// ErrStoreClosed: the store was closed.
	ErrStoreClosed = fault.New(fault.Unavailable, "store_closed", "The store is closed.")
)

// Store is the single source of truth: an append-only sequence of events, the outcomes of commands, and checkpoints.
// All methods may be called concurrently. A context that ends makes a waiting call return its error and changes nothing.
// Slices of bytes that a store gives back are shared and must not be changed; those given to it are copied or kept
// unchanged. Errors are faults: ErrStoreUnavailable, ErrStoreFull, ErrStoreClosed, ErrOutcomeUnknown (from Commit alone),
// or Internal for damaged data; never a driver's own.
type Store interface {
	// Begin takes the write lock and gives what is known under it. It waits for the unit before it to end. The caller
	// must end the unit with Commit or Rollback.
	Begin(ctx context.Context, needs Needs) (Unit, error)

	// Head is the position of the last event, zero in an empty store.
	Head(ctx context.Context) (es.Position, error)
	// ReadStream gives up to limit events of the stream after the version, oldest first; none for an unknown stream.
	// Fewer than limit means that there were no more.
	ReadStream(ctx context.Context, stream es.StreamID, after es.Version, limit int) ([]es.Recorded, error)
	// ReadFeed gives up to limit events after the position, in position order. It never shows an event before all
	// events with smaller positions: a reader that goes on after the last position it saw misses none.
	ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error)
	// PositionAt is the position of the last event recorded at or before t, zero if there is none. It does not scan. Of events that it
	// has forgotten it need not know the time: an answer up to Archived says only that no later one was recorded by then.
	PositionAt(ctx context.Context, t time.Time) (es.Position, error)
	// Archived is the position up to which the store has forgotten events; zero at first.
	Archived(ctx context.Context) (es.Position, error)
	// Forget drops what the events up to the position say, once they are kept elsewhere, and gives their room back; their places stay.
	// From then on a read gives such an event as a place: its Position, in a stream its Stream and Version too, and no Raw. All else
	// is as before: streams go on where they end, and the tree, outcomes, snapshots and checkpoints are not touched. It refuses
	// (ErrBatchRefused) to forget the last event of the store. A position up to Archived changes nothing. A crash, or an error,
	// leaves a part of them forgotten, from the first one on, as Archived says. Those who write wait for it only for moments.
	Forget(ctx context.Context, upTo es.Position) error
	// Tree gives the tree over the hashes of all events up to the head: the seal of the whole store.
	Tree(ctx context.Context) (es.Tree, error)
	// TreeNodes gives the hashes of up to limit nodes of the tree of a level from the first one on, in order; level is that of
	// es.TreeNode. Fewer than limit means that there were no more.
	TreeNodes(ctx context.Context, level int, first uint64, limit int) ([]es.Hash, error)
	// Outcome gives the outcome kept under a command's key, or nil.
	Outcome(ctx context.Context, key string) (*Outcome, error)
	// Outcomes gives up to limit outcomes that are kept under keys from the one given on, in the order of the bytes of their
	// keys; "" is the first of all keys. Fewer than limit means that there were no more. Each is given once, also while
	// others are written; one that is written meanwhile may be given or not.
	Outcomes(ctx context.Context, from string, limit int) ([]Outcome, error)
	// Wait returns nil soon after the head is past the position (at once if it is), or the context's error.
	Wait(ctx context.Context, past es.Position) error

	// Checkpoint gives the position saved under the name, zero if there is none.
	Checkpoint(ctx context.Context, name string) (es.Position, error)
	// Checkpoints gives the positions saved under all names.
	Checkpoints(ctx context.Context) (map[string]es.Position, error)
	// SaveCheckpoint keeps a position under the name, also one below what was saved. It may be lost in a crash, but then
	// an earlier one is given: never a later one. It fails with ErrLeaseLost, and changes nothing, if the lease of the
	// same name has had a higher token.
	SaveCheckpoint(ctx context.Context, name string, token Token, p es.Position) error

	// SaveSnapshots keeps snapshots, each in the place of one of the same stream and position. They save time and are never the
	// truth: any of them may be gone at any time, as after a crash. Nobody who writes events waits for it.
	SaveSnapshots(ctx context.Context, all []Snapshot) error
	// Snapshot gives the snapshot of the stream with the highest position up to the one given, or nil. It is not checked.
	Snapshot(ctx context.Context, stream es.StreamID, upTo es.Position) (*Snapshot, error)

	// Lease takes or prolongs the lease of the name for the holder: it ends when ttl has passed by the store's clock, unless
	// it is prolonged. A holder who prolongs in time keeps its token; each new lease has a higher one, also after a restart.
	// It fails with ErrLeaseHeld while another holder's has not ended. Of several who try at once, one gets it.
	Lease(ctx context.Context, name, holder string, ttl time.Duration) (Token, error)
	// Release ends the lease at once, if the token is its current one; else it changes nothing.
	Release(ctx context.Context, name string, token Token) error

	// Close ends all use. Waiting calls return; calls after it fail with ErrStoreClosed. Closing twice is no error.
	Close() error
}

// Needs is what a batch of commands must know before it can be decided.
type Needs struct {
	Streams []StreamNeed
	Keys    []string // of commands, as in Outcome.Key
}

// StreamNeed asks for the events of a stream that the caller does not know yet.
type StreamNeed struct {
	Stream es.StreamID
	After  es.Version  // the caller knows the stream up to this version
	Hash   es.Hash     // of the event of that version; zero if the caller does not know it
	At     es.Position // and knows that there was no later version up to this position, so that the store may skip looking
}

// Unit is the store's unit of work: everything one batch of commands writes, or nothing. It is used by one goroutine.
type Unit interface {
	// Known is what was true when the unit began, and stays true until it ends: nobody else writes meanwhile.
	Known() Known
	// Commit writes the batch, durably, all or nothing, and ends the unit. A fault of kind Unavailable or Internal means
	// that nothing was written, ErrOutcomeUnknown that it may have been. It refuses (Internal) events that do not
	// continue the head and their streams without gap, and recorded times that do not rise. After it returns nil every
	// read shows the batch, and each event of it has its Hash and its Raw. It does not stop halfway when the context ends.
	Commit(ctx context.Context, b Batch) error
	// Rollback ends the unit and writes nothing. After Commit it does nothing.
	Rollback()
}

// Known is what a unit of work gives to decide on.
type Known struct {
	Head           es.Position
	LastRecordedAt time.Time       // of the event at Head; zero in an empty store
	Tails          [][]es.Recorded // for each stream asked for, its events after the version the caller knows
	Outcomes       []*Outcome      // for each key asked for, its outcome or nil
}

// Batch is what a unit writes.
type Batch struct {
	Events   []es.Recorded // positions and versions given, contiguous; Commit gives each its Hash and its Raw
	Outcomes []Outcome
}

// Outcome is what became of a command, kept under its key so that a retry gets the first answer again.
type Outcome struct {
	Key        string    // principal and idempotency key
	Refusal    bool      // a success is kept as long as its events; a refusal for RefusalsKept, after which it may be forgotten
	RecordedAt time.Time // when it was decided
	Body       []byte    // the engine's own encoding
}

// RefusalsKept is how long a store keeps the refusal of a command at the least.
const RefusalsKept = 24 * time.Hour

// Snapshot is the state of a stream after one of its events, so that it need not be made from all the events before. What else is kept
// of a stream to save time goes by a name that begins with the stream's id and a slash, which no stream has, and by numbers of its own.
type Snapshot struct {
	Stream   es.StreamID // or such a name
	Position es.Position // of the event, or such a number
	Body     []byte      // the engine's own encoding
}

// Append is the simple form of the unit of work: it writes events to one stream if the stream is at the expected version,
// else it fails with ErrVersionConflict and writes nothing. Of each event it takes Type, Schema, EffectiveAt, Data and
// Metadata; it returns them as recorded. now is the clock; recorded time rises even when the clock does not.
func Append(ctx context.Context, s Store, now time.Time, stream es.StreamID, expected es.Version, drafts ...es.Recorded) ([]es.Recorded, error) {
	unit, err := s.Begin(ctx, Needs{Streams: []StreamNeed{{Stream: stream, After: expected}}})
	if err != nil {
		return nil, err
	}
	defer unit.Rollback()
	known := unit.Known()
	if len(known.Tails[0]) > 0 {
		return nil, ErrVersionConflict
	}
	if expected > 0 {
		last, err := s.ReadStream(ctx, stream, expected-1, 1)
		if err != nil {
			return nil, err
		}
		if len(last) == 0 {
			return nil, ErrVersionConflict
		}
	}
	at := NextTime(known.LastRecordedAt, now)
	events := make([]es.Recorded, len(drafts))
	for i, d := range drafts {
		n := es.Version(i + 1)
		d.Stream, d.Version, d.Position, d.RecordedAt = stream, expected+n, known.Head+es.Position(n), at
		if d.EffectiveAt.IsZero() {
			d.EffectiveAt = at
		}
		events[i] = d
	}
	return events, unit.Commit(ctx, Batch{Events: events})
}

// ErrVersionConflict: the stream is not at the version the caller expected.
var ErrVersionConflict = fault.New(fault.Conflict, "version_conflict", "The stream is not at the expected version.")

// NextTime is the recorded time of the next command: now in UTC and microseconds, or one microsecond after last if that is later.
func NextTime(last, now time.Time) time.Time {
	now = now.UTC().Truncate(time.Microsecond)
	if earliest := last.Add(time.Microsecond); now.Before(earliest) {
		return earliest
	}
	return now
}
