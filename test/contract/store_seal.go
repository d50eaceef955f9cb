package contract

import (
	"math"
	"testing"

	"daybook/core/es"
	"daybook/core/ports"
)

func sealCases() []storeCase {
	return []storeCase{
		{"the tree of an empty store has no event", func(t *testing.T, s ports.Store) {
			WantSealed(t, s, 0)
		}},
		{"after it is committed each event of a batch has its hash and its raw form, which are those that every read gives", func(t *testing.T, s ports.Store) {
			for p := es.Position(1); p < 10; p += 3 {
				batch := []es.Recorded{at(p, "a", es.Version(p)), at(p+1, "a", es.Version(p+1)), at(p+2, "a", es.Version(p+2))}
				writeEvents(t, s, batch...)
				for i, e := range readFeed(t, s, p-1, 3) {
					if b := &batch[i]; b.Hash == (es.Hash{}) || b.Hash != e.Hash || string(b.JSON()) != string(e.JSON()) {
						t.Errorf("the batch says %s\nthe store  %s", b.JSON(), e.JSON())
					}
				}
			}
			WantSealed(t, s, 9)
		}},
		{"every event's hash binds it to the one before it in its stream, and the tree binds all events, however they were written", sealing},
		{"nodes of the tree are there as soon as they are full, and are given from any place on", func(t *testing.T, s ports.Store) {
			all := sequence(3*256+10, "a", "b", "c")
			for i := 0; i < len(all); i += 100 {
				writeEvents(t, s, all[i:min(i+100, len(all))]...)
			}
			nodes := WantSealed(t, s, es.Position(len(all)))[1]
			if len(nodes) != 3 {
				t.Fatalf("there are %d nodes of level 1", len(nodes))
			}
			for first := range uint64(5) {
				for limit := range 5 {
					got := treeNodes(t, s, 1, first, limit)
					from := min(int(first), len(nodes))
					want := nodes[from:min(from+limit, len(nodes))]
					if len(got) != len(want) || len(got) > 0 && got[0] != want[0] {
						t.Errorf("from %d up to %d: got %d nodes, want %d", first, limit, len(got), len(want))
					}
				}
			}
			if got := treeNodes(t, s, 1, math.MaxUint64, 5); len(got) > 0 {
				t.Errorf("behind the last one there are %d nodes", len(got))
			}
		}},
		{"a batch that is refused leaves the tree as it was", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(5, "a")...)
			if err := tryWrite(t, s, ports.Batch{Events: []es.Recorded{at(6, "a", 6), at(7, "a", 9)}}); err == nil {
				t.Error("it was not refused")
			}
			WantSealed(t, s, 5)
			writeEvents(t, s, at(6, "a", 6))
			WantSealed(t, s, 6)
		}},
	}
}

// sealing writes with and without what the caller may know of a stream.
func sealing(t *testing.T, s ports.Store) {
	writeEvents(t, s, sequence(6, "a", "b")...)
	hash := readStream(t, s, "a", 2, 1)[0].Hash
	for i, need := range []ports.StreamNeed{
		{Stream: "a", After: 3, Hash: hash, At: 6}, // all that there is to know
		{Stream: "a", After: 4, At: 7},             // not the hash
		{Stream: "a", After: 5},
		{Stream: "a", After: 3, Hash: hash}, // an older version, of which the rest is told
		{Stream: "a"},
	} {
		u := begin(t, s, ports.Needs{Streams: []ports.StreamNeed{need}})
		p, v := es.Position(7+i), es.Version(4+i)
		if err := u.Commit(t.Context(), ports.Batch{Events: []es.Recorded{at(p, "a", v)}}); err != nil {
			t.Fatalf("with %+v: %v", need, err)
		}
		WantSealed(t, s, p)
	}
	if _, err := ports.Append(t.Context(), s, epoch.AddDate(1, 0, 0), "b", 3, draft(1), draft(2)); err != nil {
		t.Fatal(err)
	}
	WantSealed(t, s, 13)
}

// WantSealed is a test of its own for stores that were sealed later: it holds every hash of the store against what its events make it, and gives the tree's nodes by level.
func WantSealed(t *testing.T, s ports.Store, size es.Position) map[int][]es.Hash {
	t.Helper()
	events := readFeed(t, s, 0, int(size)+1)
	if es.Position(len(events)) != size {
		t.Errorf("there are %d events, want %d", len(events), size)
	}
	return sealedOver(t, s, events)
}

// sealedOver holds the store's seal against the events that it has, or was given.
func sealedOver(t *testing.T, s ports.Store, events []es.Recorded) map[int][]es.Hash {
	t.Helper()
	size := es.Position(len(events))
	var want es.Tree
	last := map[es.StreamID]es.Hash{}
	nodes := map[int][]es.Hash{}
	for _, e := range events {
		if got := e.HashAfter(last[e.Stream]); got != e.Hash {
			t.Errorf("version %d of %s has the hash %s, want %s", e.Version, e.Stream, e.Hash, got)
		}
		last[e.Stream] = e.Hash
		for _, n := range want.Add(e.Hash, nil) {
			nodes[n.Level] = append(nodes[n.Level], n.Hash)
		}
	}
	got, err := s.Tree(t.Context())
	if err != nil || got.Size != size || got.Root() != want.Root() {
		t.Errorf("the tree is over %d events with the root %s (%v), want %d and %s", got.Size, got.Root(), err, want.Size, want.Root())
	}
	for level := 1; level <= 2; level++ {
		all := treeNodes(t, s, level, 0, math.MaxInt)
		if len(all) != len(nodes[level]) {
			t.Fatalf("there are %d nodes of level %d, want %d", len(all), level, len(nodes[level]))
		}
		for i := range all {
			if all[i] != nodes[level][i] {
				t.Errorf("node %d of level %d is %s, want %s", i, level, all[i], nodes[level][i])
			}
		}
	}
	return nodes
}

func treeNodes(t *testing.T, s ports.Store, level int, first uint64, limit int) []es.Hash {
	t.Helper()
	nodes, err := s.TreeNodes(t.Context(), level, first, limit)
	if err != nil {
		t.Fatalf("nodes of level %d: %v", level, err)
	}
	return nodes
}
