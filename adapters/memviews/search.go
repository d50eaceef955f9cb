package memviews

import (
	"strings"
	"unicode/utf8"

	"daybook/core/es"
	"daybook/core/ports"
)

// words folds what the Search fields hold into one string with a space before each word, so that a word which equals or
// begins one of them is found by looking for a space and that word: a scan with no memory per word.
func (d *documents) words(values []es.Value) string {
	var room [128]byte
	folded := room[:0]
	for i := range d.view.Fields {
		if !d.view.Fields[i].Search {
			continue
		}
		folded = appendWords(folded, values[i].Str)
	}
	return string(folded)
}

// appendWords appends the words of s as es.Words gives them, each after a space. It does ASCII itself, ten times faster.
func appendWords(dst []byte, s string) []byte {
	before, inWord := dst, false
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			for _, w := range es.Words(s) {
				before = append(append(before, ' '), w...)
			}
			return before
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			inWord = false
			continue
		}
		if !inWord {
			dst = append(dst, ' ')
		}
		dst, inWord = append(dst, c), true
	}
	return dst
}

// sameWords reports whether both documents have the same words.
func (d *documents) sameWords(a, b *entry) bool {
	for i := range d.view.Fields {
		if d.view.Fields[i].Search && a.Values[i].Str != b.Values[i].Str {
			return false
		}
	}
	return true
}

// matcher tells which documents a query asks for.
type matcher struct {
	filters []ports.Filter
	words   []string // each after a space
}

func newMatcher(q *ports.Query) matcher {
	m := matcher{filters: q.Filters}
	for _, w := range q.Words {
		m.words = append(m.words, " "+w)
	}
	return m
}

func (m *matcher) matches(e *entry) bool {
	for i := range m.filters {
		f := &m.filters[i]
		v := e.Values[f.Field]
		if f.Min != nil && v.Compare(*f.Min) < 0 || f.Max != nil && v.Compare(*f.Max) > 0 {
			return false
		}
	}
	for _, w := range m.words {
		if !strings.Contains(e.words, w) {
			return false
		}
	}
	return true
}
