package importer_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"daybook/adapters/importer"
	"daybook/core/es"
)

// FuzzReader feeds any file to the reader and its rows to a mapping: line numbers rise, amounts stay within bounds, and the rejects
// file gives every row back as it was.
func FuzzReader(f *testing.F) {
	for _, rows := range []string{
		"a,1,2020-01-01,500,in,0,text\n", "a,1,2020-01-01,5.00,out,-0.01,\"=x\ny\"\r\n", "\"\n\"\n", ",,,,,,'=1\n\xff,\n", "a,\"b\"c,\"",
	} {
		f.Add(rows)
	}
	m, err := importer.ReadMapping(strings.NewReader(strings.Replace(byWords, "format: minor", "format: decimal\ndigits: 2", 1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in, err := importer.NewReader(strings.NewReader(head+text), ',')
		if err != nil {
			t.Fatal(err)
		}
		plan, err := m.Bind(in.Header())
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		rejects := importer.NewRejects(in.Header(), func() (io.Writer, error) { return &file, nil })
		rejects.Add(make([]string, len(in.Header())), 1, "always there", 0)
		line, rows := 1, [][]string{make([]string, len(in.Header()))}
		for {
			row, err := in.Read()
			var bad *importer.Unreadable
			switch {
			case errors.As(err, &bad):
				row.Line = bad.Line
			case errors.Is(err, io.EOF):
				compareRejects(t, rejects, &file, rows)
				return
			case err != nil:
				return
			default:
				rows = append(rows, slices.Clone(row.Fields))
				rejects.Add(row.Fields, row.Line, "fuzzed", 3)
				if e, err := plan.Entry(row.Fields); err == nil && (e.Amount > es.MaxAmount || e.Amount < -es.MaxAmount) {
					t.Fatalf("amount %d", e.Amount)
				}
			}
			if row.Line <= line {
				t.Fatalf("line %d came after line %d", row.Line, line)
			}
			line = row.Line
		}
	})
}

func compareRejects(t *testing.T, rejects *importer.Rejects, file io.Reader, want [][]string) {
	t.Helper()
	if err := rejects.Flush(); err != nil {
		t.Fatal(err)
	}
	in, err := importer.NewRejectsReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, fields := range want {
		row, err := in.Read()
		if err != nil || !slices.Equal(row.Fields, fields) {
			t.Fatalf("%v: wrote %q, read %q", err, fields, row.Fields)
		}
	}
}

// FuzzMapping reads any mapping: it is refused with words, or it can be held against a file, whose amounts stay within bounds.
func FuzzMapping(f *testing.F) {
	f.Add(byWords, "a,1,2020-01-01,500,in,0,text")
	f.Add(strings.Replace(byWords, "direction: {column: kind, deposit: [in], withdraw: [out], skip: [note]}", "direction: sign", 1), "a,2,2020-01-01,-5,,,")
	f.Add("name: &a {b: *a}\nid: [acc, no]\ncreate: {owner: \"{\", currency: \"{acc\"}", "")
	f.Fuzz(func(t *testing.T, text, row string) {
		m, err := importer.ReadMapping(strings.NewReader(text))
		if err != nil {
			if err.Error() == "" || strings.Contains(err.Error(), "importer.") {
				t.Errorf("%q says nothing to a person", err)
			}
			return
		}
		plan, err := m.Bind(strings.Split(strings.TrimSpace(head), ","))
		if err != nil {
			return
		}
		fields := make([]string, strings.Count(head, ",")+1)
		copy(fields, strings.Split(row, ","))
		if e, err := plan.Entry(fields); err == nil && (e.Amount > es.MaxAmount || e.Amount < -es.MaxAmount) {
			t.Fatalf("amount %d", e.Amount)
		}
	})
}
