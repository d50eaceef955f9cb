package notary_test

import (
	"strings"
	"testing"

	"daybook/adapters/notary"
)

// FuzzNote shows any text as a note, and as a log of notes: nothing is taken for signed that was not, and a log is taken apart without
// that anything is made up.
func FuzzNote(f *testing.F) {
	n, err := notary.New("daybook")
	if err != nil {
		f.Fatal(err)
	}
	signed, err := n.Sign(text)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed, n.Public())
	f.Add(signed+"\n"+signed+"\n", "daybook+00000000+AQ==")
	f.Add(text+"\n— daybook AAAA\n", "")
	f.Fuzz(func(t *testing.T, given, key string) {
		if got, err := notary.Check(given, n.Public()); err == nil && got != text {
			t.Errorf("%q was taken for signed", got)
		}
		if got, err := notary.Check(signed, key); err == nil && (got != text || key != n.Public()) {
			t.Errorf("the key %q checks %q", key, got)
		}
		if got, err := notary.Text(given); err == nil && !strings.HasPrefix(given, got) {
			t.Errorf("the text of %q is %q", given, got)
		}
		rest := given
		for _, one := range notary.Split(given) {
			_, after, found := strings.Cut(rest, one)
			if one == "" || !found {
				t.Fatalf("%q holds no note %q", given, one)
			}
			rest = after
		}
	})
}
