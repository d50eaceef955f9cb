package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

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

// text is the set as snapshots keep it: its runs, parted by semicolons, of positions, parted by blanks.
func (s Positions) text() string {
	var b strings.Builder
	for i, run := range s {
		if i > 0 {
			b.WriteByte(';')
		}
		for j, p := range run {
			if j > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(strconv.FormatUint(uint64(p), 10))
		}
	}
	return b.String()
}

// parsePositions reads back what text wrote.
func parsePositions(text string) (s Positions, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ";") {
		var run []es.Position
		for digits := range strings.SplitSeq(part, " ") {
			n, err := strconv.ParseUint(digits, 10, 64)
			if err != nil || len(run) > 0 && es.Position(n) <= run[len(run)-1] {
				return nil, fmt.Errorf("account: %q is no set of positions", text)
			}
			run = append(run, es.Position(n))
		}
		s = append(s, run)
	}
	return s, nil
}
