package account

import (
	"slices"

	"daybook/core/es"
)

// Positions is a set of positions of events, as a value: With gives a new set and leaves the old one as it was. It is kept as
// sorted runs, each longer than the one behind it, which are merged as they grow: so a set of n costs 8 n bytes and a little,
// With touches few of them on average, and Has looks into as many runs as n has binary digits at the most.
type Positions [][]es.Position

// Has reports whether p is in the set.
func (s Positions) Has(p es.Position) bool {
	return slices.ContainsFunc(s, func(run []es.Position) bool {
		_, found := slices.BinarySearch(run, p)
		return found
	})
}

// With is the set and p.
func (s Positions) With(p es.Position) Positions {
	run, n := []es.Position{p}, len(s)
	for n > 0 && len(s[n-1]) <= len(run) {
		n--
		run = slices.Concat(s[n], run)
	}
	slices.Sort(run)
	return append(slices.Clone(s[:n]), run)
}
