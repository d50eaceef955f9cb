package memviews

import (
	"context"

	"daybook/core/ports"
)

// Beside gives a set with memory of its own, until the process ends or it is swapped.
func (v *Views) Beside(ctx context.Context, token ports.Token) (ports.ViewSet, error) {
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.unwritable(ctx, token); err != nil {
		return nil, err
	}
	b := v.beside
	if b == nil {
		b = &Views{views: map[string]*documents{}, names: v.names}
		for name, d := range v.views {
			b.views[name] = newDocuments(d.view)
		}
		v.mu.Lock()
		v.beside = b
		v.mu.Unlock()
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	return b, b.unwritable(ctx, token)
}

// Swap takes the documents and indexes of the set beside over as they are.
func (v *Views) Swap(ctx context.Context, token ports.Token) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.unwritable(ctx, token); err != nil {
		return err
	}
	b := v.beside
	if b == nil {
		return ports.ErrCheckpointMoved.Say("No views are being built beside these.")
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	if !b.open || b.checkpoint < v.checkpoint {
		return ports.ErrCheckpointMoved.Say("The views built beside are at position %d and not as far as these at %d, or not open.", b.checkpoint, v.checkpoint)
	}
	defer v.keeper.drop()()
	// gofail: var memviewsMidSwap struct{}
	v.mu.Lock()
	defer v.mu.Unlock()
	b.mu.Lock()
	v.views, v.checkpoint, v.hash, v.open, v.snapshot = b.views, b.checkpoint, b.hash, true, nil
	b.views, b.closed, b.open, b.snapshot = map[string]*documents{}, true, false, nil
	b.mu.Unlock()
	v.beside = nil
	return nil
}

// giveUp ends the use of the set beside, when its writer is done; writing and mu are held.
func (v *Views) giveUp() {
	b := v.beside
	if b == nil {
		return
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.views, b.closed, b.open, b.snapshot = map[string]*documents{}, true, false, nil
	v.beside = nil
}
