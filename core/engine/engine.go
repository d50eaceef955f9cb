// Package engine runs the use cases over the ports: it executes commands through the sequencer, relays the feed to the
// bus, projects events into the views, answers queries from views and history, and rebuilds views. It knows the ports and
// the modules' tables, never an adapter: no SQL, HTTP, Watermill, configuration or logger lives here.
package engine

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Options are what an engine is made of. All ports are required; zero sizes mean the defaults.
type Options struct {
	Registry *es.Registry
	Store    ports.Store
	Bus      ports.Bus
	Views    ports.Views
	Observer ports.Observer
	Notary   ports.Notary     // signs checkpoints; nil where none are asked for
	Archive  ports.Archive    // where old events are moved, and through which Store reads them; nil: nowhere
	Now      func() time.Time // the clock

	EventsTopic   string // where the relay publishes
	CommandsTopic string // where commands come from, whose dead letters can be settled
	Source        string // the source attribute of the CloudEvents it publishes: a URI reference that names this ledger
	Process       string // names this process among those on one store, for leases
	Reactors      []Reactor

	// Anonymous is who asks where the context names nobody; nil: nothing is done for nobody. See access.As.
	Anonymous *access.Principal

	Limits Limits // of what customers may move

	QueueSize int // commands that may wait; more are refused
	BatchSize int // commands that are written together at the most
	CacheSize int // streams whose state is kept in memory, about

	// SnapshotEvery is after how many events of a stream its state is kept in a snapshot. Zero: none are made or used.
	SnapshotEvery int
	// BlockSize is how many neighbouring versions of a stream are sorted by effective time together.
	BlockSize int
}

// Engine is the inside of the hexagon. Its methods may be called concurrently; Run methods are called once each.
type Engine struct {
	Options
	sequencer  *sequencer
	projector  *projector
	snapshots  *snapshots
	blocks     *blocks
	operations operations
	vouched    atomic.Bool // see vouch
}

// New makes an engine. Nothing runs until RunCommands, RunRelay and RunProjector do.
func New(o Options) *Engine {
	orDefault := func(n *int, size int) {
		if *n == 0 {
			*n = size
		}
	}
	orDefault(&o.QueueSize, 4096)
	orDefault(&o.BatchSize, 1024)
	orDefault(&o.CacheSize, 100_000)
	orDefault(&o.BlockSize, 4096)
	o.Process = cmp.Or(o.Process, "daybook")
	e := &Engine{Options: o}
	e.snapshots = newSnapshots(&e.Options)
	e.blocks = newBlocks(e.snapshots)
	e.sequencer = newSequencer(&e.Options, e.snapshots)
	e.projector = newProjector(&e.Options, e.snapshots)
	return e
}

// RunCommands takes commands until ctx ends, then answers those that wait and returns.
func (e *Engine) RunCommands(ctx context.Context) { e.sequencer.run(ctx) }

// RunRelay publishes the feed to the bus, in position order and at least once, until ctx ends.
func (e *Engine) RunRelay(ctx context.Context) { e.relay().run(ctx) }

// RunSnapshots writes the snapshots that commands and queries come by, until ctx ends. Nobody waits for it.
func (e *Engine) RunSnapshots(ctx context.Context) { e.snapshots.run(ctx) }

// RunReactors shows the feed to the reactors until ctx ends.
func (e *Engine) RunReactors(ctx context.Context) {
	var all sync.WaitGroup
	for i := range e.Reactors {
		all.Go(func() { e.Reactors[i].follower(e).run(ctx) })
	}
	all.Wait()
}

// RunProjector fills the views from the store, lets readers in, and keeps the views up to date until ctx ends. Shared views
// are written by one process at a time.
func (e *Engine) RunProjector(ctx context.Context) {
	if !e.Views.Shared() {
		e.projector.run(ctx, 0)
		return
	}
	e.lead(ctx, viewsLease, e.projector.run)
}

// pause waits for d or until ctx ends, and reports whether there is a reason to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// backoff is how long to wait after the n-th failure in a row, from 50 ms up to 5 s.
func backoff(n int) time.Duration {
	return min(50*time.Millisecond<<min(n, 10), 5*time.Second)
}

