package elasticviews

import (
	"reflect"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"daybook/core/account"
	"daybook/core/es"
)

// FuzzDocument reads any source of a hit: it is refused as a whole, or what was read is written and read as the same.
func FuzzDocument(f *testing.F) {
	r, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		f.Fatal(err)
	}
	x, err := newIndex(r.Modules[0])
	if err != nil {
		f.Fatal(err)
	}
	values := make([]es.Value, len(x.view.Fields))
	values[0].Str, values[x.fields["holders"]] = "a", es.TextsValue([]string{"Bob", "Eve"})
	for i := range values {
		values[i].Int = int64(i)
	}
	f.Add(x.append(nil, &es.Document{ID: "a", Version: 2, Values: values, Readers: []string{"Ada"}}), "a")
	f.Add(x.append(nil, &es.Document{ID: "b", Parked: "broken"}), "b")
	f.Add([]byte(`{"holders":"x","_daybook":[1]}`), "")
	f.Fuzz(func(t *testing.T, source []byte, id string) {
		d, err := x.document(&hit{ID: id, Version: 7, Source: jsontext.Value(source)})
		if err != nil {
			return
		}
		if d.ID != id || d.Version != 7 || len(d.Values) != len(x.view.Fields) {
			t.Fatalf("%q is read as %+v", source, d)
		}
		if !utf8.ValidString(id) {
			return
		}
		again, err := x.document(&hit{ID: id, Version: 7, Source: x.append(nil, &d)})
		if err != nil || !slices.EqualFunc(shown(x, &again), shown(x, &d), slices.Equal) || !reflect.DeepEqual(again.Readers, d.Readers) {
			t.Fatalf("%q is read as\n%+v and then as\n%+v, %v", source, d, again, err)
		}
	})
}

// shown is what clients see of a document, field by field.
func shown(x *index, d *es.Document) [][]byte {
	return [][]byte{x.view.AppendJSON(nil, d.Values), []byte(d.Parked)}
}
