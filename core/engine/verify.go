package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// History is what can be verified: a store, or what a server shows of one.
type History interface {
	ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error)
	ReadStream(ctx context.Context, stream es.StreamID, after es.Version, limit int) ([]es.Recorded, error)
	// Seal is how many events the tree of hashes is over, and its root.
	Seal(ctx context.Context) (es.Position, es.Hash, error)
	// TreeNodes is that of ports.Store; none where they are not shown.
	TreeNodes(ctx context.Context, level int, first uint64, limit int) ([]es.Hash, error)
}

// TamperedError says what of a store is not as it was written, and where that shows first. What is not known is zero.
type TamperedError struct {
	Event       es.Position
	Stream      es.StreamID
	Version     es.Version
	Want, Found es.Hash
	What        string
	Err         error
}

func (t *TamperedError) Error() string {
	s := t.What
	switch {
	case t.Stream != "":
		s = fmt.Sprintf("version %d of %s, at position %d: %s", t.Version, t.Stream, t.Event, s)
	case t.Event > 0:
		s = fmt.Sprintf("position %d: %s", t.Event, s)
	}
	if t.Want != t.Found {
		s += fmt.Sprintf(" (expected %s, found %s)", t.Want, t.Found)
	}
	if t.Err != nil {
		s += ": " + t.Err.Error()
	}
	return s
}

// Unwrap gives the error of the store, if that found the damage.
func (t *TamperedError) Unwrap() error { return t.Err }

// Verification checks every hash of a history: of each event, of its stream, of the whole store, and of checkpoints that were
// kept elsewhere. It is used once, by one goroutine.
type Verification struct {
	History     History
	Verified    es.Tree                  // over what was verified before, which is not looked at again; it grows
	Checkpoints []es.Checkpoint          // those over fewer events than were verified before are left out
	Progress    func(at, of es.Position) // called now and then; nil is allowed

	ends  map[es.StreamID]ports.StreamEnd
	nodes []es.TreeNode // full, and not yet compared
	whole bool          // nothing was verified before
}

