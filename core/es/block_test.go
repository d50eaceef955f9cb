package es_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"daybook/core/es"
)

func aBlock(n int) *es.Block {
	random := rand.New(rand.NewPCG(1, 2))
	movements := make([]es.Movement, n)
	for i := range movements {
		movements[i] = es.Movement{es.Place{random.Int64N(40) - 20, es.Version(11 + i)}, random.Int64N(100) - 50}
	}
	return es.NewBlock(movements, &es.Recorded{Position: 99, Hash: es.Hash{1, 2, 3}})
}

func TestABlockSumsWhatLiesBeforeAPlace(t *testing.T) {
	for _, n := range []int{0, 1, 50} {
		b := aBlock(n)
		if b.Len() != n || b.Sum(es.Latest()) != b.Total || b.Sum(es.Earliest()) != 0 {
			t.Fatalf("%d movements of %d sum up to %d", b.Len(), n, b.Sum(es.Latest()))
		}
		for at := int64(-22); at < 22; at++ {
			want, count := int64(0), 0
			for i := range n {
				if m := b.At(i); m.Compare(es.Place{At: at, Version: 30}) < 0 {
					want, count = want+m.Amount, count+1
				}
			}
			if p := (es.Place{At: at, Version: 30}); b.Sum(p) != want || b.Before(p) != count {
				t.Errorf("before %v: got %d, want %d", p, b.Sum(p), want)
			}
		}
	}
}

func TestWhatIsKeptOfBlocksComesBackOrIsRefused(t *testing.T) {
	r := accounts(t)
	b := aBlock(20)
	kept := r.AppendBlock(nil, "a", 11, b)
	if again, err := r.ParseBlock("a", 11, kept); err != nil || !reflect.DeepEqual(again, b) {
		t.Fatalf("got %+v, %v", again, err)
	}
	all := []es.Summary{b.Summary, aBlock(0).Summary}
	summaries := r.AppendSummaries(nil, "a", 11, all)
	if again, err := r.ParseSummaries("a", 11, 2, summaries); err != nil || !slices.Equal(again, all) {
		t.Fatalf("got %+v, %v", again, err)
	}
	parse := func(data []byte, stream es.StreamID, first es.Version) bool {
		_, err := r.ParseBlock(stream, first, data)
		_, err2 := r.ParseSummaries(stream, first, 2, data)
		_, err3 := r.ParseSnapshot(stream, data)
		return err == nil || err2 == nil || err3 == nil
	}
	for _, data := range [][]byte{kept, summaries} {
		for i := range data {
			broken := bytes.Clone(data)
			broken[i] ^= 1
			if parse(broken, "a", 11) || parse(data[:i], "a", 11) {
				t.Errorf("byte %d may be altered or the end", i)
			}
		}
		if parse(append(bytes.Clone(data), 0), "a", 11) || parse(data, "b", 11) || parse(data, "a", 12) {
			t.Error("what is of another stream, of other versions or too long passes")
		}
	}
	if _, err := r.ParseSummaries("a", 11, 3, summaries); err == nil {
		t.Error("summaries of two blocks pass for three")
	}
}