// Faults of the engine.
var (
	// ErrOverloaded: the queue of commands is full.
	ErrOverloaded = fault.New(fault.Unavailable, "overloaded", "Too many commands are waiting; nothing was done. Try again shortly.").After(time.Second)
	// ErrStopping: the process is going down.
	ErrStopping = fault.New(fault.Unavailable, "stopping", "Daybook is shutting down; nothing was done. Try again shortly.").After(time.Second)
	// ErrClientLeft: the context of whoever sent the command ended before it was begun.
	ErrClientLeft = fault.New(fault.Unavailable, "client_left", "The request had ended before the command was begun; nothing was done.")
	// ErrVersionMismatch: the caller expected another version.
	ErrVersionMismatch = fault.New(fault.Conflict, "version_mismatch", "The account is not at the expected version.")
	// ErrKeyMismatch: the idempotency key was used for something else.
	ErrKeyMismatch = fault.New(fault.Rejected, "idempotency_key_mismatch", "This idempotency key was used before, for another command. Use a new key.")
	// ErrEffectiveInFuture: what has not happened yet cannot be recorded.
	ErrEffectiveInFuture = fault.New(fault.Invalid, "effective_in_future", "effectiveAt lies in the future.").At("/effectiveAt", "must not be later than now")
	// ErrNotAccepted: the state of an aggregate refuses what somebody asks who may not read it.
	ErrNotAccepted = fault.New(fault.Rejected, "not_accepted", "The account does not take this. Those who may read it are told why.")
	// ErrAtomicRefused: another line of an atomic request was refused.
	ErrAtomicRefused = fault.New(fault.Rejected, "atomic_refused", "Nothing of this request was done, because another line of it was refused.")
	// ErrStreamUnreadable: an event of the stream cannot be read, by this build or a later one.
	ErrStreamUnreadable = fault.New(fault.Internal, "stream_unreadable", "An event of this account cannot be read, so nothing can be decided on it.")
	// ErrLaterBuild: an event of the stream can be read by a later build alone. A retry may reach a process that runs it.
	ErrLaterBuild = fault.New(fault.Unavailable, "later_build", "An event of this account was written by a later build of Daybook than this process runs; nothing was done.")
	// ErrNoVersion: the stream has not got that far.
	ErrNoVersion = fault.New(fault.NotFound, "version_not_found", "The account never had this version.")
	// ErrNoEvent: there is no event with this id.
	ErrNoEvent = fault.New(fault.NotFound, "event_not_found", "There is no event with this id.")
	// ErrPositionAhead: the store has not got that far.
	ErrPositionAhead = fault.New(fault.Rejected, "position_ahead", "The store has no event at this position yet.")
	// ErrViewBehind: the view did not get far enough in time.
	ErrViewBehind = fault.New(fault.Unavailable, "view_behind", "The view has not reached this position yet. Try again shortly.").After(time.Second)
	// ErrNoCheckpoints: nobody signs them here.
	ErrNoCheckpoints = fault.New(fault.NotFound, "no_checkpoints", "This process has no key to sign checkpoints with.")
	// ErrNoOperation: there is no such operation, or it was too long ago.
	ErrNoOperation = fault.New(fault.NotFound, "operation_not_found", "There is no operation with this id.")
	// ErrNoArchive: there is nowhere to move events to.
	ErrNoArchive = fault.New(fault.Rejected, "no_archive", "This ledger has no archive. Set archive.url to a folder or a bucket, and start Daybook again.")
	// ErrArchiveUnbacked: without snapshots every state would have to be read from the archive.
	ErrArchiveUnbacked = fault.New(fault.Rejected, "archive_unbacked", "Events are archived behind snapshots, and none are made here. Set snapshots.every, and start Daybook again.")
	// ErrArchiveRunning: one at a time, in all processes.
	ErrArchiveRunning = fault.New(fault.Conflict, "archive_running", "Events are being moved to the archive already.")
	// ErrRebuildRunning: one rebuild at a time.
	ErrRebuildRunning = fault.New(fault.Conflict, "rebuild_running", "A rebuild is running already.")
)
