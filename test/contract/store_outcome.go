package contract

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

func outcomeCases() []storeCase {
	return []storeCase{
		{"an outcome that was never kept is nil", func(t *testing.T, s ports.Store) {
			for _, key := range []string{"", "k", "k\x00"} {
				if o := outcome(t, s, key); o != nil {
					t.Errorf("%q has the outcome %+v", key, *o)
				}
			}
		}},
		{"an outcome is kept whole under a key of any bytes", anyOutcome},
		{"outcomes are given in pages, by the bytes of their keys", outcomePages},
		{"outcomes that replaced others are given once", func(t *testing.T, s ports.Store) {
			write(t, s, ports.Batch{Outcomes: []ports.Outcome{{Key: "k", Refusal: true, RecordedAt: epoch, Body: []byte("no")}}})
			o := ports.Outcome{Key: "k", RecordedAt: epoch.Add(time.Hour), Body: []byte("yes")}
			write(t, s, ports.Batch{Events: sequence(1, "a"), Outcomes: []ports.Outcome{o}})
			page, err := s.Outcomes(t.Context(), "", 10)
			if err != nil || len(page) != 1 {
				t.Fatalf("got %+v, %v", page, err)
			}
			wantOutcome(t, &page[0], o)
		}},
		{"outcomes are kept without events, too", func(t *testing.T, s ports.Store) {
			o := ports.Outcome{Key: "k", Refusal: true, RecordedAt: epoch, Body: []byte("no")}
			write(t, s, ports.Batch{Outcomes: []ports.Outcome{o}})
			wantOutcome(t, outcome(t, s, "k"), o)
			wantHead(t, s, 0)
		}},
		{"a refusal is kept for RefusalsKept at the least", refusalsKept},
		{"a success is kept as long as its events", func(t *testing.T, s ports.Store) {
			o := ports.Outcome{Key: "k", RecordedAt: epoch, Body: []byte("yes")}
			write(t, s, ports.Batch{Events: sequence(1, "a"), Outcomes: []ports.Outcome{o}})
			passTime(t, s, 10*ports.RefusalsKept)
			wantOutcome(t, outcome(t, s, "k"), o)
		}},
		{"a success under the key of an earlier refusal is kept as long as its events", func(t *testing.T, s ports.Store) {
			write(t, s, ports.Batch{Outcomes: []ports.Outcome{{Key: "k", Refusal: true, RecordedAt: epoch, Body: []byte("no")}}})
			o := ports.Outcome{Key: "k", RecordedAt: epoch.Add(time.Hour), Body: []byte("yes")}
			write(t, s, ports.Batch{Outcomes: []ports.Outcome{o}})
			passTime(t, s, 10*ports.RefusalsKept)
			wantOutcome(t, outcome(t, s, "k"), o)
		}},
		{"a success under the key of a refusal that may be forgotten by now is kept", func(t *testing.T, s ports.Store) {
			write(t, s, ports.Batch{Outcomes: []ports.Outcome{{Key: "k", Refusal: true, RecordedAt: epoch, Body: []byte("no")}}})
			o := ports.Outcome{Key: "k", RecordedAt: epoch.Add(2 * ports.RefusalsKept), Body: []byte("yes")}
			write(t, s, ports.Batch{Outcomes: []ports.Outcome{o}})
			wantOutcome(t, outcome(t, s, "k"), o)
			passTime(t, s, 3*ports.RefusalsKept)
			wantOutcome(t, outcome(t, s, "k"), o)
		}},
	}
}

