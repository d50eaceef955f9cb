package engine

import (
	"context"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/ports"
)

// Ledger says which ledger is meant, and how much of it: everything up to a position.
type Ledger struct {
	Head es.Position
	Root es.Hash   // of the tree over all events up to Head
	At   time.Time // recorded time of the event at Head; zero in an empty ledger
}

// LogWriter takes a whole ledger: Begin, each event in position order, each outcome by its key, End.
type LogWriter interface {
	Begin(l Ledger) error
	Event(e *es.Recorded) error
	Outcome(o *ports.Outcome) error
	End() error
}

// movePage is how many events, or outcomes, are read or written at once.
const movePage = 2000

// Export writes the ledger as it is now: what is written to the store meanwhile is left out. Two stores of the same ledger
// give the same, whatever they have forgotten of the refusals that may be forgotten.
func Export(ctx context.Context, s ports.Store, w LogWriter) (Ledger, error) {
	l, err := LedgerOf(ctx, s)
	if err != nil {
		return l, err
	}
	if err := w.Begin(l); err != nil {
		return l, err
	}
	if err := exportEvents(ctx, s, l, w); err != nil {
		return l, err
	}
	if err := exportOutcomes(ctx, s, l, w); err != nil {
		return l, err
	}
	return l, w.End()
}

// Export writes the engine's ledger as it is now.
func (e *Engine) Export(ctx context.Context, w LogWriter) (Ledger, error) {
	if _, err := e.may(ctx, access.Export); err != nil {
		return Ledger{}, err
	}
	return Export(ctx, e.Store, w)
}

// MayExport sees, before Export, that whoever asks may, and that the store can be read.
func (e *Engine) MayExport(ctx context.Context) error {
	_, err := e.may(ctx, access.Export)
	if err == nil {
		_, err = LedgerOf(ctx, e.Store)
	}
	return err
}

// LedgerOf says what a store holds now.
func LedgerOf(ctx context.Context, s ports.Store) (Ledger, error) {
	tree, err := s.Tree(ctx)
	if err != nil || tree.Size == 0 {
		return Ledger{}, err
	}
	last, err := s.ReadFeed(ctx, tree.Size-1, 1)
	if err != nil {
		return Ledger{}, err
	}
	if len(last) == 0 {
		return Ledger{}, ports.ErrSealBroken.Say("The store is sealed over %d events, and the last of them is missing.", tree.Size)
	}
	return Ledger{Head: tree.Size, Root: tree.Root(), At: last[0].RecordedAt}, nil
}

func exportEvents(ctx context.Context, s ports.Store, l Ledger, w LogWriter) error {
	var tree es.Tree
	for tree.Size < l.Head {
		page, err := s.ReadFeed(ctx, tree.Size, int(min(movePage, l.Head-tree.Size)))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return ports.ErrSealBroken.Say("The event at position %d is missing.", tree.Size+1)
		}
		for i := range page {
			tree.Add(page[i].Hash, nil)
			if err := w.Event(&page[i]); err != nil {
				return err
			}
		}
	}
	if root := tree.Root(); root != l.Root {
		return ports.ErrSealBroken.Say("The events up to position %d give the hash %s, and the store was sealed with %s: something has altered them.", l.Head, root, l.Root)
	}
	return nil
}

func exportOutcomes(ctx context.Context, s ports.Store, l Ledger, w LogWriter) error {
	for from := ""; ; {
		page, err := s.Outcomes(ctx, from, movePage)
		if err != nil {
			return err
		}
		for i := range page {
			if !l.has(&page[i]) {
				continue
			}
			if err := w.Outcome(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < movePage {
			return nil
		}
		from = page[len(page)-1].Key + "\x00"
	}
}

// has reports whether the outcome belongs to the ledger up to its head. Refusals that stores may have forgotten by then do not.
func (l Ledger) has(o *ports.Outcome) bool {
	if o.Refusal {
		return l.At.Sub(o.RecordedAt) <= ports.RefusalsKept
	}
	form, _, rest, ok := splitOutcome(o.Body)
	if !ok || form != formAnswer {
		return true
	}
	answer, err := decodeAnswer(rest)
	return err != nil || answer.Position <= l.Head
}
