package es

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Tree is the Merkle tree of RFC 6962 over the hashes of the events of a store, in position order: as much of it as it takes to
// go on. Its root, the head hash of the store, binds every event up to there. The zero Tree has no event.
type Tree struct {
	Size  Position // how many events: those up to this position
	peaks []Hash   // of the full trees it is made of, the largest first: one for each 1 in Size's binary digits
}

// TreeStride is how many levels lie between those nodes of the tree that stores keep: the nodes over 256 events, over 256 of
// those, and so on. Whatever else of the tree is needed is made from fewer than 256 hashes.
const TreeStride = 8

// TreeNode is a full subtree over 2^(TreeStride*Level) events: the Index-th of its level, from 0. Level is 1 or more.
type TreeNode struct {
	Level int
	Index uint64
	Hash  Hash
}

// Add appends the hash of the next event. It appends to nodes those that are full with it and that stores keep.
func (t *Tree) Add(leaf Hash, nodes []TreeNode) []TreeNode {
	h := leaf
	for level := range bits.TrailingZeros64(^uint64(t.Size)) { // as when 1 is added to a binary number
		last := len(t.peaks) - 1
		h = nodeHash(&t.peaks[last], &h)
		t.peaks = t.peaks[:last]
		if (level+1)%TreeStride == 0 {
			nodes = append(nodes, TreeNode{Level: (level + 1) / TreeStride, Index: uint64(t.Size) >> (level + 1), Hash: h})
		}
	}
	t.peaks = append(t.peaks, h)
	t.Size++
	return nodes
}

// Root is the hash of the whole tree. That of the tree with no event is zero.
func (t *Tree) Root() Hash {
	if len(t.peaks) == 0 {
		return Hash{}
	}
	h := t.peaks[len(t.peaks)-1]
	for i := len(t.peaks) - 2; i >= 0; i-- {
		h = nodeHash(&t.peaks[i], &h)
	}
	return h
}

// Clone gives a tree that grows on its own.
func (t *Tree) Clone() Tree {
	return Tree{Size: t.Size, peaks: append(make([]Hash, 0, len(t.peaks)+1), t.peaks...)}
}

// AppendBinary appends the tree as stores keep it: its size in 8 bytes, big-endian, and its peaks.
func (t *Tree) AppendBinary(dst []byte) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Size))
	for i := range t.peaks {
		dst = append(dst, t.peaks[i][:]...)
	}
	return dst, nil
}

// UnmarshalBinary reads what AppendBinary wrote, and no other form.
func (t *Tree) UnmarshalBinary(b []byte) error {
	if len(b) < 8 {
		return errTree
	}
	size, b := binary.BigEndian.Uint64(b), b[8:]
	if len(b) != bits.OnesCount64(size)*len(Hash{}) {
		return errTree
	}
	*t = Tree{Size: Position(size)}
	for ; len(b) > 0; b = b[len(Hash{}):] {
		t.peaks = append(t.peaks, Hash(b[:len(Hash{})]))
	}
	return nil
}

var errTree = errors.New("es: these bytes are not a tree of hashes as it was written")
