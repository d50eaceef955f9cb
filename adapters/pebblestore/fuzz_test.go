package pebblestore

import (
	"bytes"
	"testing"
	"time"

	"daybook/core/ports"
)

// FuzzLayout reads any bytes as what lies in the tables: what is taken has one form only, so it is written again as it was.
func FuzzLayout(f *testing.F) {
	at := time.UnixMicro(1_761_642_000_123_456).UTC()
	f.Add(appendOutcome(nil, &ports.Outcome{RecordedAt: at, Body: []byte("yes")}))
	f.Add(appendRefusalKey(nil, at.UnixMicro(), "k"))
	f.Add(appendEventKey(nil, 258)[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := parseOutcome("k", b); err == nil && !bytes.Equal(appendOutcome(nil, o), b) {
			t.Errorf("the outcome %x is taken for %+v", b, o)
		}
		if recordedAt, key, ok := parseRefusalKey(b); ok && !bytes.Equal(appendRefusalKey(nil, recordedAt, key)[1:], b[1:]) {
			t.Errorf("the key of a refusal %x is taken for %d %q", b, recordedAt, key)
		}
		if p, ok := parsePosition(b); ok && !bytes.Equal(appendEventKey(nil, p)[1:], b) {
			t.Errorf("the position %x is taken for %d", b, p)
		}
	})
}
