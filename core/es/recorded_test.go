package es_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybook/core/es"
)

const storedEvent = `{"id":"evt-17","aggregateId":"acc-1","eventType":"MoneyDeposited","timestamp":"2025-10-28T09:00:00Z","data":{"amount":5},` +
	`"version":2,"position":17,"schema":1,"recordedAt":"2025-10-28T09:00:00.0015Z","metadata":{"principal":"local"}}`

// times are all that an event can carry.
var times = rapid.Map(rapid.Int64Range(
	time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC).UnixMicro(),
), func(micro int64) time.Time { return time.UnixMicro(micro).UTC() })

// objects are JSON objects of any shape.
var objects = rapid.Custom(func(t *rapid.T) []byte {
	data, err := json.Marshal(rapid.MapOf(rapid.String(), rapid.OneOf(
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Int(), func(n int) any { return n }),
		rapid.Map(rapid.SliceOf(rapid.String()), func(s []string) any { return s }),
		rapid.Map(rapid.MapOf(rapid.String(), rapid.Bool()), func(m map[string]bool) any { return m }),
	)).Draw(t, "members"))
	if err != nil {
		t.Fatal(err)
	}
	return data
})

func TestRecordedIsReadBackAsItWasWritten(t *testing.T) {
	names := rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._:-]{0,70}`)
	rapid.Check(t, func(t *rapid.T) {
		want := es.Recorded{
			Stream:      es.StreamID(names.Draw(t, "stream")),
			Version:     es.Version(rapid.Uint64Range(1, math.MaxInt64).Draw(t, "version")),
			Position:    es.Position(rapid.Uint64Range(1, math.MaxInt64).Draw(t, "position")),
			Type:        names.Draw(t, "type"),
			Schema:      rapid.IntRange(0, math.MaxInt32).Draw(t, "schema"),
			EffectiveAt: times.Draw(t, "effectiveAt"),
			RecordedAt:  times.Draw(t, "recordedAt"),
			Data:        objects.Draw(t, "data"),
			Metadata:    objects.Draw(t, "metadata"),
		}
		raw := want.AppendJSON(nil)
		if !json.Valid(raw) {
			t.Fatalf("not JSON: %s", raw)
		}
		got, err := es.ParseRecorded(raw)
		if err != nil || string(got.JSON()) != string(raw) {
			t.Fatalf("read back as\n%s (%v), was\n%s", got.JSON(), err, raw)
		}
		if got = withoutJSON(&got); !reflect.DeepEqual(got, want) {
			t.Fatalf("read back as\n%+v (%v), was\n%+v", got, err, want)
		}
	})
}

// withoutJSON is the event as one that has to be written yet.
func withoutJSON(e *es.Recorded) es.Recorded {
	return es.Recorded{
		Stream: e.Stream, Version: e.Version, Position: e.Position, Type: e.Type, Schema: e.Schema,
		EffectiveAt: e.EffectiveAt, RecordedAt: e.RecordedAt, Data: e.Data, Metadata: e.Metadata, Hash: e.Hash,
	}
}

func FuzzParseRecorded(f *testing.F) {
	f.Add([]byte(storedEvent))
	f.Add([]byte(strings.Replace(storedEvent, `{"amount":5}`, `{"reason":"a \"b\" \\","n":[{"x":"]"}]}`, 1)))
	f.Add([]byte(`{"id":"evt-1","aggregateId":"`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		rec, err := es.ParseRecorded(raw)
		if err != nil {
			if !errors.Is(err, es.ErrCorrupt) {
				t.Errorf("%q gives %v, which is not ErrCorrupt", raw, err)
			}
			return
		}
		written := withoutJSON(&rec)
		if again := written.AppendJSON(nil); string(again) != string(raw) {
			t.Errorf("%q was accepted and is written again as %q", raw, again)
		}
	})
}

