package es_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"daybook/core/es"
)

func TestWordsAreRunsOfLettersMarksAndNumbersFolded(t *testing.T) {
	for s, want := range map[string][]string{
		"":                       {},
		" -- ":                   {},
		"Ada Lovelace":           {"ada", "lovelace"},
		"acc-101.EUR":            {"acc", "101", "eur"},
		"O'Neill & Söhne, GmbH.": {"o", "neill", "söhne", "gmbh"},
		"ΟΔΥΣΣΕΥΣ":               {"οδυσσευσ"},
		"naïve\u0301x":           {"naïve\u0301x"},
		"日本 ٣":                   {"日本", "٣"},
	} {
		if got := es.Words(s); !slices.Equal(got, want) {
			t.Errorf("%q has the words %q, want %q", s, got, want)
		}
	}
}

func TestWordsThatDifferByCaseAloneAreOne(t *testing.T) {
	fold := func(r rune) string { return strings.Join(es.Words(string(r)), "") }
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.IsLetter(r) {
			continue
		}
		folded := fold(r)
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if unicode.IsLetter(other) && fold(other) != folded {
				t.Errorf("%q folds to %q and %q to %q", r, folded, other, fold(other))
			}
		}
		if again := strings.Join(es.Words(folded), ""); again != folded {
			t.Errorf("%q folds to %q, and that to %q", r, folded, again)
		}
	}
}

func TestValuesAreOrderedBySizeAndThenByBytes(t *testing.T) {
	early := time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)
	ordered := []es.Value{es.TimeValue(early), {Int: -1}, {}, {Str: "A"}, {Str: "a"}, {Str: "ä"}, {Int: 1}, {Int: es.MaxAmount}, es.TimeValue(early.AddDate(300, 0, 0))}
	for i, v := range ordered {
		for j, w := range ordered {
			if got, want := v.Compare(w) < 0, i < j; got != want {
				t.Errorf("%+v before %+v is %v", v, w, got)
			}
			if got, want := v.Compare(w) == 0, i == j; got != want {
				t.Errorf("%+v equals %+v is %v", v, w, got)
			}
		}
	}
}

func TestDocumentIsShownByTheKindsOfItsFields(t *testing.T) {
	view := es.View{Fields: []es.ViewField{
		{Spec: es.Spec{Name: "id", Kind: es.KindID}}, {Spec: es.Spec{Name: "balance", Kind: es.KindBalance}},
		{Spec: es.Spec{Name: "createdAt", Kind: es.KindTime}}, {Spec: es.Spec{Name: "owner", Kind: es.KindText}},
	}}
	at := time.Date(2025, 10, 28, 9, 0, 0, 500000, time.UTC)
	got := view.AppendJSON(nil, []es.Value{{Str: "acc-1"}, {Int: -5}, es.TimeValue(at), {Str: `A "B"`}})
	want := `{"id":"acc-1","balance":-5,"createdAt":"2025-10-28T09:00:00.0005Z","owner":"A \"B\""}`
	if string(got) != want || !json.Valid(got) {
		t.Errorf("got %s, want %s", got, want)
	}
	if view.Field("balance") != 1 || view.Field("Balance") != -1 {
		t.Error("a field is found by its exact name")
	}
}
