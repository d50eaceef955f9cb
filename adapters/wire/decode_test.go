package wire_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"daybook/adapters/wire"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/test/faulttable"
)

func registry(tb testing.TB) *es.Registry {
	tb.Helper()
	r, err := es.NewRegistry(account.Module(func(code string) string {
		if code != "EUR" {
			return "must be EUR"
		}
		return ""
	}))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func command(tb testing.TB, name string) *es.CommandType {
	return registry(tb).Module("accounts").Command(name)
}

func TestDecodeRefusesWithAPointerAndWords(t *testing.T) {
	faulttable.Covers(t, "F43", faulttable.Memory)
	faulttable.Covers(t, "F45", faulttable.Memory)
	const outOfRange = "must be an integer from 1 to 9007199254740991 (2^53-1)"
	for _, c := range []struct{ sentence, command, body, code, pointer, detail string }{
		{"an empty body", "deposit", ``, "invalid_body", "", "must be a JSON object"},
		{"white space alone", "deposit", " \n\t", "invalid_body", "", "must be a JSON object"},
		{"a byte order mark", "deposit", "\xef\xbb\xbf{\"amount\":1}", "invalid_body", "", "byte order mark"},
		{"an array", "deposit", `[{"amount":1}]`, "invalid_body", "", "must be a JSON object"},
		{"null", "deposit", `null`, "invalid_body", "", "must be a JSON object"},
		{"a second value", "deposit", `{"amount":1}{}`, "invalid_body", "", "followed by nothing"},
		{"what is behind the object", "deposit", `{"amount":1}x`, "invalid_body", "", "followed by nothing"},
		{"a body that ends early", "deposit", `{"amount":1`, "invalid_body", "", "ends too early"},
		{"a duplicate name", "deposit", `{"amount":1,"amount":2}`, "invalid_body", "/amount", "must be there once"},
		{"a duplicate name in escapes", "deposit", `{"amount":1,"\u0061mount":2}`, "invalid_body", "/amount", "must be there once"},
		{"invalid UTF-8", "deposit", "{\"amount\":1,\"reference\":\"\xff\"}", "invalid_body", "/reference", "invalid UTF-8"},
		{"a lone surrogate", "deposit", `{"amount":1,"reference":"\ud800"}`, "invalid_body", "/reference", "surrogate"},
		{"ten thousand arrays in each other", "deposit", `{"amount":` + strings.Repeat("[", 10_001), "invalid_body", "", "depth"},
		{"an unknown member", "deposit", `{"amount":1,"amout":2}`, "invalid_field", "/amout", "is unknown: the members here are amount"},
		{"a member in another case", "deposit", `{"Amount":1}`, "invalid_field", "/Amount", "is written amount"},
		{"a pointer with marks to escape", "deposit", `{"amount":1,"a/b~c":2}`, "invalid_field", "/a~1b~0c", "is unknown"},
		{"a missing member", "deposit", `{}`, "invalid_field", "/amount", "is missing"},
		{"null", "deposit", `{"amount":null}`, "invalid_field", "/amount", "must not be null"},
		{"null for an optional member", "deposit", `{"amount":1,"reference":null}`, "invalid_field", "/reference", "leave it out"},
		{"zero", "deposit", `{"amount":0}`, "invalid_field", "/amount", outOfRange},
		{"a negative amount", "deposit", `{"amount":-1}`, "invalid_field", "/amount", outOfRange},
		{"2^53", "deposit", `{"amount":9007199254740992}`, "invalid_field", "/amount", outOfRange},
		{"99 digits", "deposit", `{"amount":` + strings.Repeat("9", 99) + `}`, "invalid_field", "/amount", outOfRange},
		{"99 negative digits", "deposit", `{"amount":-` + strings.Repeat("9", 99) + `}`, "invalid_field", "/amount", outOfRange},
		{"a fraction", "deposit", `{"amount":10.0}`, "invalid_field", "/amount", "without fraction and exponent"},
		{"an exponent", "deposit", `{"amount":1e3}`, "invalid_field", "/amount", "without fraction and exponent"},
		{"1e400", "deposit", `{"amount":1e400}`, "invalid_field", "/amount", "without fraction and exponent"},
		{"a leading zero", "deposit", `{"amount":01}`, "invalid_body", "", "invalid"},
		{"a plus sign", "deposit", `{"amount":+1}`, "invalid_body", "/amount", "invalid"},
		{"NaN", "deposit", `{"amount":NaN}`, "invalid_body", "/amount", "invalid"},
		{"digits of another script", "deposit", `{"amount":𝟙}`, "invalid_body", "/amount", "invalid"},
		{"a string", "deposit", `{"amount":"10"}`, "invalid_field", "/amount", "must be an integer, not a string"},
		{"a boolean", "deposit", `{"amount":true}`, "invalid_field", "/amount", "must be an integer, not a boolean"},
		{"an object", "deposit", `{"amount":{"a":1}}`, "invalid_field", "/amount", "must be an integer, not an object"},
		{"a number for a text", "deposit", `{"amount":1,"reference":7}`, "invalid_field", "/reference", "must be a string, not a number"},
		{"an empty text", "deposit", `{"amount":1,"reference":""}`, "invalid_field", "/reference", "1 to 200"},
		{"a text of 201 characters", "deposit", `{"amount":1,"reference":"` + strings.Repeat("ä", 201) + `"}`, "invalid_field", "/reference", "1 to 200"},
		{"NUL", "deposit", `{"amount":1,"reference":"a\u0000"}`, "invalid_field", "/reference", "control characters"},
		{"a time without zone", "deposit", `{"amount":1,"effectiveAt":"2025-10-28T09:00:00"}`, "invalid_field", "/effectiveAt", "with zone"},
		{"the year 0", "deposit", `{"amount":1,"effectiveAt":"0000-01-01T00:00:00Z"}`, "invalid_field", "/effectiveAt", "years 1 to 9999"},
		{"a time as a number", "deposit", `{"amount":1,"effectiveAt":1761642000}`, "invalid_field", "/effectiveAt", "must be a string"},
		{"an id with a slash", "transfer", `{"to":"a/b","amount":1}`, "invalid_field", "/to", "A-Z a-z 0-9"},
		{"an unknown currency", "create", `{"owner":"Ada","currency":"XXX"}`, "invalid_field", "/currency", "must be EUR"},
		{"a negative limit", "create", `{"owner":"Ada","currency":"EUR","overdraftLimit":-1}`, "invalid_field", "/overdraftLimit", "from 0 to"},
	} {
		t.Run("refuses "+c.sentence, func(t *testing.T) {
			_, err := wire.Decode(command(t, c.command), []byte(c.body))
			f := fault.Of(err)
			if f.Kind != fault.Invalid || f.Code != c.code || len(f.Fields) == 0 {
				t.Fatalf("got %v with fields %v, want %s", err, f.Fields, c.code)
			}
			if !strings.HasPrefix(f.Fields[0].Pointer, c.pointer) || !strings.Contains(f.Fields[0].Detail, c.detail) {
				t.Errorf("got %q, want pointer %q and words %q", f.Fields[0], c.pointer, c.detail)
			}
		})
	}
}

func TestDecodeNamesSeveralWrongMembersAtOnce(t *testing.T) {
	_, err := wire.Decode(command(t, "create"), []byte(`{"currency":7,"colour":"red"}`))
	var got []string
	for _, f := range fault.Of(err).Fields {
		got = append(got, f.Pointer)
	}
	if strings.Join(got, " ") != "/currency /colour /owner" {
		t.Errorf("got the pointers %v", got)
	}
}

func TestDecodeTakesWhatTheFieldsAllow(t *testing.T) {
	for body, want := range map[string]string{
		`{"amount":1000}`: `{"amount":1000}`,
		` { "amount" : 9007199254740991 } ` + "\r\n":                     `{"amount":9007199254740991}`,
		`{"\u0061mount":1,"reference":"\u00e4\ud83d\ude00\""}`:           `{"amount":1,"reference":"ä😀\""}`,
		`{"effectiveAt":"2025-10-28T10:00:00.1234567+01:00","amount":1}`: `{"amount":1,"effectiveAt":"2025-10-28T09:00:00.123456Z"}`,
	} {
		decoded, err := wire.Decode(command(t, "deposit"), []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if got := command(t, "deposit").Content(nil, decoded); string(got) != want {
			t.Errorf("%s became %s, want %s", body, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"amount":1000}`, `{"to":"acc-2","amount":1}`, `{"owner":"Ada","currency":"EUR","overdraftLimit":5}`, `{"amount":1,"reference":"\u00e4"}`} {
		f.Add([]byte(s))
	}
	module := registry(f).Module("accounts")
	f.Fuzz(func(t *testing.T, body []byte) {
		for i := range module.Commands {
			c := &module.Commands[i]
			decoded, err := wire.Decode(c, body)
			if err != nil {
				if fault.KindOf(err) != fault.Invalid {
					t.Fatalf("%q: an error of another kind: %v", body, err)
				}
				continue
			}
			var plain map[string]any
			if err := json.Unmarshal(body, &plain); err != nil {
				t.Fatalf("%s took %q, and encoding/json does not: %v", c.Name, body, err)
			}
			once := c.Content(nil, decoded)
			again, err := wire.Decode(c, once)
			if err != nil || !bytes.Equal(c.Content(nil, again), once) {
				t.Fatalf("%q became %s and that did not become itself: %v", body, once, err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	c, body := command(b, "deposit"), []byte(`{"amount":1000}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Decode(c, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEnvelope(b *testing.B) {
	r, line := registry(b), []byte(`{"id":"cmd-1","account":"acc-101","command":"deposit","data":{"amount":1000}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeEnvelope(r, line); err != nil {
			b.Fatal(err)
		}
	}
}