func TestAnyOtherFormOfAnEventIsDamage(t *testing.T) {
	if _, err := es.ParseRecorded([]byte(storedEvent)); err != nil {
		t.Fatal(err)
	}
	for damage, change := range map[string][2]string{
		"white space between members":             {`,"data"`, `, "data"`},
		"a member under another name":             {`"aggregateId"`, `"aggregateID"`},
		"an id that is not the position":          {`evt-17`, `evt-18`},
		"position 0":                              {`"position":17`, `"position":0`},
		"version 0":                               {`"version":2`, `"version":0`},
		"a version with a leading zero":           {`"version":2`, `"version":02`},
		"a version that is no integer":            {`"version":2`, `"version":2.0`},
		"a version beyond 64 bits":                {`"version":2`, `"version":99999999999999999999`},
		"a schema beyond all reason":              {`"schema":1`, `"schema":9223372036854775808`},
		"a negative schema":                       {`"schema":1`, `"schema":-1`},
		"a time in another zone":                  {`09:00:00Z`, `10:00:00+01:00`},
		"a time with more digits than it needs":   {`00.0015Z`, `00.001500Z`},
		"a time with a point and no digits":       {`00.0015Z`, `00.Z`},
		"a time finer than microseconds":          {`00.0015Z`, `00.0000015Z`},
		"a day that does not exist":               {`2025-10-28T09:00:00Z`, `2025-02-29T09:00:00Z`},
		"a month that does not exist":             {`2025-10-28T09:00:00Z`, `2025-13-28T09:00:00Z`},
		"an hour that does not exist":             {`09:00:00Z`, `24:00:00Z`},
		"a leap second":                           {`09:00:00Z`, `23:59:60Z`},
		"a time cut short":                        {`09:00:00Z`, `09:00Z`},
		"an escape in a name":                     {`acc-1`, `acc\u002d1`},
		"a control character in a name":           {`acc-1`, "acc\n1"},
		"invalid UTF-8 in a name":                 {`acc-1`, "acc\xff1"},
		"data that is no object":                  {`{"amount":5}`, `[5]`},
		"data that is null":                       {`{"amount":5}`, `null`},
		"data that is not closed":                 {`{"amount":5}`, `{"amount":5`},
		"metadata that ends inside of a string":   {`"local"}}`, `"local}}`},
		"bytes after the event":                   {`"local"}}`, `"local"}} `},
		"nothing where the event should be found": {storedEvent, ``},
	} {
		t.Run(damage, func(t *testing.T) {
			raw := strings.Replace(storedEvent, change[0], change[1], 1)
			if raw == storedEvent {
				t.Fatalf("the event does not hold %q", change[0])
			}
			if got, err := es.ParseRecorded([]byte(raw)); !errors.Is(err, es.ErrCorrupt) {
				t.Errorf("got %+v, %v; want ErrCorrupt", got, err)
			}
		})
	}
}

func TestEventIDIsReadInTheOneFormItIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := es.Position(rapid.Uint64Min(1).Draw(t, "position"))
		if got, err := es.ParseEventID(want.EventID()); err != nil || got != want {
			t.Fatalf("%s is read as %d, %v", want.EventID(), got, err)
		}
	})
	for _, s := range []string{"", "evt-", "evt-0", "evt-017", "evt-+1", "evt--1", "evt-1 ", "EVT-1", "17", "evt-1x", "evt-18446744073709551616"} {
		if p, err := es.ParseEventID(s); err == nil {
			t.Errorf("%q is read as %d", s, p)
		}
	}
}

func TestMetadataIsWrittenWithoutWhatIsMissing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		want := es.Metadata{
			Principal: text.Draw(t, "principal"), CommandID: text.Draw(t, "command"), RequestID: text.Draw(t, "request"),
			CorrelationID: text.Draw(t, "correlation"), CausationID: text.Draw(t, "causation"), Traceparent: text.Draw(t, "trace"),
		}
		raw := want.AppendJSON(nil)
		var got es.Metadata
		if err := json.Unmarshal(raw, &got); err != nil || got != want {
			t.Fatalf("%s is read as %+v (%v), was %+v", raw, got, err, want)
		}
	})
	if got := (&es.Metadata{Principal: "local"}).AppendJSON(nil); string(got) != `{"principal":"local"}` {
		t.Errorf("got %s", got)
	}
}
