package contract

import (
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// refusalCases are the batches that a commit must refuse. Each begins on a store with events 1 to 4: a1 b1 a2 b2.
func refusalCases() []storeCase {
	changed := func(e es.Recorded, change func(*es.Recorded)) es.Recorded {
		change(&e)
		return e
	}
	recordedAt := func(e es.Recorded, when time.Time) es.Recorded {
		return changed(e, func(e *es.Recorded) { e.RecordedAt = when })
	}
	next := at(5, "a", 3)
	cases := []struct {
		what   string
		needs  ports.Needs
		events []es.Recorded
	}{
		{"leave a gap behind the head", ports.Needs{}, []es.Recorded{at(6, "a", 3)}},
		{"repeat the head's position", ports.Needs{}, []es.Recorded{recordedAt(at(4, "a", 3), epoch.Add(time.Hour))}},
		{"have no position", ports.Needs{}, []es.Recorded{recordedAt(at(0, "a", 3), epoch.Add(time.Hour))}},
		{"leave a gap between them", ports.Needs{}, []es.Recorded{next, at(7, "a", 4)}},
		{"repeat a position", ports.Needs{}, []es.Recorded{next, changed(at(6, "a", 4), func(e *es.Recorded) { e.Position = 5 })}},
		{"leave a gap in a stream", ports.Needs{}, []es.Recorded{at(5, "a", 4)}},
		{"repeat a version of a stream", ports.Needs{}, []es.Recorded{at(5, "a", 2)}},
		{"have no version", ports.Needs{}, []es.Recorded{at(5, "a", 0)}},
		{"begin a new stream after version 1", ports.Needs{}, []es.Recorded{at(5, "new", 2)}},
		{"begin a stream that exists", ports.Needs{}, []es.Recorded{at(5, "a", 1)}},
		{"leave a gap in a stream within the batch", ports.Needs{}, []es.Recorded{next, at(6, "b", 3), at(7, "a", 5)}},
		{"repeat a version within the batch", ports.Needs{}, []es.Recorded{next, at(6, "a", 3)}},
		{"leave a gap in a stream that was asked for", needStream("a", 0, 0), []es.Recorded{at(5, "a", 4)}},
		{"repeat a version of a stream that was asked for", needStream("a", 1, 0), []es.Recorded{at(5, "a", 2)}},
		{"go on from a version that the caller took to exist", needStream("a", 7, 0), []es.Recorded{at(5, "a", 8)}},
		{"go on from a version of a new stream that the caller took to exist", needStream("new", 7, 3), []es.Recorded{at(5, "new", 8)}},
		{"repeat the last recorded time", ports.Needs{}, []es.Recorded{recordedAt(next, at(4, "b", 2).RecordedAt)}},
		{"go back in recorded time", ports.Needs{}, []es.Recorded{recordedAt(next, epoch)}},
		{"rise in recorded time by less than is kept", ports.Needs{}, []es.Recorded{recordedAt(next, at(4, "b", 2).RecordedAt.Add(999))}},
		{"go back in recorded time within the batch", ports.Needs{}, []es.Recorded{recordedAt(next, epoch.Add(time.Hour)), at(6, "a", 4)}},
	}
	var out []storeCase
	for _, c := range cases {
		out = append(out, storeCase{"a commit refuses events that " + c.what + ", and leaves nothing behind", func(t *testing.T, s ports.Store) {
			before := sequence(4, "a", "b")
			writeEvents(t, s, before...)
			good := []es.Recorded{at(5, "a", 3)}
			o := ports.Outcome{Key: "k", RecordedAt: epoch, Body: []byte("body")}
			u := begin(t, s, c.needs)
			wantKind(t, u.Commit(t.Context(), ports.Batch{Events: c.events, Outcomes: []ports.Outcome{o}}), fault.Internal)
			sameEvents(t, "feed", readFeed(t, s, 0, 100), before)
			sameEvents(t, "stream a", readStream(t, s, "a", 0, 100), []es.Recorded{before[0], before[2]})
			sameEvents(t, "the new stream", readStream(t, s, "new", 0, 100), nil)
			wantHead(t, s, 4)
			if got := outcome(t, s, "k"); got != nil {
				t.Errorf("the outcome was kept: %+v", got)
			}
			writeEvents(t, s, good...) // the refused unit has ended
			sameEvents(t, "feed afterwards", readFeed(t, s, 4, 100), good)
		}})
	}
	return append(out, storeCase{"events of one command share their recorded time", func(t *testing.T, s ports.Store) {
		events := sequence(3, "a", "b")
		for i := range events {
			events[i].RecordedAt = epoch
		}
		writeEvents(t, s, events...)
		sameEvents(t, "feed", readFeed(t, s, 0, 10), events)
	}})
}
