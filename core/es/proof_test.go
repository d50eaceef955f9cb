package es_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybook/core/es"
)

func TestAPathLeadsFromEveryEventToTheRootAndFromNoOther(t *testing.T) {
	var leaves []es.Hash
	for n := range 70 {
		leaves = append(leaves, sha256.Sum256([]byte{byte(n)}))
		size := es.Position(len(leaves))
		root := naiveRoot(leaves)
		for p := es.Position(1); p <= size; p++ {
			path, err := es.TreePath(p, size, func(level int, index uint64) (es.Hash, error) {
				return es.RootOver(leaves[index<<level : (index+1)<<level]), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := es.PathRoot(leaves[p-1], p, size, path); !ok || got != root {
				t.Fatalf("the path of %d of %d leads to %s, want %s", p, size, got, root)
			}
			if got, ok := es.PathRoot(leaves[(p+1)%size], p, size, path); size > 1 && ok && got == root && (p+1)%size != p-1 {
				t.Fatalf("another event passes as %d of %d", p, size)
			}
			for i := range path {
				changed := append([]es.Hash{}, path...)
				changed[i][7] ^= 1
				if got, ok := es.PathRoot(leaves[p-1], p, size, changed); ok && got == root {
					t.Fatalf("hash %d of the path of %d of %d does not matter", i, p, size)
				}
			}
			if _, ok := es.PathRoot(leaves[p-1], p, size, append(path, root)); ok {
				t.Fatalf("a path of %d of %d may be too long", p, size)
			}
		}
	}
	for _, p := range []es.Position{0, 71} {
		if _, ok := es.PathRoot(leaves[0], p, 70, nil); ok {
			t.Errorf("position %d is in a tree over 70", p)
		}
	}
}

func TestACheckpointIsReadBackAsItWasWrittenAndInNoOtherForm(t *testing.T) {
	c := es.Checkpoint{Origin: "daybook/books", Size: 70_000, Root: es.Hash{1, 31: 255}, At: time.Date(2025, 10, 28, 9, 0, 0, 123456000, time.UTC)}
	const want = "daybook/books\n70000\nAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8=\ntime 2025-10-28T09:00:00.123456Z\n"
	if got := c.Text(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if again, err := es.ParseCheckpoint(want); err != nil || again != c {
		t.Errorf("got %+v, %v", again, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(want)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		if got, err := es.ParseCheckpoint(string(b)); err == nil && got.Text() != string(b) {
			t.Errorf("%q was read as %+v", b, got)
		}
	})
	for cut := range want {
		if _, err := es.ParseCheckpoint(want[:cut]); err == nil {
			t.Errorf("%q was read", want[:cut])
		}
	}
}
