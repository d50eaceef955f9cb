package logfile

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// ledger is a small one as a file.
func ledger(f *testing.F) []byte {
	f.Helper()
	at := time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)
	var events []es.Recorded
	var tree es.Tree
	var last es.Hash
	for n := range es.Position(3) {
		e := es.Recorded{Stream: "a", Version: es.Version(n + 1), Position: n + 1, Type: "Happened", Schema: 1, EffectiveAt: at, RecordedAt: at,
			Data: []byte(`{"n":1}`), Metadata: []byte(`{"principal":"test"}`)}
		e.Seal(nil, last)
		last = e.Hash
		tree.Add(e.Hash, nil)
		events = append(events, e)
	}
	var file bytes.Buffer
	w := NewWriter(&file)
	err := w.Begin(engine.Ledger{Head: 3, Root: tree.Root(), At: at})
	for i := range events {
		err = errors.Join(err, w.Event(&events[i]))
	}
	for _, key := range []string{"a", "b"} {
		err = errors.Join(err, w.Outcome(&ports.Outcome{Key: key, Refusal: key == "b", RecordedAt: at, Body: []byte("body")}))
	}
	if err = errors.Join(err, w.End()); err != nil {
		f.Fatal(err)
	}
	return file.Bytes()
}

// sealedAgain gives the lines that are no events the hashes that they must have, as whoever forges a file can.
func sealedAgain(file []byte) []byte {
	var out []byte
	var last es.Hash
	for line := range bytes.Lines(file) {
		at := bytes.LastIndex(line, []byte(hashMember))
		if at < 1 || bytes.HasPrefix(line, []byte(`{"id":`)) {
			out = append(out, line...)
			continue
		}
		bare := append(bytes.Clone(line[:at]), '}')
		last = seal(last, bare)
		out = append(append(append(append(out, line[:at]...), hashMember...), last.String()...), "\"}\n"...)
	}
	return out
}

// FuzzReader reads any file, and each once more with the hashes of its lines made right: it is damaged, with the line named, or it is
// read to its end and written again as it was.
func FuzzReader(f *testing.F) {
	whole := ledger(f)
	f.Add(whole)
	f.Add(bytes.Replace(whole, []byte(`"head":3`), []byte(`"head":0`), 1))
	f.Add(bytes.Replace(whole, []byte(`"key":"Yg=="`), []byte(`"key":"YQ=="`), 1))
	f.Fuzz(func(t *testing.T, file []byte) {
		readWhole(t, file)
		readWhole(t, sealedAgain(file))
	})
}

func readWhole(t *testing.T, file []byte) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		wantDamage(t, err)
		return
	}
	var again bytes.Buffer
	w := NewWriter(&again)
	failed := w.Begin(r.Ledger())
	for {
		e, o, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			if err := errors.Join(failed, w.End()); err != nil || !sameLedger(t, again.Bytes(), file) {
				t.Errorf("%q was taken, and is written as %q (%v)", file, again.Bytes(), err)
			}
			return
		case err != nil:
			wantDamage(t, err)
			return
		case e != nil:
			failed = errors.Join(failed, w.Event(e))
		default:
			failed = errors.Join(failed, w.Outcome(o))
		}
	}
}

func wantDamage(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// sameLedger compares what two files say: lines that are no events may be written in several ways.
func sameLedger(t *testing.T, one, other []byte) bool {
	t.Helper()
	a, err := NewReader(bytes.NewReader(one))
	if err != nil {
		return false
	}
	b, err := NewReader(bytes.NewReader(other))
	if err != nil || a.Ledger().Root != b.Ledger().Root || a.Ledger().Head != b.Ledger().Head || !a.Ledger().At.Equal(b.Ledger().At) {
		return false
	}
	for {
		e, o, err := a.Next()
		e2, o2, err2 := b.Next()
		switch {
		case err != nil || err2 != nil:
			return errors.Is(err, io.EOF) && errors.Is(err2, io.EOF)
		case e != nil && (e2 == nil || !bytes.Equal(e.JSON(), e2.JSON())):
			return false
		case o != nil && (o2 == nil || o.Key != o2.Key || o.Refusal != o2.Refusal || !o.RecordedAt.Equal(o2.RecordedAt) || !bytes.Equal(o.Body, o2.Body)):
			return false
		}
	}
}

// endless is a file without an end of line.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	e.read += len(b)
	return len(b), nil
}

func TestALineThatGoesOnAndOnIsDamageAndTakesNoRoom(t *testing.T) {
	file := &endless{}
	_, err := NewReader(file)
	if wantDamage(t, err); file.read > 2*longest {
		t.Errorf("%d bytes were read", file.read)
	}
}
