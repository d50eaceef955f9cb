package contract

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

func readCases() []storeCase {
	return []storeCase{
		{"head is zero in an empty store and then the position of the last event", func(t *testing.T, s ports.Store) {
			wantHead(t, s, 0)
			writeEvents(t, s, sequence(3, "a")...)
			wantHead(t, s, 3)
		}},
		{"reading an unknown stream gives none", func(t *testing.T, s ports.Store) {
			sameEvents(t, "in an empty store", readStream(t, s, "a", 0, 10), nil)
			writeEvents(t, s, sequence(3, "b")...)
			sameEvents(t, "next to another", readStream(t, s, "a", 0, 10), nil)
		}},
		{"a stream is read after a version, oldest first, up to a limit, and fewer mean that there are no more", readStreamInParts},
		{"streams with ids that resemble each other do not mix", resemblingStreams},
		{"a stream of ten thousand events is read in pages", longStream},
		{"data and metadata are kept byte for byte and Raw is the event as JSON", byteForByte},
		{"times are kept in UTC and microseconds", func(t *testing.T, s ports.Store) {
			e := at(1, "a", 1)
			e.EffectiveAt = e.EffectiveAt.In(time.FixedZone("", 5400))
			e.RecordedAt = e.RecordedAt.In(time.FixedZone("", -3600))
			writeEvents(t, s, e)
			got := readFeed(t, s, 0, 1)[0]
			if got.RecordedAt != epoch.Add(time.Second) || got.EffectiveAt != epoch.Add(time.Second-time.Hour) {
				t.Errorf("got %v and %v", got.RecordedAt, got.EffectiveAt)
			}
		}},
		{"changing what was given to the store afterwards does not change the store", aliasing},
		{"the position at a time is that of the last event recorded at or before it", positionAt},
		{"a checkpoint is zero until one is saved under its name, and then the last one saved, also when it is lower", func(t *testing.T, s ports.Store) {
			for _, p := range []es.Position{5, 6, 2, math.MaxInt64, 0} {
				saveCheckpoint(t, s, "relay", p)
				if got := checkpoint(t, s, "relay"); got != p {
					t.Errorf("saved %d, got %d", p, got)
				}
			}
			saveCheckpoint(t, s, "relay.2", 7)
			saveCheckpoint(t, s, "r\x00\"\xff", 9)
			for _, other := range []string{"", "rel", "relay.", "relay\x00"} {
				if got := checkpoint(t, s, other); got != 0 {
					t.Errorf("%q was never saved and is %d", other, got)
				}
			}
			all, err := s.Checkpoints(t.Context())
			if want := map[string]es.Position{"relay": 0, "relay.2": 7, "r\x00\"\xff": 9}; err != nil || !maps.Equal(all, want) {
				t.Errorf("all of them are %v, %v", all, err)
			}
		}},
	}
}

func readStreamInParts(t *testing.T, s ports.Store) {
	all := sequence(10, "a", "b")
	writeEvents(t, s, all...)
	var ofA []es.Recorded
	for i := 0; i < 10; i += 2 {
		ofA = append(ofA, all[i])
	}
	for after := range es.Version(8) {
		for limit := range 7 {
			from := min(int(after), len(ofA))
			want := ofA[from:min(from+limit, len(ofA))]
			sameEvents(t, fmt.Sprintf("after %d limit %d", after, limit), readStream(t, s, "a", after, limit), want)
		}
	}
	sameEvents(t, "no limit to speak of", readStream(t, s, "a", 0, math.MaxInt), ofA)
	sameEvents(t, "after any version", readStream(t, s, "a", math.MaxUint64, 5), nil)
}

func resemblingStreams(t *testing.T, s ports.Store) {
	ids := []es.StreamID{"a", "a-b", "a.b", "a.", "a_", "A", "voucher:x", "voucher:", "acc-1", "acc-10", "acc-1.", "acc-1-0", "acc-100",
		"0", "00", "1", "voucher:acc-1", "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"}
	all := sequence(3*len(ids), ids...)
	writeEvents(t, s, all...)
	for i, id := range ids {
		want := []es.Recorded{all[i], all[i+len(ids)], all[i+2*len(ids)]}
		sameEvents(t, string(id), readStream(t, s, id, 0, 10), want)
		u := begin(t, s, needStream(id, 1, 0))
		sameEvents(t, "tail of "+string(id), u.Known().Tails[0], want[1:])
		u.Rollback()
	}
	for _, unknown := range []es.StreamID{"ac", "acc-", "b", "a-", "voucher"} {
		sameEvents(t, string(unknown), readStream(t, s, unknown, 0, 10), nil)
	}
}

