package engine

import (
	"context"
	"errors"
	"io"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Faults of moving a ledger into a store.
var (
	// ErrOtherLedger: the store holds something that is not the beginning of the ledger.
	ErrOtherLedger = fault.New(fault.Conflict, "other_ledger", "The store holds other events than those to be imported; nothing was written.")
	// ErrImportUnfinished: a ledger was begun to be imported, and is not whole yet.
	ErrImportUnfinished = fault.New(fault.Conflict, "import_unfinished", "The import of a ledger into this store is not finished. Run daybook import-log again with the same file; it goes on where it was.")
)

// LogReader gives a whole ledger that a LogWriter took. It has checked what it gives, alone and against all before it.
type LogReader interface {
	// Ledger is what the log says it holds.
	Ledger() Ledger
	// Next gives the next event, and after the last event the next outcome; io.EOF after the regular end of the log.
	Next() (*es.Recorded, *ports.Outcome, error)
}

// importing is the checkpoint that says that an import is not finished, and up to where it goes.
const importing = "import log"

// ImportFinished is ErrImportUnfinished if the store is in the middle of an import: it must not be used then, since it does
// not know yet which commands were done.
func ImportFinished(ctx context.Context, s ports.Store) error {
	to, err := s.Checkpoint(ctx, importing)
	if err == nil && to > 0 {
		err = ErrImportUnfinished
	}
	return err
}

// Import writes a ledger into a store that is empty or holds the beginning of it, which it compares and goes on after. Nobody
// else may use the store meanwhile. progress is called now and then with how many events, of how many, are there.
func Import(ctx context.Context, s ports.Store, r LogReader, progress func(done, total es.Position)) (Ledger, error) {
	l := r.Ledger()
	i := &importer{store: s, ledger: l, progress: progress}
	var err error
	if i.there, err = s.Tree(ctx); err != nil {
		return l, err
	}
	if i.there.Size > l.Head {
		return l, ErrOtherLedger.Say("The store holds %d events and the ledger to be imported %d: they are not the same; nothing was written.", i.there.Size, l.Head)
	}
	if err := i.begin(ctx); err != nil {
		return l, err
	}
	for {
		e, o, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return l, i.end(ctx)
		case err != nil:
			return l, err
		case e != nil:
			err = i.event(ctx, e)
		default:
			err = i.outcome(ctx, o)
		}
		if err != nil {
			return l, err
		}
	}
}

type importer struct {
	store    ports.Store
	ledger   Ledger
	there    es.Tree // over what the store held before
	tree     es.Tree // over the events read
	begun    bool    // the store is marked
	batch    ports.Batch
	last     time.Time
	progress func(done, total es.Position)
}

// begin marks the store once everything that it held is known to be of the ledger.
func (i *importer) begin(ctx context.Context) error {
	if i.begun || i.tree.Size < i.there.Size {
		return nil
	}
	if here, there := i.tree.Root(), i.there.Root(); here != there {
		return ErrOtherLedger.Say("The first %d events in the store have the hash %s, and those to be imported %s: they are not the same; nothing was written.", i.there.Size, there, here)
	}
	i.begun = true
	return i.store.SaveCheckpoint(ctx, importing, 0, max(i.ledger.Head, 1))
}

func (i *importer) event(ctx context.Context, e *es.Recorded) error {
	if i.tree.Size >= i.there.Size {
		full := len(i.batch.Events) >= movePage && !e.RecordedAt.Equal(i.last) // events of one command stay together
		if full {
			if err := i.flush(ctx); err != nil {
				return err
			}
		}
		i.batch.Events = append(i.batch.Events, *e)
		i.last = e.RecordedAt
	}
	i.tree.Add(e.Hash, nil)
	return i.begin(ctx)
}

func (i *importer) outcome(ctx context.Context, o *ports.Outcome) error {
	i.batch.Outcomes = append(i.batch.Outcomes, *o)
	if len(i.batch.Outcomes) < movePage {
		return nil
	}
	return i.flush(ctx)
}

// flush writes what is at hand, if the store is still where it was left.
func (i *importer) flush(ctx context.Context) error {
	unit, err := i.store.Begin(ctx, ports.Needs{})
	if err != nil {
		return err
	}
	defer unit.Rollback()
	read := i.tree.Size
	if head, want := unit.Known().Head, read-es.Position(len(i.batch.Events)); head != want {
		return ErrOtherLedger.Say("The store has %d events where the import left %d: somebody else writes to it. Nothing more was written.", head, want)
	}
	given := make([]es.Hash, len(i.batch.Events))
	for n := range given {
		given[n] = i.batch.Events[n].Hash
	}
	if err := unit.Commit(ctx, i.batch); err != nil {
		return err
	}
	for n := range given {
		if e := &i.batch.Events[n]; e.Hash != given[n] {
			return ports.ErrSealBroken.Say("The store gave the event at position %d the hash %s, and the ledger says %s.", e.Position, e.Hash, given[n])
		}
	}
	i.batch = ports.Batch{} // the store may keep what it was given
	i.progress(read, i.ledger.Head)
	return nil
}

// end writes what is left, compares the whole, and takes the mark away.
func (i *importer) end(ctx context.Context) error {
	if err := i.flush(ctx); err != nil {
		return err
	}
	tree, err := i.store.Tree(ctx)
	if err != nil {
		return err
	}
	if root := tree.Root(); root != i.ledger.Root {
		return ports.ErrSealBroken.Say("The store has the hash %s after the import, and the ledger says %s.", root, i.ledger.Root)
	}
	return i.store.SaveCheckpoint(ctx, importing, 0, 0)
}
