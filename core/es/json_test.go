package es_test

import (
	"encoding/json"
	"testing"

	"daybook/core/es"
)

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "acc-1", "a \"b\" \\ c", "\x00\x1f\x7f\n\r\t\b\f", "Grüße ☀ 𝄞", "\xff\xc3\x28\xed\xa0\x80", "\ufffd", "\u2028<>&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		theirs, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var want, got string
		if err := json.Unmarshal(theirs, &want); err != nil {
			t.Fatal(err)
		}
		ours := es.AppendString([]byte("["), s)[1:]
		if err := json.Unmarshal(ours, &got); err != nil || got != want {
			t.Errorf("%q is written as %s and read as %q (%v), want %q", s, ours, got, err, want)
		}
	})
}
