package es_test

import (
	"strings"
	"testing"

	"daybook/core/es"
)

func TestCopyMemberAddsAMemberWithTheValueOfAnother(t *testing.T) {
	copied := es.CopyMember("a", "b")
	for data, want := range map[string]string{
		`{"a":1}`:                        `{"a":1,"b":1}`,
		`{"x":{"a":2},"a":"q\"}","y":3}`: `{"x":{"a":2},"a":"q\"}","y":3,"b":"q\"}"}`,
	} {
		given := []byte(data)
		got, err := copied(given)
		if err != nil || string(got) != want || string(given) != data {
			t.Errorf("%s becomes %s, %v; want %s", given, got, err, want)
		}
	}
	for data, says := range map[string]string{`{"b":1}`: `"a" is missing`, `{}`: `"a" is missing`, `[1]`: "no", ``: "not a flat", `{"a":1`: "not a flat"} {
		if got, err := copied([]byte(data)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s becomes %s, %v; want words with %s", data, got, err, says)
		}
	}
}

func TestTheShapeOfAViewIsThatOfItsFieldsAndItsMeaning(t *testing.T) {
	one := es.ViewField{Spec: es.Spec{Name: "a", Kind: es.KindText, Doc: "One."}, Lookup: es.Equal}
	view := func(change func(*es.ViewField)) string {
		f := one
		change(&f)
		return (&es.View{Fields: []es.ViewField{f}}).Shape()
	}
	was := view(func(*es.ViewField) {})
	if view(func(f *es.ViewField) { f.Doc = "Another sentence." }) != was {
		t.Error("other words about a field are no other shape")
	}
	for sentence, change := range map[string]func(*es.ViewField){
		"name":   func(f *es.ViewField) { f.Name = "b" },
		"kind":   func(f *es.ViewField) { f.Kind = es.KindWord },
		"lookup": func(f *es.ViewField) { f.Lookup = es.NoLookup },
		"sorted": func(f *es.ViewField) { f.Sorted = true },
		"search": func(f *es.ViewField) { f.Search = true },
	} {
		if view(change) == was {
			t.Errorf("another %s is the same shape", sentence)
		}
	}
	if again := (&es.View{Fields: []es.ViewField{one}, Meaning: 1}).Shape(); again == was {
		t.Error("another meaning is the same shape")
	}
}
