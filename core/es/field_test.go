package es

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// form has a member of each type, required and optional.
type form struct {
	N, M     int64
	S, T     string
	At, Then time.Time
	Note
}

var formFields = append([]Field[form]{
	IntField("n", KindBalance, "", func(f *form) *int64 { return &f.N }),
	IntField("m", KindBalance, "", func(f *form) *int64 { return &f.M }).Optional(),
	StringField("s", KindText, "", func(f *form) *string { return &f.S }),
	StringField("t", KindText, "", func(f *form) *string { return &f.T }).Optional(),
	TimeField("at", "", func(f *form) *time.Time { return &f.At }),
	TimeField("then", "", func(f *form) *time.Time { return &f.Then }).Optional(),
}, noteFields(func(f *form) *Note { return &f.Note })...)

func TestFieldsAreReadBackAsTheyWereWritten(t *testing.T) {
	number, text := rapid.Int64(), rapid.String()
	moment := rapid.Map(rapid.Int64Range(0, 1<<52), func(n int64) time.Time { return time.UnixMicro(n).UTC() })
	rapid.Check(t, func(t *rapid.T) {
		want := form{
			N: number.Draw(t, "n"), M: number.Draw(t, "m"), S: text.Draw(t, "s"), T: text.Draw(t, "t"),
			At: moment.Draw(t, "at"), Note: Note{Reference: text.Draw(t, "reference")},
		}
		if rapid.Bool().Draw(t, "with then") {
			want.Then = moment.Draw(t, "then")
		}
		data := appendFields(nil, formFields, &want)
		if !json.Valid(data) {
			t.Fatalf("not JSON: %s", data)
		}
		var got form
		if err := decodeFields(data, formFields, &got); err != nil || got != want {
			t.Fatalf("%s is read as %+v (%v), was %+v", data, got, err, want)
		}
	})
}

