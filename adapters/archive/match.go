package archive

import (
	"context"
	"encoding/binary"
	"math/bits"
	"strings"

	"gocloud.dev/blob/fileblob"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// ErrForeign: the archive is not that of this ledger.
var ErrForeign = fault.New(fault.Conflict, "archive_foreign", "The archive is not that of this ledger.")

// Match reports whether the archive, nil for none, is that of the store: whether it holds all that the store has forgotten, and
// nothing but the store's own events. It compares the root of the tree over the archive with that of as many of the store's
// events, which takes few reads. Its error is ErrArchiveMissing, ErrForeign, or one of the store or the archive; a folder that is empty
// although events were moved there is ErrArchiveUnavailable, as where a disk is not mounted.
func Match(ctx context.Context, store ports.Store, a *Archive) error {
	archived, err := store.Archived(ctx)
	if err != nil {
		return err
	}
	if a == nil {
		if archived > 0 {
			return ports.ErrArchiveMissing.Say("The events of this ledger up to position %d lie in an archive. Set archive.url to where it is.", archived)
		}
		return nil
	}
	m, err := a.load(ctx) // before the head: both only grow
	if err != nil {
		return err
	}
	head, err := store.Head(ctx)
	if err != nil {
		return err
	}
	switch end := m.end(); {
	case end < archived && m.Format == "" && strings.HasPrefix(a.where, fileblob.Scheme+":"):
		return ports.ErrArchiveUnavailable.Say("The folder %s of the archive is empty, and the events of this ledger up to position %d were moved there: is its disk mounted?",
			a.where, archived)
	case end < archived:
		return ports.ErrArchiveMissing.Say("The events of this ledger up to position %d lie in an archive, and %s ends at position %d: it is another one, or an older copy.",
			archived, a.where, end)
	case end > head:
		return ErrForeign.Say("The archive %s holds events up to position %d, and this ledger ends at position %d: the archive is that of another ledger, or the store is an older copy.",
			a.where, end, head)
	}
	if len(m.Segments) == 0 {
		return nil
	}
	last := &m.Segments[len(m.Segments)-1] // its root binds those before it
	root, err := rootAt(ctx, store, last.Last)
	if err == nil && root.String() != last.Root {
		err = ErrForeign.Say("The archive %s is not that of this ledger: its events up to position %d have the hash %s, and the ledger's have %s.", a.where, last.Last, last.Root, root)
	}
	return err
}

// rootAt is the root of the tree over the store's events up to a position, at which a node of level 1 ends.
func rootAt(ctx context.Context, store ports.Store, size es.Position) (es.Hash, error) {
	packed := binary.BigEndian.AppendUint64(nil, uint64(size)) // the tree as es.Tree keeps it: its size, and the largest full trees first
	for from, rest := uint64(0), uint64(size); rest > 0; {
		height := bits.Len64(rest) - 1
		level, n := height/es.TreeStride, 1<<(height%es.TreeStride)
		nodes, err := store.TreeNodes(ctx, level, from>>(level*es.TreeStride), n)
		if err != nil {
			return es.Hash{}, err
		}
		if len(nodes) != n {
			return es.Hash{}, ports.ErrSealBroken.Say("The store has lost a part of the tree over its events up to position %d.", size)
		}
		peak := es.RootOver(nodes)
		packed = append(packed, peak[:]...)
		from, rest = from+1<<height, rest-1<<height
	}
	var tree es.Tree
	if err := tree.UnmarshalBinary(packed); err != nil {
		return es.Hash{}, err
	}
	return tree.Root(), nil
}
