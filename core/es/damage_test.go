package es

import (
	"errors"
	"testing"
	"time"
)

func TestEventCutShortAnywhereIsCorruptAndNoPanic(t *testing.T) {
	at := time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)
	whole := Recorded{Stream: "acc-1", Version: 1, Position: 1, Type: "MoneyDeposited", Schema: 1, EffectiveAt: at, RecordedAt: at,
		Data: []byte(`{"reason":"a \"quoted\" \\ word"}`), Metadata: []byte(`{"principal":"l\u00f6cal"}`)}
	raw := whole.AppendJSON(nil)
	for n := range raw {
		if _, err := ParseRecorded(raw[:n:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut after %d bytes: got %v, want ErrCorrupt", n, err)
		}
	}
	if _, err := ParseRecorded(raw); err != nil {
		t.Errorf("uncut: %v", err)
	}
}
