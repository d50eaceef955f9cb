package engine

import (
	"context"
	"fmt"

	"daybook/core/access"
	"daybook/core/es"
)

// Proof is what shows, without the store, that an event is in it as it is: the event leads to its hash, its hash to the root of
// the tree over all events, and the root is in a checkpoint that is signed.
type Proof struct {
	Event      es.Recorded
	Previous   es.Hash // of the event before it in its stream; zero for the first
	Path       []es.Hash
	Checkpoint es.Checkpoint
	Note       string // the checkpoint as it is signed
}

// Check reports what is wrong with a proof whose note is known to be signed; nil: nothing.
func (p *Proof) Check() error {
	if got := p.Event.HashAfter(p.Previous); got != p.Event.Hash {
		return &TamperedError{Event: p.Event.Position, Stream: p.Event.Stream, Version: p.Event.Version, Want: got, Found: p.Event.Hash, What: "the event does not have the hash that it shows"}
	}
	root, ok := es.PathRoot(p.Event.Hash, p.Event.Position, p.Checkpoint.Size, p.Path)
	if !ok || root != p.Checkpoint.Root {
		return &TamperedError{Event: p.Event.Position, Stream: p.Event.Stream, Version: p.Event.Version, Want: p.Checkpoint.Root, Found: root,
			What: fmt.Sprintf("the event is not among the %d that the checkpoint is over", p.Checkpoint.Size)}
	}
	return nil
}

// Checkpoint gives the checkpoint of the store at its head, and the note that it is signed as.
func (e *Engine) Checkpoint(ctx context.Context) (es.Checkpoint, string, error) {
	if _, err := e.may(ctx, access.Checkpoint); err != nil {
		return es.Checkpoint{}, "", err
	}
	tree, err := e.Store.Tree(ctx)
	if err != nil {
		return es.Checkpoint{}, "", err
	}
	return e.sign(&tree)
}

func (e *Engine) sign(tree *es.Tree) (es.Checkpoint, string, error) {
	if e.Notary == nil {
		return es.Checkpoint{}, "", ErrNoCheckpoints
	}
	c := es.Checkpoint{Origin: e.Notary.Origin(), Size: tree.Size, Root: tree.Root(), At: e.Now().UTC()}
	note, err := e.Notary.Sign(c.Text())
	return c, note, err
}

// Prove gives the proof of the event at a position, up to the head. It is ErrNoEvent for one that is not there, or not sealed yet.
func (e *Engine) Prove(ctx context.Context, at es.Position) (Proof, error) {
	var p Proof
	if _, err := e.may(ctx, access.Read); err != nil {
		return p, err
	}
	tree, err := e.Store.Tree(ctx)
	switch {
	case err != nil:
		return p, err
	case at > tree.Size:
		return p, ErrNoEvent
	}
	if p.Event, err = e.Event(ctx, at); err != nil {
		return p, err
	}
	if p.Event.Version > 1 {
		before, err := e.Store.ReadStream(ctx, p.Event.Stream, p.Event.Version-2, 1)
		if err != nil {
			return p, err
		}
		if len(before) > 0 {
			p.Previous = before[0].Hash
		}
	}
	subtree := func(level int, index uint64) (es.Hash, error) { return e.subtree(ctx, level, index) }
	if p.Path, err = es.TreePath(at, tree.Size, subtree); err != nil {
		return p, err
	}
	p.Checkpoint, p.Note, err = e.sign(&tree)
	return p, err
}

// subtree makes the hash over 2^level events from the nearest nodes below that the store has, or from the events.
func (e *Engine) subtree(ctx context.Context, level int, index uint64) (es.Hash, error) {
	kept := level / es.TreeStride
	first, n := index<<(level-kept*es.TreeStride), 1<<(level-kept*es.TreeStride)
	var hashes []es.Hash
	var err error
	if kept > 0 {
		hashes, err = e.Store.TreeNodes(ctx, kept, first, n)
	} else {
		var events []es.Recorded
		events, err = e.Store.ReadFeed(ctx, es.Position(first), n)
		for i := range events {
			hashes = append(hashes, events[i].Hash)
		}
	}
	if err == nil && len(hashes) < n {
		err = fmt.Errorf("engine: of %d hashes of level %d from %d on, the store has %d", n, kept, first, len(hashes))
	}
	return es.RootOver(hashes), err
}
