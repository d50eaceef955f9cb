package es

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Place is a place in the effective order of a stream: by effective time, and by version where that is the same.
type Place struct {
	At      int64 // effective time in microseconds since 1970
	Version Version
}

// Earliest is the place before all others.
func Earliest() Place { return Place{At: math.MinInt64} }

// Latest is the place behind all others.
func Latest() Place { return Place{At: math.MaxInt64, Version: math.MaxUint64} }

// Compare orders places; it is as cmp.Compare.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.At, q.At), cmp.Compare(p.Version, q.Version))
}

// Movement is one change of a stream's amount, by the event of a version.
type Movement struct {
	Place
	Amount int64
}

// Summary is what a block says without being looked into.
type Summary struct {
	Position    Position // of the last event of the block, whether or not it moved the amount
	Hash        Hash     // of that event, so that the block is bound to all events of the stream up to it
	First, Last Place    // of the movements in the block; without any, First is Latest and Last is Earliest
	Total       int64    // of the amounts
}

// Block holds the movements of neighbouring versions of a stream in effective order, with sums. It is not changed once made.
type Block struct {
	Summary
	places []Place
	sums   []int64 // sums[i] is the sum of the amounts up to places[i], included
}

// NewBlock makes a block of movements in any order, which it sorts in place; last is the last event it covers.
func NewBlock(movements []Movement, last *Recorded) *Block {
	slices.SortFunc(movements, func(a, b Movement) int { return a.Compare(b.Place) })
	b := &Block{
		Summary: Summary{Position: last.Position, Hash: last.Hash},
		places:  make([]Place, len(movements)), sums: make([]int64, len(movements)),
	}
	for i, m := range movements {
		b.Total += m.Amount
		b.places[i], b.sums[i] = m.Place, b.Total
	}
	b.bound()
	return b
}

// bound sets where the block begins and ends.
func (b *Block) bound() {
	b.First, b.Last = Latest(), Earliest()
	if n := len(b.places); n > 0 {
		b.First, b.Last = b.places[0], b.places[n-1]
	}
}

// Len is the number of movements.
func (b *Block) Len() int { return len(b.places) }

// At is movement i in effective order.
func (b *Block) At(i int) Movement {
	m := Movement{b.places[i], b.sums[i]}
	if i > 0 {
		m.Amount -= b.sums[i-1]
	}
	return m
}

// Before is how many movements lie before a place.
func (b *Block) Before(p Place) int {
	return sort.Search(len(b.places), func(i int) bool { return b.places[i].Compare(p) >= 0 })
}

// Sum is the sum of the amounts before a place.
func (b *Block) Sum(p Place) int64 {
	if n := b.Before(p); n > 0 {
		return b.sums[n-1]
	}
	return 0
}

// The first bytes of what is kept beside snapshots.
const (
	blockForm     = 'b'
	summariesForm = 's'
)

// AppendBlock appends a block of a stream as it is kept, from first on: all that says what it is of, and a checksum.
func (r *Registry) AppendBlock(dst []byte, stream StreamID, first Version, b *Block) []byte {
	start := len(dst)
	dst = binary.AppendUvarint(r.begin(dst, blockForm, stream), uint64(first))
	dst = appendSummary(dst, &b.Summary)
	dst = binary.AppendUvarint(dst, uint64(len(b.places)))
	at := int64(0)
	for i := range b.places {
		m := b.At(i)
		dst = binary.AppendVarint(dst, m.At-at)
		dst = binary.AppendUvarint(dst, uint64(m.Version-first))
		dst = binary.AppendVarint(dst, m.Amount)
		at = m.At
	}
	return end(dst, start)
}

// ParseBlock reads back what AppendBlock wrote for the versions of the stream from first on. Anything else is an error, never a guess.
func (r *Registry) ParseBlock(stream StreamID, first Version, data []byte) (*Block, error) {
	p, err := r.open(stream, blockForm, data)
	if err != nil {
		return nil, err
	}
	if p.uint() != uint64(first) {
		return nil, fmt.Errorf("%w: it is of other versions", errSnapshot)
	}
	told := p.summary()
	n := p.uint()
	if p.failed || n > uint64(len(p.b)) {
		return nil, errSnapshot
	}
	b := &Block{Summary: Summary{Position: told.Position, Hash: told.Hash}, places: make([]Place, n), sums: make([]int64, n)}
	at := int64(0)
	for i := range b.places {
		at += p.int()
		b.places[i] = Place{at, first + Version(p.uint())}
		b.Total += p.int()
		b.sums[i] = b.Total
	}
	b.bound()
	if p.failed || len(p.b) > 0 || b.Summary != told || !slices.IsSortedFunc(b.places, Place.Compare) {
		return nil, errSnapshot
	}
	return b, nil
}

// AppendSummaries appends the summaries of neighbouring blocks of a stream, the first of which begins with the version first.
func (r *Registry) AppendSummaries(dst []byte, stream StreamID, first Version, all []Summary) []byte {
	start := len(dst)
	dst = binary.AppendUvarint(r.begin(dst, summariesForm, stream), uint64(first))
	dst = binary.AppendUvarint(dst, uint64(len(all)))
	for i := range all {
		dst = appendSummary(dst, &all[i])
	}
	return end(dst, start)
}

// ParseSummaries reads back what AppendSummaries wrote for n blocks. Anything else is an error, never a guess.
func (r *Registry) ParseSummaries(stream StreamID, first Version, n int, data []byte) ([]Summary, error) {
	p, err := r.open(stream, summariesForm, data)
	if err != nil {
		return nil, err
	}
	if p.uint() != uint64(first) || p.uint() != uint64(n) {
		return nil, fmt.Errorf("%w: it is of other versions", errSnapshot)
	}
	all := make([]Summary, n)
	for i := range all {
		all[i] = p.summary()
	}
	if p.failed || len(p.b) > 0 {
		return nil, errSnapshot
	}
	return all, nil
}

func appendSummary(dst []byte, s *Summary) []byte {
	dst = append(binary.AppendUvarint(dst, uint64(s.Position)), s.Hash[:]...)
	for _, p := range [...]Place{s.First, s.Last} {
		dst = binary.AppendVarint(dst, p.At)
		dst = binary.AppendUvarint(dst, uint64(p.Version))
	}
	return binary.AppendVarint(dst, s.Total)
}

func (p *parts) summary() Summary {
	return Summary{
		Position: Position(p.uint()), Hash: p.hash(),
		First: Place{p.int(), Version(p.uint())}, Last: Place{p.int(), Version(p.uint())}, Total: p.int(),
	}
}
