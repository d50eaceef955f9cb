package main

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// twoPages are a statement of three entries.
func twoPages(each func(*statement) error) error {
	page := func(next string, entries ...string) *statement {
		s := &statement{
			ID: jsontext.Value(`"a"`), Currency: jsontext.Value(`"EUR"`), From: jsontext.Value("null"), To: jsontext.Value("null"),
			At: jsontext.Value(`"2025-01-01T00:00:00Z"`), Opening: jsontext.Value("0"), Closing: jsontext.Value("3"), Next: next,
		}
		for _, e := range entries {
			s.Entries = append(s.Entries, jsontext.Value(e))
		}
		return s
	}
	if err := each(page("there is more", `{"balance":1}`, `{"balance":2}`)); err != nil {
		return err
	}
	return each(page("", `{"balance":3}`))
}

func TestPagesOfAStatementArePrintedAsOne(t *testing.T) {
	var object strings.Builder
	if err := printStatementObject(&object, twoPages); err != nil {
		t.Fatal(err)
	}
	const want = `{"id":"a","currency":"EUR","from":null,"to":null,"at":"2025-01-01T00:00:00Z","openingBalance":0,"entries":[{"balance":1},{"balance":2},{"balance":3}],"closingBalance":3}`
	got := jsontext.Value(object.String())
	if err := got.Compact(); err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for name, want := range map[string]string{
		"ndjson": "{\"balance\":1}\n{\"balance\":2}\n{\"balance\":3}\n",
		"csv":    "entry,balance\nOpeningBalance,0\n,1\n,2\n,3\nClosingBalance,3\n",
	} {
		var rows strings.Builder
		err := printStatement(newList(&rows, &format{name: name}, column{"entry", "eventType", 5}, column{"balance", "balance", 5}), twoPages)
		if err != nil || rows.String() != want {
			t.Errorf("%s: got %s, %v, want %s", name, rows.String(), err, want)
		}
	}
}
