package contract

import (
	"errors"
	"strings"
	"testing"

	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// Behind changes a store behind Daybook's back, by the store's own means.
type Behind interface {
	Put(e es.Recorded)                       // writes all fields of the event at its position, the hash included
	Delete(p es.Position)                    // with whatever says where it is
	Seal(tree *es.Tree, nodes []es.TreeNode) // in the place of the tree and its nodes
}

// Tampered runs the ways in which somebody can change a store, and what a verification says then. open gives an empty store and
// a function that makes changes and gives the store as whoever opens it next sees it; it closes what it opens.
func Tampered(t *testing.T, open func(t *testing.T) (ports.Store, func(func(Behind)) ports.Store)) {
	const size = 600
	for _, c := range []struct {
		sentence string
		change   func(b Behind, all []es.Recorded)
		event    es.Position // that is named, without a checkpoint
		want     string      // in the words; "": it cannot be told
		kept     string      // in the words, with a checkpoint
	}{
		{
			sentence: "a store that nobody changed is as it was written",
		},
		{
			sentence: "an event that was edited is named",
			change: func(b Behind, all []es.Recorded) {
				all[299].Data = []byte(`{"n":1000000}`)
				b.Put(all[299])
			},
			want: "version 100 of c, at position 300", event: 300, kept: "position 300",
		},
		{
			sentence: "a time that was edited is named",
			change: func(b Behind, all []es.Recorded) {
				all[4].EffectiveAt = all[4].EffectiveAt.AddDate(0, 0, 1)
				b.Put(all[4])
			},
			want: "version 2 of b, at position 5", event: 5, kept: "position 5",
		},
		{
			sentence: "an event that was deleted is named",
			change:   func(b Behind, _ []es.Recorded) { b.Delete(300) },
			want:     "version 100 of c, at position 300", event: 300, kept: "position 300",
		},
		{
			sentence: "events that were swapped are named, the first of them",
			change: func(b Behind, all []es.Recorded) {
				all[10].Data, all[13].Data = all[13].Data, all[10].Data
				b.Put(all[10])
				b.Put(all[13])
			},
			want: "position 11", event: 11, kept: "position 11",
		},
		{
			sentence: "an event that was put in behind the seal is named",
			change: func(b Behind, all []es.Recorded) {
				e := at(size+1, "a", size/3+1)
				e.Seal(nil, all[size-3].Hash)
				b.Put(e)
			},
			want: "position 601", event: size + 1, kept: "position 601",
		},
		{
			sentence: "of an event that was edited together with its hash, the next one of its stream is named",
			change: func(b Behind, all []es.Recorded) {
				all[299].Data = []byte(`{"n":1000000}`)
				all[299].Seal(nil, all[296].Hash)
				b.Put(all[299])
			},
			want: "version 101 of c, at position 303", event: 303, kept: "position 303",
		},
		{
			sentence: "when it was the last one of its stream, the seal does not fit",
			change: func(b Behind, all []es.Recorded) {
				all[size-1].Data = []byte(`{"n":1000000}`)
				all[size-1].Seal(nil, all[size-4].Hash)
				b.Put(all[size-1])
			},
			want: "is not theirs", event: size, kept: "since the checkpoint",
		},
		{
			sentence: "an event that was edited with all hashes of its stream is found by the tree, to 256 events",
			change: func(b Behind, all []es.Recorded) {
				all[299].Data = []byte(`{"n":1000000}`)
				for _, e := range rehashed(all) {
					b.Put(e)
				}
			},
			want: "between positions 257 and 512", event: 257, kept: "between positions 257 and 512",
		},
		{
			sentence: "a tail that was cut off is found by the seal",
			change: func(b Behind, _ []es.Recorded) {
				for p := es.Position(size); p > size-7; p-- {
					b.Delete(p)
				}
			},
			want: "position 594", event: 594, kept: "position 594",
		},
		{
			sentence: "a tail that was cut off with its seal is found against a checkpoint",
			change: func(b Behind, all []es.Recorded) {
				for p := es.Position(size); p > size-7; p-- {
					b.Delete(p)
				}
				b.Seal(treeOver(all[:size-7]))
			},
			kept: "the end is missing: a checkpoint of 2025",
		},
		{
			sentence: "an event that was edited with every hash and seal after it is found against a checkpoint",
			change: func(b Behind, all []es.Recorded) {
				all[299].Data = []byte(`{"n":1000000}`)
				all = rehashed(all)
				for _, e := range all {
					b.Put(e)
				}
				b.Seal(treeOver(all))
			},
			kept: "every hash after it made anew, since the checkpoint of 2025",
		},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			s, behind := open(t)
			writeEvents(t, s, sequence(size, "a", "b", "c")...)
			all := readFeed(t, s, 0, size)
			tree, err := s.Tree(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			kept := es.Checkpoint{Origin: "test", Size: tree.Size, Root: tree.Root(), At: epoch}
			if c.change != nil {
				s = behind(func(b Behind) { c.change(b, all) })
			}
			verify(t, s, c.event, c.want)
			verify(t, s, 0, c.kept, kept)
		})
	}
}

// rehashed makes every hash of the events anew.
func rehashed(all []es.Recorded) []es.Recorded {
	last := map[es.StreamID]es.Hash{}
	for i := range all {
		all[i].Seal(nil, last[all[i].Stream])
		last[all[i].Stream] = all[i].Hash
	}
	return all
}

func treeOver(all []es.Recorded) (*es.Tree, []es.TreeNode) {
	var tree es.Tree
	var nodes []es.TreeNode
	for i := range all {
		nodes = tree.Add(all[i].Hash, nodes)
	}
	return &tree, nodes
}

func verify(t *testing.T, s ports.Store, event es.Position, want string, kept ...es.Checkpoint) {
	t.Helper()
	v := engine.Verification{History: engine.StoreHistory{Store: s}, Checkpoints: kept}
	err := v.Run(t.Context())
	var tampered *engine.TamperedError
	switch {
	case want == "" && err == nil:
	case !errors.As(err, &tampered) || want == "":
		t.Errorf("with %d checkpoints: got %v, want words like %q", len(kept), err, want)
	case !strings.Contains(err.Error(), want) || event > 0 && tampered.Event != event:
		t.Errorf("with %d checkpoints: got %q at position %d, want %q", len(kept), err, tampered.Event, want)
	}
}
