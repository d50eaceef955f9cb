package contract

import (
	"fmt"
	"math"
	"testing"

	"daybook/core/es"
	"daybook/core/ports"
)

func snapshotCases() []storeCase {
	return []storeCase{
		{"there is no snapshot of a stream before one is saved", func(t *testing.T, s ports.Store) {
			saveSnapshots(t, s)
			wantSnapshot(t, s, "a", math.MaxUint64, 0, "")
			saveSnapshots(t, s, ports.Snapshot{Stream: "b", Position: 1, Body: []byte("b")})
			wantSnapshot(t, s, "a", math.MaxUint64, 0, "")
		}},
		{"of several snapshots of a stream the one with the highest position up to the one given is found", nearestSnapshot},
		{"a snapshot takes the place of one of the same stream and position, also in one call", func(t *testing.T, s ports.Store) {
			at := func(body string) ports.Snapshot { return ports.Snapshot{Stream: "a", Position: 7, Body: []byte(body)} }
			saveSnapshots(t, s, at("first"), at("second"))
			wantSnapshot(t, s, "a", 7, 7, "second")
			saveSnapshots(t, s, at("third"))
			saveSnapshots(t, s, at("third"))
			wantSnapshot(t, s, "a", 7, 7, "third")
		}},
		{"snapshots of streams with ids that resemble each other do not mix", func(t *testing.T, s ports.Store) {
			ids := []es.StreamID{"a", "a-b", "a.", "A", "voucher:a", "acc-1", "acc-10", "acc-1-0", "acc-", "a/blocks", "acc-1/blocks", "a/"}
			for i, id := range ids {
				saveSnapshots(t, s, ports.Snapshot{Stream: id, Position: es.Position(i + 1), Body: []byte(id)})
			}
			for i, id := range ids {
				wantSnapshot(t, s, id, math.MaxUint64, es.Position(i+1), string(id))
				wantSnapshot(t, s, id, es.Position(i), 0, "")
			}
		}},
		{"a snapshot's bytes are kept as they are, and changing what was given to the store afterwards changes nothing", func(t *testing.T, s ports.Store) {
			body := make([]byte, 256)
			for i := range body {
				body[i] = byte(i)
			}
			want := string(body)
			saveSnapshots(t, s, ports.Snapshot{Stream: "a", Position: 1, Body: body})
			clear(body)
			wantSnapshot(t, s, "a", 1, 1, want)
		}},
		{"snapshots are saved while a unit of work is open, and show nothing in head, streams and feed", func(t *testing.T, s ports.Store) {
			u := begin(t, s, ports.Needs{})
			defer u.Rollback()
			saveSnapshots(t, s, ports.Snapshot{Stream: "a", Position: 5, Body: []byte("a")})
			wantSnapshot(t, s, "a", 9, 5, "a")
			wantHead(t, s, 0)
			sameEvents(t, "stream", readStream(t, s, "a", 0, 10), nil)
			sameEvents(t, "feed", readFeed(t, s, 0, 10), nil)
		}},
	}
}

func nearestSnapshot(t *testing.T, s ports.Store) {
	var all []ports.Snapshot
	for _, p := range []es.Position{300, 100, 70_000, 200} {
		all = append(all, ports.Snapshot{Stream: "a", Position: p, Body: fmt.Append(nil, "at ", p)})
	}
	saveSnapshots(t, s, all...)
	for upTo, want := range map[es.Position]es.Position{
		0: 0, 99: 0, 100: 100, 101: 100, 199: 100, 200: 200, 255: 200, 256: 200, 300: 300, 69_999: 300, 70_000: 70_000,
		math.MaxInt64: 70_000, 1 << 63: 70_000, math.MaxUint64: 70_000,
	} {
		body := ""
		if want > 0 {
			body = fmt.Sprint("at ", want)
		}
		wantSnapshot(t, s, "a", upTo, want, body)
	}
}

func saveSnapshots(t *testing.T, s ports.Store, all ...ports.Snapshot) {
	t.Helper()
	if err := s.SaveSnapshots(t.Context(), all); err != nil {
		t.Fatalf("save snapshots: %v", err)
	}
}

// wantSnapshot asks for a snapshot and holds it against a position and a body; position zero means that there is none.
func wantSnapshot(t *testing.T, s ports.Store, stream es.StreamID, upTo, position es.Position, body string) {
	t.Helper()
	got, err := s.Snapshot(t.Context(), stream, upTo)
	switch {
	case err != nil:
		t.Fatalf("snapshot of %s up to %d: %v", stream, upTo, err)
	case position == 0 && got != nil:
		t.Fatalf("snapshot of %s up to %d: got %+v, want none", stream, upTo, *got)
	case position > 0 && (got == nil || got.Stream != stream || got.Position != position || string(got.Body) != body):
		t.Fatalf("snapshot of %s up to %d: got %+v, want that at position %d", stream, upTo, got, position)
	}
}
