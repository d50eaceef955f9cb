package pgstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"daybook/core/es"
)

// FuzzRow reads any columns as the server could send them: an event is what its columns say, and everything else is damage.
func FuzzRow(f *testing.F) {
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	hash := es.Hash{1}
	f.Add(number(17), []byte("acc-1"), number(2), []byte("MoneyDeposited"), []byte{0, 0, 0, 1}, number(1), []byte(`{"amount":5}`), []byte(`{"principal":"local"}`), hash[:])
	f.Add(number(17), []byte(`,"data":`), number(2), []byte(`","metadata":`), []byte{0, 0, 0, 1}, number(1), []byte(`{"a":",\"metadata\":"}`), []byte(`{}`), []byte{})
	f.Fuzz(func(t *testing.T, position, stream, version, kind, schema, moment, data, metadata, hash []byte) {
		d := decoder{left: 2}
		var e es.Recorded
		for range 2 { // the second one shares memory with the first
			row := [][]byte{position, stream, version, kind, schema, moment, moment, bytes.Clone(data), bytes.Clone(metadata), hash}
			if err := d.event(row, &e); err != nil {
				if !errors.Is(err, errDamaged) {
					t.Error(err)
				}
				return
			}
			if e.Stream != es.StreamID(stream) || uint64(e.Position) != binary.BigEndian.Uint64(position) || !bytes.Equal(e.Data, data) {
				t.Fatalf("got %+v", e)
			}
			if e.Forgotten() != (len(data) == 0) || len(data) > 0 && (e.Type != string(kind) || !bytes.Equal(e.Metadata, metadata)) {
				t.Fatalf("got %+v", e)
			}
		}
	})
}
