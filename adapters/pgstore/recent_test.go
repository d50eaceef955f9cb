package pgstore

import (
	"slices"
	"testing"

	"daybook/core/es"
	"daybook/core/ports"
)

// The suite of the contract compares what is read with what was written, mostly from memory; this compares it with the
// database.
func TestWhatIsReadFromMemoryIsWhatTheDatabaseHolds(t *testing.T) {
	here := open(t, Options{})
	there := open(t, Options{Schema: here.options.Schema})
	write := func(s *Store, n int) {
		t.Helper()
		drafts := make([]es.Recorded, n)
		for i := range drafts {
			drafts[i] = es.Recorded{Type: "TestHappened", Schema: 1, Data: []byte(`{"n":1}`), Metadata: []byte(`{"principal":"test"}`)}
		}
		stream := es.StreamID("s" + string(rune('a'+int(s.head.At())%26)))
		version := es.Version(0)
		for {
			events, err := s.ReadStream(t.Context(), stream, version, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if len(events) == 0 {
				break
			}
			version += es.Version(len(events))
		}
		if _, err := ports.Append(t.Context(), s, start, stream, version, drafts...); err != nil {
			t.Fatal(err)
		}
	}
	same := func(after es.Position, limit int) {
		t.Helper()
		mine, err := here.ReadFeed(t.Context(), after, limit)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := there.ReadFeed(t.Context(), after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(mine, theirs, func(a, b es.Recorded) bool { return string(a.JSON()) == string(b.JSON()) }) {
			t.Errorf("after %d, up to %d: %d events that are not those %d", after, limit, len(mine), len(theirs))
		}
	}
	for round := range 8 {
		write(here, 1500)
		head := here.head.At()
		same(head-1500, 1500)
		same(head-1500, 10)
		same(head-3, 1000)
		same(0, 1000)
		if round%3 == 2 {
			write(there, 2)
			same(head-1, 10) // of which ours has not heard
			write(here, 1)
			same(head-1, 10)
		}
	}
}