func TestOptionalFieldsAtTheirZeroValueAreLeftOut(t *testing.T) {
	got := appendFields(nil, formFields, &form{})
	if want := `{"n":0,"s":"","at":"0001-01-01T00:00:00Z"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDataIsReadStrictlyButForMembersALaterBuildMayAdd(t *testing.T) {
	const whole = `"n":1,"s":"x","at":"2025-10-28T09:00:00Z"`
	for _, c := range []struct{ sentence, data, says string }{
		{"all required members", `{` + whole + `}`, ""},
		{"in another order", `{"s":"x","at":"2025-10-28T09:00:00Z","n":1}`, ""},
		{"with members it does not know", `{"new":{"a":[1,"}"]},"more":[{}],` + whole + `,"last":null}`, ""},
		{"with an escaped string", `{"s":"\u0041\n","n":1,"at":"2025-10-28T09:00:00Z"}`, ""},
		{"a missing member", `{"n":1,"s":"x"}`, `"at" is missing`},
		{"a string for an integer", `{"n":"1","s":"x"}`, `"n" has the wrong type`},
		{"a float for an integer", `{"n":1.0,"s":"x"}`, `"n" has the wrong type`},
		{"an exponent", `{"n":1e3,"s":"x"}`, `"n" has the wrong type`},
		{"a plus sign", `{"n":+1,"s":"x"}`, `"n" has the wrong type`},
		{"a leading zero", `{"n":01,"s":"x"}`, `"n" has the wrong type`},
		{"an integer beyond 64 bits", `{"n":9223372036854775808,"s":"x"}`, `"n" has the wrong type`},
		{"null", `{"n":null,"s":"x"}`, `"n" has the wrong type`},
		{"an integer for a string", `{"n":1,"s":1}`, `"s" has the wrong type`},
		{"an escape that does not exist", `{"n":1,"s":"\x"}`, `"s" has the wrong type`},
		{"a string that is not UTF-8", "{\"n\":1,\"s\":\"\x91\"}", `"s" has the wrong type`},
		{"one with an escape that is not UTF-8", "{\"n\":1,\"s\":\"\\n\x91\"}", `"s" has the wrong type`},
		{"an integer for a time", `{"n":1,"s":"x","at":1}`, `"at" has the wrong type`},
		{"a time that is none", `{"n":1,"s":"x","at":"now"}`, `"at" has the wrong type`},
		{"an empty time", `{"n":1,"s":"x","at":""}`, `"at" has the wrong type`},
		{"no object", `[1]`, "not a flat JSON object"},
		{"nothing", ``, "not a flat JSON object"},
		{"an object cut short", `{"n":1`, "not a flat JSON object"},
		{"a name cut short", `{"n`, "not a flat JSON object"},
		{"an escape cut short", `{"s":"\`, "not a flat JSON object"},
		{"a missing value", `{"n":}`, "not a flat JSON object"},
		{"a comma too many", `{"n":1,}`, "not a flat JSON object"},
		{"two objects", `{}{}`, "not a flat JSON object"},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			var f form
			err := decodeFields([]byte(c.data), formFields, &f)
			switch {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, want ErrCorrupt with %q", err, c.says)
			}
		})
	}
}

func FuzzDecodeFields(f *testing.F) {
	f.Add([]byte(`{"n":1,"s":"x","at":"2025-10-28T09:00:00Z","more":{"a":[1,"\"}"]}}`))
	f.Add([]byte(`{"s":"\`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, again form
		if decodeFields(data, formFields, &got) != nil {
			return
		}
		written := appendFields(nil, formFields, &got)
		if err := decodeFields(written, formFields, &again); err != nil || again != got {
			t.Errorf("%q was read as %+v and written as %q, which is read as %+v, %v", data, got, written, again, err)
		}
	})
}

func TestIntegersKeepTheRuleOfTheirKind(t *testing.T) {
	for _, c := range []struct {
		kind      Kind
		low, high int64
	}{
		{KindAmount, 1, MaxAmount}, {KindLimit, 0, MaxAmount}, {KindBalance, -MaxAmount, MaxAmount}, {KindNumber, 0, MaxAmount},
	} {
		s := Spec{Kind: c.kind}
		for n, good := range map[int64]bool{c.low - 1: false, c.low: true, c.high: true, c.high + 1: false, -1 << 63: false, 1<<63 - 1: false} {
			if problem := s.CheckInt(n); (problem == "") != good {
				t.Errorf("kind %d: %d gives %q", c.kind, n, problem)
			}
		}
		if !c.kind.IsInteger() {
			t.Errorf("kind %d is an integer", c.kind)
		}
	}
}

func TestStringsKeepTheRuleOfTheirKind(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		good []string
		bad  []string
	}{
		{KindID,
			[]string{"a", "7", "acc-101", "A.b_c-9", strings.Repeat("x", 64)},
			[]string{"", "-a", ".a", "_a", "a b", "a/b", "a:b", "ä", "a\n", strings.Repeat("x", 65)}},
		{KindText,
			[]string{"x", " ", "Grüße ☀", strings.Repeat("☀", 200), "\u2028", "<script>"},
			[]string{"", strings.Repeat("☀", 201), "a\nb", "a\x00", "\x7f", "\u0085"}},
	} {
		s := Spec{Kind: c.kind}
		for _, v := range c.good {
			if problem := s.CheckString(v); problem != "" {
				t.Errorf("kind %d: %q gives %q", c.kind, v, problem)
			}
		}
		for _, v := range c.bad {
			if s.CheckString(v) == "" {
				t.Errorf("kind %d: %q is let in", c.kind, v)
			}
		}
	}
	s := StringField("s", KindText, "", func(f *form) *string { return &f.S }).Checked(func(v string) string { return "is " + v })
	if got := s.CheckString("x"); got != "is x" {
		t.Errorf("the further rule says %q", got)
	}
	if got := s.CheckString(""); !strings.HasPrefix(got, "must be 1 to 200") {
		t.Errorf("the kind's own rule comes first, got %q", got)
	}
}

func TestTimesAreReadWithTheirZoneIntoUTC(t *testing.T) {
	for s, want := range map[string]string{
		"2025-10-28T09:00:00Z":             "2025-10-28T09:00:00Z",
		"2025-10-28T09:00:00+02:00":        "2025-10-28T07:00:00Z",
		"2025-10-28T09:00:00.1234567Z":     "2025-10-28T09:00:00.123456Z",
		"2025-10-28T09:00:00.000000-00:30": "2025-10-28T09:30:00Z",
		"1969-12-31T23:59:59.9999999Z":     "1969-12-31T23:59:59.999999Z",
		"2024-02-29T00:00:00Z":             "2024-02-29T00:00:00Z",
		"0001-01-01T00:00:00.000001Z":      "0001-01-01T00:00:00.000001Z",
		"9999-12-31T23:59:59Z":             "9999-12-31T23:59:59Z",
	} {
		got, err := ParseTime(s)
		if err != nil || string(AppendTime(nil, got)) != want || got.Location() != time.UTC {
			t.Errorf("%s is read as %v (%v), want %s", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "now", "2025-10-28", "2025-10-28T09:00:00", "2025-10-28 09:00:00Z", "2025-10-28T9:00:00Z", "2025-10-28T09:00Z", "2025-02-29T00:00:00Z",
		"2025-10-28T24:00:00Z", "2025-10-28T23:59:60Z", "2025-10-28T09:00:00,5Z", "2025-10-28T09:00:00+24:00", "2025-10-28T09:00:00+00:60", "2025-10-28T09:00:00z", "1761642000",
		"0000-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
	} {
		if got, err := ParseTime(s); err == nil {
			t.Errorf("%s is read as %v", s, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2025-10-28T09:00:00Z", "2025-10-28T09:00:00.1234567+02:00", "2025-10-28T9:00:00Z", "0001-01-01T00:00:00-23:59"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := ParseTime(s)
		if err != nil {
			return
		}
		if got, ok := parseTime(AppendTime(nil, want)); !ok || got != want {
			t.Errorf("%q is written as %s and read back as %v", s, AppendTime(nil, want), got)
		}
	})
}
