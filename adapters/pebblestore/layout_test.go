package pebblestore

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// The bytes on disk, which later versions must go on reading.
func TestTheLayoutIsAsItWasInFormat1(t *testing.T) {
	at := time.Date(2025, 10, 28, 9, 0, 0, 123456000, time.UTC)
	for what, c := range map[string]struct {
		got  []byte
		want string
	}{
		"key of an event":        {appendEventKey(nil, 258), "65" + "0000000000000102"},
		"key of a version":       {appendVersionKey(nil, "acc-1", 3), "73" + "6163632d31" + "00" + "0000000000000003"},
		"key of an outcome":      {appendOutcomeKey(nil, "k\x00"), "63" + "6b00"},
		"key of a refusal":       {appendRefusalKey(nil, at.UnixMicro(), "k"), "78" + "800642343da38640" + "6b"},
		"key of a refusal of -1": {appendRefusalKey(nil, -1, ""), "78" + "7fffffffffffffff"},
		"key of a checkpoint":    {appendCheckpointKey(nil, "relay"), "70" + "72656c6179"},
		"a success":              {appendOutcome(nil, &ports.Outcome{Key: "k", RecordedAt: at, Body: []byte("yes")}), "01" + "00" + "000642343da38640" + "796573"},
		"a refusal":              {appendOutcome(nil, &ports.Outcome{Key: "k", Refusal: true, RecordedAt: at}), "01" + "01" + "000642343da38640"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is %s, want %s", what, got, c.want)
		}
	}
}

func TestAStoredOutcomeThatIsNotOneIsRefused(t *testing.T) {
	good := appendOutcome(nil, &ports.Outcome{RecordedAt: epoch, Body: []byte("x")})
	for n := range outcomeHeader {
		if _, err := parseOutcome("k", good[:n]); err == nil {
			t.Errorf("cut to %d bytes it was read", n)
		}
	}
	for at, b := range map[int]byte{0: 2, 1: 2} {
		wrong := bytes.Clone(good)
		wrong[at] = b
		if _, err := parseOutcome("k", wrong); err == nil {
			t.Errorf("with byte %d = %d it was read", at, b)
		}
	}
}

func TestRefusalsAreForgottenALittleAtATimeAndNeverEarly(t *testing.T) {
	noLeaks(t)
	disk := vfs.NewMem()
	s := open(t, Options{Dir: "store", fs: disk})
	refuse := func(n int, at time.Time) {
		u, err := s.Begin(t.Context(), ports.Needs{})
		if err != nil {
			t.Fatal(err)
		}
		b := ports.Batch{}
		for i := range n {
			b.Outcomes = append(b.Outcomes, ports.Outcome{Key: fmt.Sprint(at.UnixNano(), "/", i), Refusal: true, RecordedAt: at.Add(time.Duration(i) * time.Microsecond)})
		}
		if err := u.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	count := func(table byte) int {
		it, err := s.iterate(table)
		if err != nil {
			t.Fatal(err)
		}
		defer it.Close()
		n := 0
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		return n
	}
	refuse(500, epoch)
	refuse(1, epoch.Add(ports.RefusalsKept))
	if got := count(tableOutcomes); got != 501 {
		t.Errorf("%d outcomes are kept on the last moment, want 501", got)
	}
	s.Close() // where to go on is found again
	s = open(t, Options{Dir: "store", fs: disk})
	for i, want := range []int{501 - 66 + 1, 501 - 2*66 + 2, 501 - 3*66 + 3} {
		refuse(1, epoch.Add(ports.RefusalsKept+time.Hour*time.Duration(i+1)))
		if got := count(tableOutcomes); got != want {
			t.Errorf("after step %d %d outcomes are kept, want %d", i, got, want)
		}
	}
	for i := range 10 {
		refuse(1, epoch.Add(ports.RefusalsKept+time.Hour*time.Duration(i+5)))
	}
	if got, index := count(tableOutcomes), count(tableRefusals); got != 14 || index != 14 {
		t.Errorf("%d outcomes and %d in the index are left, want the 14 young ones", got, index)
	}
	s.Close()
}

func TestWhatIsMissingOrMisplacedIsDamageAndIsNamed(t *testing.T) {
	faulttable.Covers(t, "F18", faulttable.Pebble)
	noLeaks(t)
	s := open(t, Options{Dir: "store", fs: vfs.NewMem()})
	defer s.Close()
	mustWrite(t, s, "a", 0, 4, "k")
	mustWrite(t, s, "b", 0, 1, "k2")
	for what, c := range map[string]struct {
		key   []byte
		value []byte // nil: the row is gone
		words string
	}{
		"an event is gone":               {appendEventKey(nil, 2), nil, "the event at position 2 is missing"},
		"an event is another's":          {appendEventKey(nil, 2), s.mustGet(t, appendEventKey(nil, 3)), "the event at position 2 is not as it was written"},
		"a version is gone":              {appendVersionKey(nil, "a", 2), nil, "the place of version 2 of a is lost"},
		"a version leads too far":        {appendVersionKey(nil, "a", 2), s.mustGet(t, appendVersionKey(nil, "b", 1)), "the place of version 3 of a is lost"},
		"a version leads to another one": {appendVersionKey(nil, "a", 4), s.mustGet(t, appendVersionKey(nil, "b", 1)), "position 5 should hold version 4 of a and holds version 1 of b"},
	} {
		before := s.mustGet(t, c.key)
		if c.value == nil {
			_ = s.db.Delete(c.key, nil)
		} else {
			_ = s.db.Set(c.key, c.value, nil)
		}
		_, err := s.ReadStream(t.Context(), "a", 0, 10)
		wantCode(t, what, err, errDamaged, c.words)
		if _, err := s.ReadStream(t.Context(), "b", 0, 10); err != nil {
			t.Errorf("%s: the other stream: %v", what, err)
		}
		_ = s.db.Set(c.key, before, nil)
	}
	_ = s.db.Set(appendOutcomeKey(nil, "k"), []byte("junk"), nil)
	_, err := s.Outcome(t.Context(), "k")
	wantCode(t, "an outcome", err, errDamaged, `"k"`)
	wantFeed(t, s, es.Position(5))
}

func (s *Store) mustGet(t *testing.T, key []byte) []byte {
	t.Helper()
	v, err := s.get(key)
	if err != nil || v == nil {
		t.Fatalf("%q: %v, %v", key, v, err)
	}
	return v
}
