package memviews

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

// FuzzKeptViews reads any file of views, and any log beside it, with checksums that are made right: what does not add up is refused
// whole, and what is taken is written as it was read.
func FuzzKeptViews(f *testing.F) {
	r, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		f.Fatal(err)
	}
	shape := r.ViewsShape()
	v := New(r)
	file := written(f, filledViews(f, v), r, shape)
	record := v.appendRecord(nil, point{2, es.Hash{2}}, point{3, es.Hash{3}}, []changed{{v.names[0], &entry{Document: es.Document{ID: "c", Version: 1, Parked: "broken"}}}})
	f.Add(file[fileHead:len(file)-sha256.Size], uint64(2), record[8+logHead:len(record)-sha256.Size])
	f.Fuzz(func(t *testing.T, documents []byte, count uint64, changes []byte) {
		v := New(r)
		content := slices.Concat(file[:fileHead-8], binary.BigEndian.AppendUint64(nil, count), documents)
		sum := sha256.Sum256(content)
		if err := v.readFile(append(content, sum[:]...), shape); err != nil {
			if v.checkpoint != 0 || len(v.views[v.names[0]].byID) != 0 {
				t.Fatalf("refused (%v), and %d documents are there", err, len(v.views[v.names[0]].byID))
			}
			v = New(r)
			v.checkpoint, v.hash = 2, es.Hash{2}
		} else {
			wantSame(t, v, r, shape)
		}
		head := record[8 : 8+logHead]
		sum = sha256.Sum256(slices.Concat(head, changes))
		body := slices.Concat(head, changes, sum[:])
		before := v.checkpoint
		log := append(binary.BigEndian.AppendUint64(nil, uint64(len(body))), body...)
		used, err := v.readLog(log)
		if (err == nil) != (used == len(log)) || err != nil && v.checkpoint != before {
			t.Fatalf("%d bytes were used, at position %d: %v", used, v.checkpoint, err)
		}
		wantSame(t, v, r, shape)
	})
}

// filledViews puts two documents into views, of which one is parked.
func filledViews(f *testing.F, v *Views) *Views {
	f.Helper()
	view := v.views[v.names[0]].view
	values := make([]es.Value, len(view.Fields))
	values[0].Str, values[1].Str = "a", "Ada"
	changes := []ports.Change{
		{View: v.names[0], Document: es.Document{ID: "a", Version: 1, Values: values, Readers: []string{"Ada"}}},
		{View: v.names[0], Document: es.Document{ID: "b", Version: 1, Parked: "broken"}},
	}
	if err := v.Write(f.Context(), 0, changes, 0, 2, es.Hash{2}); err != nil {
		f.Fatal(err)
	}
	return v
}

// written is the file of views that hold the same documents.
func written(t testing.TB, v *Views, r *es.Registry, shape es.Hash) []byte {
	t.Helper()
	var changes []ports.Change
	for _, name := range v.names {
		for _, e := range v.views[name].byID {
			changes = append(changes, ports.Change{View: name, Document: e.Document})
		}
	}
	same, file := New(r), bytes.Buffer{}
	err := same.Write(t.Context(), 0, changes, 0, v.checkpoint, v.hash)
	if err == nil {
		err = same.Open(t.Context(), 0)
	}
	if err == nil {
		err = same.writeFile(t.Context(), &file, same.whole(), shape)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// wantSame checks that what views write is read as what they are.
func wantSame(t *testing.T, v *Views, r *es.Registry, shape es.Hash) {
	t.Helper()
	file, again := written(t, v, r, shape), New(r)
	if err := again.readFile(file, shape); err != nil || !bytes.Equal(written(t, again, r, shape), file) {
		t.Fatalf("what was read is written as %q (%v)", file, err)
	}
}
