package es_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"daybook/core/es"
)

// naiveRoot is the tree hash as RFC 6962, section 2.1, defines it.
func naiveRoot(leaves []es.Hash) es.Hash {
	switch len(leaves) {
	case 0:
		return es.Hash{}
	case 1:
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := naiveRoot(leaves[:k]), naiveRoot(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func TestTheTreeIsThatOfRFC6962(t *testing.T) {
	var tree es.Tree
	var leaves []es.Hash
	nodes := map[int][]es.Hash{}
	for n := range 1100 {
		if n < 70 || n%97 == 0 || n > 1020 && n < 1030 {
			if got, want := tree.Root(), naiveRoot(leaves); got != want || tree.Size != es.Position(n) {
				t.Fatalf("the root over %d is %s, want %s", n, got, want)
			}
		}
		leaf := es.Hash(sha256.Sum256([]byte{byte(n), byte(n >> 8)}))
		leaves = append(leaves, leaf)
		for _, node := range tree.Add(leaf, nil) {
			if node.Index != uint64(len(nodes[node.Level])) {
				t.Fatalf("node %d of level %d comes after %d", node.Index, node.Level, len(nodes[node.Level]))
			}
			nodes[node.Level] = append(nodes[node.Level], node.Hash)
		}
	}
	if len(nodes) != 1 || len(nodes[1]) != 4 {
		t.Fatalf("there are nodes of %d levels, %d of the first", len(nodes), len(nodes[1]))
	}
	for i, got := range nodes[1] {
		if want := naiveRoot(leaves[256*i : 256*(i+1)]); got != want {
			t.Errorf("node %d is %s, want %s", i, got, want)
		}
	}
}

func TestATreeIsReadBackAsItWasWrittenAndInNoOtherForm(t *testing.T) {
	var tree es.Tree
	for n := range 50 {
		b, err := tree.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		var again es.Tree
		if err := again.UnmarshalBinary(b); err != nil || again.Size != tree.Size || again.Root() != tree.Root() {
			t.Fatalf("the tree over %d came back over %d: %v", n, again.Size, err)
		}
		for cut := range b {
			if err := again.UnmarshalBinary(b[:cut]); err == nil && cut != 8 {
				t.Errorf("%d bytes of the tree over %d were read", cut, n)
			}
		}
		if err := again.UnmarshalBinary(append(b, 0)); err == nil {
			t.Errorf("a byte too much was read")
		}
		clone := tree.Clone()
		clone.Add(es.Hash{1}, nil)
		tree.Add(es.Hash{byte(n)}, nil)
	}
	var want es.Tree
	for n := range 50 {
		want.Add(es.Hash{byte(n)}, nil)
	}
	if tree.Root() != want.Root() {
		t.Error("a clone that grew changed the tree it was made of")
	}
}

// The hash is a format for ever: stores, exports and proofs rest on it.
func TestTheHashOfAnEventIsFrozen(t *testing.T) {
	e, err := es.ParseRecorded([]byte(storedEvent))
	if err != nil {
		t.Fatal(err)
	}
	e.Seal(nil, es.Hash{1})
	leaf := append(append(append([]byte{0, 1}, make([]byte, 31)...), 0, 0, 0, 0, 0, 0, 0, byte(len(storedEvent))), storedEvent...)
	if want := es.Hash(sha256.Sum256(leaf)); e.Hash != want || len(storedEvent) > 255 {
		t.Errorf("the hash is %s, want %s", e.Hash, want)
	}
	if want := storedEvent[:len(storedEvent)-1] + `,"hash":"` + hex.EncodeToString(e.Hash[:]) + `"}`; string(e.JSON()) != want {
		t.Errorf("the event is\n%s\nwant\n%s", e.JSON(), want)
	}
}

func TestAnyChangeOfAnEventOrOfWhatIsBeforeItChangesItsHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := es.ParseRecorded([]byte(storedEvent))
		if err != nil {
			t.Fatal(err)
		}
		previous := es.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "previous"))
		e.Seal(nil, previous)
		stored, err := es.ParseRecorded(e.JSON())
		if err != nil || stored.Hash != e.Hash || stored.HashAfter(previous) != e.Hash {
			t.Fatalf("%s has the hash %s (%v)", e.JSON(), stored.HashAfter(previous), err)
		}
		previous[rapid.IntRange(0, 31).Draw(t, "of the one before")] ^= 1
		if stored.HashAfter(previous) == e.Hash {
			t.Error("the hash before it does not matter")
		}
		previous = es.Hash{}
		e.Seal(nil, previous)
		raw := bytes.Clone(e.JSON())
		raw[rapid.IntRange(0, len(raw)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if changed, err := es.ParseRecorded(raw); err == nil && changed.Hash == changed.HashAfter(previous) {
			t.Errorf("%s was changed to\n%s and nobody can tell", e.JSON(), raw)
		}
	})
}
