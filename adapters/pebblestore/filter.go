package pebblestore

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// outcomeFilter is a Bloom filter over the keys of outcomes alone: most of the keys that are asked for are new. Other rows
// are found by iterators, which need no filter, so theirs would only take memory from these.
type outcomeFilter struct{ bloom.FilterPolicy }

// newOutcomeFilter takes 10 bits a key, for one wrong "perhaps" in a hundred.
func newOutcomeFilter() outcomeFilter { return outcomeFilter{bloom.FilterPolicy(10)} }

// Name is written into tables: it changes if the bits do.
func (outcomeFilter) Name() string { return "daybook.outcomes.bloom" }

func (f outcomeFilter) MayContain(t pebble.FilterType, filter, key []byte) bool {
	return !isOutcome(key) || f.FilterPolicy.MayContain(t, filter, key)
}

func (f outcomeFilter) NewWriter(t pebble.FilterType) pebble.FilterWriter {
	return outcomeFilterWriter{f.FilterPolicy.NewWriter(t)}
}

type outcomeFilterWriter struct{ pebble.FilterWriter }

func (w outcomeFilterWriter) AddKey(key []byte) {
	if isOutcome(key) {
		w.FilterWriter.AddKey(key)
	}
}

func isOutcome(key []byte) bool { return len(key) > 0 && key[0] == tableOutcomes }
