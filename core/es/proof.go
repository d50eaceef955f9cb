package es

import "math/bits"

// Subtree gives the hash of the full subtree over 2^level events, the index-th of its level, from 0.
type Subtree func(level int, index uint64) (Hash, error)

// TreePath is what proves that the event at position p is in the tree over size events: the hashes that lead from its own to
// the root, as PATH in RFC 6962, section 2.1.1. p lies between 1 and size. Its error is that of nodes.
func TreePath(p, size Position, nodes Subtree) ([]Hash, error) {
	index, from, to := uint64(p-1), uint64(0), uint64(size)
	type span struct{ from, to uint64 }
	var beside []span // from the root down
	for to-from > 1 {
		middle := from + split(to-from)
		if index < middle {
			beside = append(beside, span{middle, to})
			to = middle
		} else {
			beside = append(beside, span{from, middle})
			from = middle
		}
	}
	path := make([]Hash, 0, len(beside))
	for i := len(beside) - 1; i >= 0; i-- {
		h, err := hashOver(beside[i].from, beside[i].to, nodes)
		if err != nil {
			return nil, err
		}
		path = append(path, h)
	}
	return path, nil
}

// PathRoot is the root of the tree over size events that the path leads to from the event at position p with the hash leaf;
// false if the path does not have the length that it must have.
func PathRoot(leaf Hash, p, size Position, path []Hash) (Hash, bool) {
	if p < 1 || p > size {
		return Hash{}, false
	}
	var onRight []bool // whether what is beside lies to the left, from the root down
	index, from, to := uint64(p-1), uint64(0), uint64(size)
	for to-from > 1 {
		middle := from + split(to-from)
		right := index >= middle
		onRight = append(onRight, right)
		if right {
			from = middle
		} else {
			to = middle
		}
	}
	if len(path) != len(onRight) {
		return Hash{}, false
	}
	h := leaf
	for i := range path {
		if onRight[len(onRight)-1-i] {
			h = nodeHash(&path[i], &h)
		} else {
			h = nodeHash(&h, &path[i])
		}
	}
	return h, true
}

// hashOver is the hash of the tree over the events from one index to another. from is a multiple of a power of two that is no
// less than the span, as it is for every subtree.
func hashOver(from, to uint64, nodes Subtree) (Hash, error) {
	n := to - from
	if n&(n-1) == 0 {
		level := bits.TrailingZeros64(n)
		return nodes(level, from>>level)
	}
	left, err := hashOver(from, from+split(n), nodes)
	if err != nil {
		return Hash{}, err
	}
	right, err := hashOver(from+split(n), to, nodes)
	return nodeHash(&left, &right), err
}

// split is the greatest power of two below n, which is 2 or more.
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// RootOver is the root over a power of two of hashes.
func RootOver(hashes []Hash) Hash {
	var t Tree
	for i := range hashes {
		t.Add(hashes[i], nil)
	}
	return t.Root()
}