func longStream(t *testing.T, s ports.Store) {
	const n, page = 10_000, 777
	all := sequence(n, "long")
	for chunk := range slices.Chunk(all, 1000) {
		writeEvents(t, s, chunk...)
	}
	seen := 0
	for {
		events := readStream(t, s, "long", es.Version(seen), page)
		sameEvents(t, fmt.Sprint("page after ", seen), events, all[seen:min(seen+page, n)])
		if seen += len(events); len(events) < page {
			break
		}
	}
	if seen != n {
		t.Errorf("the pages held %d events of %d", seen, n)
	}
}

func byteForByte(t *testing.T, s ports.Store) {
	objects := []string{
		`{}`,
		`{"":""}`,
		`{"b":1,"a":2,"b":3}`,
		`{"n":1.0,"e":1E+2,"big":9007199254740993,"neg":-0}`,
		`{"escapes":"\" \\ \/ \b \f \n \r \t \u0041 \ud83d\ude00 \u2028"}`,
		`{"raw":"äöü 漢字 😀 \u007f","brackets":"}{]["}`,
		`{"nested":{"a":[1,[2,{"b":[]}],{}],"c":{"d":{"e":null}}},"t":true}`,
		`{"spaced" : [ 1 , 2 ] }`,
		`{"quote\"key":"},\"version\":7,\"position\":9"}`,
	}
	var want []es.Recorded
	for i, data := range objects {
		e := at(es.Position(i+1), "bytes", es.Version(i+1))
		e.Data, e.Metadata = []byte(data), []byte(objects[len(objects)-1-i])
		want = append(want, e)
	}
	writeEvents(t, s, want...)
	got := readFeed(t, s, 0, 100)
	sameEvents(t, "feed", got, want)
	sameEvents(t, "stream", readStream(t, s, "bytes", 0, 100), want)
	for i := range got {
		if string(got[i].Data) != string(want[i].Data) || string(got[i].Metadata) != string(want[i].Metadata) {
			t.Errorf("event %d holds %s and %s", i, got[i].Data, got[i].Metadata)
		}
		if string(got[i].JSON()) != string(want[i].AppendJSON(nil)) {
			t.Errorf("event %d has the raw form %s", i, got[i].JSON())
		}
	}
}

func aliasing(t *testing.T, s ports.Store) {
	e := at(1, "a", 1)
	want := at(1, "a", 1)
	o := ports.Outcome{Key: "k", RecordedAt: epoch, Body: []byte("body")}
	b := ports.Batch{Events: []es.Recorded{e}, Outcomes: []ports.Outcome{o}}
	write(t, s, b)
	e.Data[2], e.Metadata[2], o.Body[0] = 'X', 'X', 'X'
	b.Events[0], b.Outcomes[0] = es.Recorded{}, ports.Outcome{}
	sameEvents(t, "feed", readFeed(t, s, 0, 1), []es.Recorded{want})
	wantOutcome(t, outcome(t, s, "k"), ports.Outcome{Key: "k", RecordedAt: epoch, Body: []byte("body")})
	page := readFeed(t, s, 0, 1)
	page[0] = es.Recorded{}
	sameEvents(t, "feed again", readFeed(t, s, 0, 1), []es.Recorded{want})
}

func positionAt(t *testing.T, s ports.Store) {
	ask := func(when time.Time) es.Position {
		t.Helper()
		p, err := s.PositionAt(t.Context(), when)
		if err != nil {
			t.Fatalf("position at %v: %v", when, err)
		}
		return p
	}
	if p := ask(epoch); p != 0 {
		t.Fatalf("an empty store has position %d", p)
	}
	const n = 500
	all := sequence(n, "a", "b", "c")
	for i := range all { // commands of one to four events, which share their recorded time
		all[i].RecordedAt = epoch.Add(time.Duration(i*i/7+i-i%4) * time.Millisecond)
		if i > 0 && all[i].RecordedAt.Before(all[i-1].RecordedAt) {
			all[i].RecordedAt = all[i-1].RecordedAt
		}
	}
	writeEvents(t, s, all...)
	for i, e := range all {
		for _, d := range []time.Duration{-time.Microsecond, -time.Nanosecond, 0, 999, time.Microsecond} {
			when := e.RecordedAt.Add(d)
			want := es.Position(0)
			for want < n && !all[want].RecordedAt.After(when) {
				want++
			}
			if got := ask(when.In(time.FixedZone("", 7200))); got != want {
				t.Fatalf("at event %d %+v: got position %d, want %d", i+1, d, got, want)
			}
		}
	}
	for when, want := range map[time.Time]es.Position{{}: 0, epoch.AddDate(-100, 0, 0): 0, epoch.AddDate(1000, 0, 0): n} {
		if got := ask(when); got != want {
			t.Errorf("at %v: got position %d, want %d", when, got, want)
		}
	}
}
