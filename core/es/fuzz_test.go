package es_test

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"slices"
	"testing"

	"daybook/core/es"
)

// What is kept of streams has a checksum, which is made right here: behind it may stand anything, and what is taken comes back.
func FuzzWhatIsKeptOfAStream(f *testing.F) {
	const stream, first, head, tail = "acc-101", 11, 1 + 16, 16 // the form and the shape; the checksum
	r := accounts(f)
	b := aBlock(20)
	for _, whole := range [][]byte{
		snapshot(f, r, folded()), r.AppendBlock(nil, stream, first, b), r.AppendSummaries(nil, stream, first, []es.Summary{b.Summary, aBlock(0).Summary}),
	} {
		f.Add(whole[0], whole[head:len(whole)-tail])
	}
	shape := snapshot(f, r, folded())[1:head]
	f.Fuzz(func(t *testing.T, form byte, content []byte) {
		kept := slices.Concat([]byte{form}, shape, content)
		sum := sha256.Sum256(kept)
		kept = append(kept, sum[:tail]...)
		if state, err := r.ParseSnapshot(stream, kept); err == nil {
			if again, err := r.ParseSnapshot(stream, snapshot(t, r, state)); err != nil || !reflect.DeepEqual(again, state) {
				t.Errorf("%+v was taken and comes back as %+v, %v", state, again, err)
			}
		}
		if block, err := r.ParseBlock(stream, first, kept); err == nil {
			if again, err := r.ParseBlock(stream, first, r.AppendBlock(nil, stream, first, block)); err != nil || !reflect.DeepEqual(again, block) {
				t.Errorf("%+v was taken and comes back as %+v, %v", block, again, err)
			}
		}
		if all, err := r.ParseSummaries(stream, first, 2, kept); err == nil {
			if again, err := r.ParseSummaries(stream, first, 2, r.AppendSummaries(nil, stream, first, all)); err != nil || !slices.Equal(again, all) {
				t.Errorf("%+v was taken and comes back as %+v, %v", all, again, err)
			}
		}
	})
}

// Whatever has one form only is read in that one, so it is written again as it was.
func FuzzWhatHasOneForm(f *testing.F) {
	var tree es.Tree
	for n := range 3 {
		tree.Add(es.Hash{byte(n)}, nil)
	}
	kept, _ := tree.AppendBinary(nil) // never fails
	checkpoint := es.Checkpoint{Origin: "daybook", Size: 17, Root: es.Hash{1}, At: folded().UpdatedAt}
	for _, text := range []string{"evt-17", es.Hash{1}.String(), checkpoint.Text(), string(kept)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := string(data)
		if p, err := es.ParseEventID(text); err == nil && p.EventID() != text {
			t.Errorf("the event id %q is taken for %s", text, p.EventID())
		}
		if h, err := es.ParseHash(text); err == nil && h.String() != text {
			t.Errorf("the hash %q is taken for %s", text, h)
		}
		if c, err := es.ParseCheckpoint(text); err == nil && c.Text() != text {
			t.Errorf("the checkpoint %q is taken for %q", text, c.Text())
		}
		var tree es.Tree
		if err := tree.UnmarshalBinary(data); err == nil {
			tree.Root()
			if again, _ := tree.AppendBinary(nil); !bytes.Equal(again, data) {
				t.Errorf("the tree %x is taken for %x", data, again)
			}
		}
	})
}
