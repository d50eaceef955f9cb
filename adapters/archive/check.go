package archive

import (
	"context"

	"daybook/core/es"
)

// Check implements ports.Archive. It also makes the tree anew over all events, and compares it with what the manifest says.
func (a *Archive) Check(ctx context.Context, done func(es.Position)) error {
	m, err := a.load(ctx)
	if err != nil {
		return err
	}
	var tree es.Tree
	for i := range m.Segments {
		s := &m.Segments[i]
		last := s.FirstAt
		err := a.walk(ctx, s, func(e *es.Recorded) error {
			if e.RecordedAt.Before(last) {
				return s.damaged("the event at position %d was recorded before the one that it follows", e.Position)
			}
			last = e.RecordedAt
			tree.Add(e.Hash, nil)
			return nil
		})
		if err != nil {
			return err
		}
		if root := tree.Root().String(); root != s.Root || !last.Equal(s.LastAt) {
			return s.damaged("all events up to position %d have the hash %s and were written with %s", s.Last, root, s.Root)
		}
		done(s.Last)
	}
	return nil
}

// walk reads the whole object of a segment from the storage, checks every byte of it, and shows its events.
func (a *Archive) walk(ctx context.Context, s *segment, show func(*es.Recorded) error) error {
	object, err := a.getSegment(ctx, s, 0, -1)
	if err != nil {
		return err
	}
	x, err := s.parseIndex(part(object, s.Index.Offset, int64(len(object))))
	if err != nil {
		return err
	}
	for n := range x.Frames {
		from, to := x.span(s, n)
		events, _, err := a.parseFrame(s, x, n, part(object, from, to))
		if err != nil {
			return err
		}
		for i := range events {
			if err := show(&events[i]); err != nil {
				return err
			}
		}
	}
	if got := sum(object); got != s.SHA256 {
		return s.damaged("the whole file has the SHA-256 %s and was written with %s", got, s.SHA256)
	}
	return nil
}
