package memviews

import (
	"context"

	"daybook/core/es"
	"daybook/core/ports"
)

// Write locks readers out for as long as it takes to put the documents in place, a few microseconds each.
func (v *Views) Write(ctx context.Context, token ports.Token, changes []ports.Change, from, to es.Position, hash es.Hash) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.unwritable(ctx, token); err != nil {
		return err
	}
	if v.checkpoint != from {
		return ports.ErrCheckpointMoved.Say("The view is at position %d and not at %d: another projector has written since.", v.checkpoint, from)
	}
	entries, err := v.prepare(changes)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, e := range entries {
		v.views[changes[i].View].put(e)
		if v.keeper != nil && v.open {
			v.changed = append(v.changed, changed{changes[i].View, e})
		}
	}
	v.unnoted = v.unnoted || !v.open
	v.checkpoint, v.hash, v.snapshot = to, hash, nil
	return nil
}

// prepare checks all changes, so that they can be applied all or none, and folds their words.
func (v *Views) prepare(changes []ports.Change) ([]*entry, error) {
	entries := make([]*entry, len(changes))
	for i, c := range changes {
		d := v.views[c.View]
		if d == nil {
			return nil, errUnknownView.Say("No module has a view named %q.", c.View)
		}
		if len(c.Document.Values) != len(d.view.Fields) && c.Document.Parked == "" {
			return nil, errDocument.Say("Document %q of the view %s has %d values for %d fields.",
				c.Document.ID, c.View, len(c.Document.Values), len(d.view.Fields))
		}
		entries[i] = d.entry(c.Document)
	}
	return entries, nil
}
