package memviews

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"daybook/core/es"
)

func TestWordsAreFoldedAsTheCoreFoldsThem(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,20}`), rapid.String(), rapid.StringMatching(`[A-Za-z0-9 é\x{212A}ſ.-]{0,12}`))
	rapid.Check(t, func(t *rapid.T) {
		before, s := text.Draw(t, "before"), text.Draw(t, "s")
		want := before
		for _, w := range es.Words(s) {
			want += " " + w
		}
		if got := string(appendWords([]byte(before), s)); got != want {
			t.Fatalf("the words of %q are %q, want %q", s, got, want)
		}
	})
}

func TestKeysNeverOrderTwoValuesTheWrongWayRound(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[ab\x00\xff]{0,12}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		texts := index{text: true, common: rapid.StringMatching(`[ab]{0,4}`).Draw(t, "common")}
		a, b := es.Value{Str: text.Draw(t, "a")}, es.Value{Str: text.Draw(t, "b")}
		if strings.Compare(a.Str, b.Str) < 0 && texts.key(a) > texts.key(b) {
			t.Fatalf("%q is before %q, but its key after %q is greater", a.Str, b.Str, texts.common)
		}
		a.Int, b.Int = rapid.Int64().Draw(t, "m"), rapid.Int64().Draw(t, "n")
		if numbers := (index{}); a.Int < b.Int != (numbers.key(a) < numbers.key(b)) {
			t.Fatalf("%d and %d are not ordered as their keys are", a.Int, b.Int)
		}
	})
}