// Run verifies up to the end of the history as it is now. The error is a TamperedError for the first thing that is wrong, or that of
// a store that cannot be read now; Verified is over what was found to be right before it.
func (v *Verification) Run(ctx context.Context) error {
	v.ends = map[es.StreamID]ports.StreamEnd{}
	v.whole = v.Verified.Size == 0
	size, root, err := v.History.Seal(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(v.Checkpoints, func(a, b es.Checkpoint) int { return int(a.Size) - int(b.Size) })
	v.Checkpoints = slices.DeleteFunc(v.Checkpoints, func(c es.Checkpoint) bool { return c.Size < v.Verified.Size })
	if size < v.Verified.Size {
		return &TamperedError{Event: size + 1, What: fmt.Sprintf("the end is missing: %d events were verified before, and the seal is over %d", v.Verified.Size, size)}
	}
	for v.Verified.Size < size {
		if err := v.next(ctx, size); err != nil {
			return err
		}
		if v.Progress != nil {
			v.Progress(v.Verified.Size, size)
		}
	}
	if err := v.checkpoints(size); err != nil {
		return err
	}
	if err := v.behind(ctx); err != nil {
		return err
	}
	if got := v.Verified.Root(); got != root {
		return &TamperedError{Event: size, What: fmt.Sprintf("the seal over the first %d events is not theirs", size), Want: got, Found: root}
	}
	if len(v.Checkpoints) > 0 {
		c := v.Checkpoints[0]
		return &TamperedError{Event: size + 1, What: fmt.Sprintf("the end is missing: a checkpoint of %s is over %d events, and the seal is over %d", c.At.Format("2006-01-02T15:04:05Z"), c.Size, size)}
	}
	return nil
}

// behind looks for an event that was put in behind the seal.
func (v *Verification) behind(ctx context.Context) error {
	more, err := v.History.ReadFeed(ctx, v.Verified.Size, 1)
	if err != nil || len(more) == 0 {
		return err
	}
	size, _, err := v.History.Seal(ctx) // it may have been written meanwhile, and is sealed then
	if err == nil && size < more[0].Position {
		e := &more[0]
		err = &TamperedError{Event: e.Position, Stream: e.Stream, Version: e.Version, What: "the event is not sealed: it was not written by Daybook"}
	}
	return err
}

// next verifies a page.
func (v *Verification) next(ctx context.Context, size es.Position) error {
	at := v.Verified.Size
	limit := int(min(size-at, pageSize))
	page, err := v.History.ReadFeed(ctx, at, limit)
	if damaged(err) {
		if page, err = v.oneByOne(ctx, at, limit); damaged(err) {
			if broken := v.take(ctx, page); broken != nil {
				return broken
			}
			return v.unreadable(ctx, err)
		}
	}
	if err != nil {
		return err
	}
	if err := v.take(ctx, page); err != nil {
		return err
	}
	if len(page) < limit {
		return &TamperedError{Event: v.Verified.Size + 1, What: fmt.Sprintf("the end is missing: the seal is over %d events", size)}
	}
	return nil
}

// damaged reports whether a history has found that it cannot give an event as it was written, which a store says with an Internal
// fault. Any other error says nothing of the events, such as that of a server which went away.
func damaged(err error) bool {
	f := (*fault.Fault)(nil)
	return errors.As(err, &f) && f.Kind == fault.Internal
}

// oneByOne reads what can be read of a page.
func (v *Verification) oneByOne(ctx context.Context, after es.Position, limit int) (page []es.Recorded, err error) {
	for range limit {
		one, err := v.History.ReadFeed(ctx, after, 1)
		if err != nil || len(one) == 0 {
			return page, err
		}
		page = append(page, one...)
		after++
	}
	return page, nil
}

// unreadable names the event that comes next and that the store cannot give: by the hole that it leaves in its stream.
func (v *Verification) unreadable(ctx context.Context, err error) error {
	t := &TamperedError{Event: v.Verified.Size + 1, What: "the event is missing, or not as it was written", Err: err}
	since := map[es.StreamID]bool{} // streams that were seen to go on, and so have no hole
	for after := t.Event; ; {
		page, err := v.History.ReadFeed(ctx, after, pageSize)
		if err != nil || len(page) == 0 {
			return t
		}
		for i := range page {
			e := &page[i]
			if end, known := v.ends[e.Stream]; !since[e.Stream] && e.Version == end.Version+2 && (known || v.whole) {
				t.Stream, t.Version = e.Stream, e.Version-1
				return t
			}
			since[e.Stream] = true
			after = e.Position
		}
	}
}

// take verifies the events of a page.
func (v *Verification) take(ctx context.Context, page []es.Recorded) error {
	for i := range page {
		e := &page[i]
		bad := func(what string, want es.Hash) error {
			return &TamperedError{Event: e.Position, Stream: e.Stream, Version: e.Version, Want: want, Found: e.Hash, What: what}
		}
		if e.Position != v.Verified.Size+1 {
			return &TamperedError{Event: v.Verified.Size + 1, What: fmt.Sprintf("the event is missing; the next one there is at position %d", e.Position)}
		}
		previous, err := v.end(ctx, e)
		if err != nil {
			return err
		}
		if want := e.HashAfter(previous); want != e.Hash {
			return bad("the event, or the one before it in its stream, is not what was written", want)
		}
		if err := v.checkpoints(v.Verified.Size); err != nil {
			return err
		}
		v.ends[e.Stream] = ports.StreamEnd{Version: e.Version, Hash: e.Hash}
		v.nodes = v.Verified.Add(e.Hash, v.nodes)
	}
	return v.compareNodes(ctx)
}

// end is the hash of the event before e in its stream. Of a stream that was not seen by this verification, it is what the store has.
func (v *Verification) end(ctx context.Context, e *es.Recorded) (es.Hash, error) {
	if end, ok := v.ends[e.Stream]; ok || e.Version == 1 {
		return end.Hash, nil
	}
	before, err := v.History.ReadStream(ctx, e.Stream, e.Version-2, 1)
	switch {
	case err == nil && len(before) > 0:
		return before[0].Hash, nil
	case err == nil || damaged(err):
		err = &TamperedError{Event: e.Position, Stream: e.Stream, Version: e.Version, What: "the version before it is missing, or not as it was written", Err: err}
	}
	return es.Hash{}, err
}

// compareNodes holds the nodes that the store keeps against those that the events give.
func (v *Verification) compareNodes(ctx context.Context) error {
	for _, n := range v.nodes {
		kept, err := v.History.TreeNodes(ctx, n.Level, n.Index, 1)
		if err != nil {
			return err
		}
		if len(kept) > 0 && kept[0] != n.Hash {
			width := es.Position(1) << (es.TreeStride * n.Level)
			first := es.Position(n.Index) * width
			return &TamperedError{Event: first + 1, Want: n.Hash, Found: kept[0],
				What: fmt.Sprintf("an event between positions %d and %d was changed together with its hash, or the tree of hashes was", first+1, first+width)}
		}
	}
	v.nodes = v.nodes[:0]
	return nil
}

// checkpoints compares those that are over just so many events, and drops them.
func (v *Verification) checkpoints(size es.Position) error {
	for len(v.Checkpoints) > 0 && v.Checkpoints[0].Size == size {
		c := v.Checkpoints[0]
		if root := v.Verified.Root(); root != c.Root {
			return &TamperedError{Event: size, Want: c.Root, Found: root,
				What: fmt.Sprintf("an event up to here was changed, and every hash after it made anew, since the checkpoint of %s", c.At.Format("2006-01-02T15:04:05Z"))}
		}
		v.Checkpoints = v.Checkpoints[1:]
	}
	return nil
}

// StoreHistory is the history of a store.
type StoreHistory struct{ ports.Store }

// Seal implements History.
func (s StoreHistory) Seal(ctx context.Context) (es.Position, es.Hash, error) {
	tree, err := s.Tree(ctx)
	return tree.Size, tree.Root(), err
}