func anyOutcome(t *testing.T, s ports.Store) {
	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	keys := []string{"", "k", "k\x00", "k\x00\x00", "\x00", "\xff", "\xff\xff", string(everyByte), "local/cmd-1", "local/cmd-10", "ключ", strings.Repeat("x", 600)}
	bodies := [][]byte{nil, {0}, everyByte, []byte(`{"json":true}`), bytes.Repeat([]byte{7}, 5000)}
	var all []ports.Outcome
	for i, key := range keys {
		all = append(all, ports.Outcome{Key: key, Refusal: i%2 == 0, RecordedAt: epoch.Add(time.Duration(i) * time.Microsecond), Body: bodies[i%len(bodies)]})
	}
	write(t, s, ports.Batch{Events: sequence(1, "a"), Outcomes: all})
	u := begin(t, s, ports.Needs{Keys: append(keys, "kk")})
	defer u.Rollback()
	known := u.Known().Outcomes
	for i, o := range all {
		wantOutcome(t, outcome(t, s, o.Key), o)
		wantOutcome(t, known[i], o)
	}
	if known[len(all)] != nil {
		t.Errorf("a key that was not kept has the outcome %+v", known[len(all)])
	}
}

func outcomePages(t *testing.T, s ports.Store) {
	keys := []string{"", "\x00", "\x00\xff", "a", "a\x00", "a/1", "b", "\xc3", "\xff", "\xff\xff"}
	var all []ports.Outcome
	for i, key := range keys {
		all = append(all, ports.Outcome{Key: key, Refusal: i%3 == 0, RecordedAt: epoch.Add(time.Duration(i) * time.Second), Body: []byte(key + "!")})
	}
	write(t, s, ports.Batch{Outcomes: []ports.Outcome{all[9], all[3], all[0], all[7], all[1]}})
	write(t, s, ports.Batch{Events: sequence(1, "a"), Outcomes: []ports.Outcome{all[8], all[2], all[4], all[6], all[5]}})
	for _, limit := range []int{0, 1, 3, 10, 11} {
		var got []ports.Outcome
		for from := ""; ; from = got[len(got)-1].Key + "\x00" {
			page, err := s.Outcomes(t.Context(), from, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("%d outcomes from %q on: got %d, %v", limit, from, len(page), err)
			}
			got = append(got, page...)
			if len(page) < limit || limit == 0 {
				break
			}
		}
		if limit == 0 {
			continue
		}
		if len(got) != len(all) {
			t.Fatalf("pages of %d: got %d outcomes, want %d", limit, len(got), len(all))
		}
		for i := range got {
			wantOutcome(t, &got[i], all[i])
		}
	}
}

// passTime writes events until the recorded time is d after the epoch, and then some more, so that a store has every
// reason to clean up.
func passTime(t *testing.T, s ports.Store, d time.Duration) {
	for i := range 5 {
		p := head(t, s) + 1
		e := at(p, "clock", es.Version(i+1))
		e.RecordedAt = epoch.Add(d + time.Duration(i)*time.Microsecond)
		writeEvents(t, s, e)
	}
}

func refusalsKept(t *testing.T, s ports.Store) {
	refusals := []ports.Outcome{
		{Key: "old", Refusal: true, RecordedAt: epoch, Body: []byte("no")},
		{Key: "young", Refusal: true, RecordedAt: epoch.Add(time.Hour), Body: []byte("never")},
	}
	write(t, s, ports.Batch{Outcomes: refusals})
	for i := range 5 {
		e := at(head(t, s)+1, "clock", es.Version(i+1))
		e.RecordedAt = epoch.Add(ports.RefusalsKept + time.Duration(i-4)*time.Microsecond)
		writeEvents(t, s, e)
		wantOutcome(t, outcome(t, s, "old"), refusals[0])
		wantOutcome(t, outcome(t, s, "young"), refusals[1])
	}
	for i := range 5 { // now the first may be forgotten
		e := at(head(t, s)+1, "clock", es.Version(i+6))
		e.RecordedAt = epoch.Add(ports.RefusalsKept + time.Hour + time.Duration(i-4)*time.Microsecond)
		writeEvents(t, s, e)
		wantOutcome(t, outcome(t, s, "young"), refusals[1])
	}
}
