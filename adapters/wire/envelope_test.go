package wire_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"daybook/adapters/wire"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

func TestDecodeEnvelopeReadsTheMembersInAnyOrder(t *testing.T) {
	e, err := wire.DecodeEnvelope(registry(t), []byte(`{"expectedVersion":2,"data":{"amount":1000},"command":"deposit","account":"acc-101","id":"cmd-1"}`))
	if err != nil {
		t.Fatal(err)
	}
	if e.ID != "cmd-1" || e.AggregateID != "acc-101" || e.Command.Stream != "acc-101" || e.Command.Type.Name != "deposit" || *e.Expected != 2 {
		t.Errorf("got %+v", e)
	}
	if got := e.Command.Type.Content(nil, e.Command.Body); string(got) != `{"amount":1000}` {
		t.Errorf("got the data %s", got)
	}
}

func TestDecodeEnvelopeRefusesWithPointers(t *testing.T) {
	for _, c := range []struct{ sentence, line, pointers string }{
		{"an empty object", `{}`, "/id /account /command /data"},
		{"wrong data", `{"id":"a","account":"b","command":"deposit","data":{"amount":0,"x":1}}`, "/data/amount /data/x"},
		{"data that is no object", `{"id":"a","account":"b","command":"deposit","data":7}`, "/data"},
		{"a wrong account and wrong data", `{"id":"a","account":"..","command":"deposit","data":{}}`, "/account /data/amount"},
		{"an unknown member", `{"id":"a","Account":"b","command":"deposit","data":{"amount":1}}`, "/Account /account"},
		{"an unknown command", `{"id":"a","account":"b","command":"Deposit","data":{"amount":1}}`, "/command"},
		{"a key with a space", `{"id":"a b","account":"b","command":"deposit","data":{"amount":1}}`, "/id"},
		{"an empty key", `{"id":"","account":"b","command":"deposit","data":{"amount":1}}`, "/id"},
		{"a negative version", `{"id":"a","account":"b","command":"deposit","data":{"amount":1},"expectedVersion":-1}`, "/expectedVersion"},
		{"null for a version", `{"id":"a","account":"b","command":"deposit","data":{"amount":1},"expectedVersion":null}`, "/expectedVersion"},
		{"a duplicate in the data", `{"id":"a","account":"b","command":"deposit","data":{"amount":1,"amount":2}}`, "/data/amount"},
	} {
		t.Run("refuses "+c.sentence, func(t *testing.T) {
			_, err := wire.DecodeEnvelope(registry(t), []byte(c.line))
			var got []string
			for _, f := range fault.Of(err).Fields {
				got = append(got, f.Pointer)
			}
			if fault.KindOf(err) != fault.Invalid || strings.Join(got, " ") != c.pointers {
				t.Errorf("got %v with pointers %v, want %s", err, got, c.pointers)
			}
		})
	}
}

func TestDecodeEnvelopeGivesTheIDOfALineItRefuses(t *testing.T) {
	for _, line := range []string{`{"id":"cmd-1","nonsense":1}`, `{"id":"cmd-1","account":`} {
		if e, err := wire.DecodeEnvelope(registry(t), []byte(line)); err == nil || e.ID != "cmd-1" {
			t.Errorf("%s: got the id %q and the error %v", line, e.ID, err)
		}
	}
}

func TestAnswersAreWrittenAsPublished(t *testing.T) {
	e, err := wire.DecodeEnvelope(registry(t), []byte(`{"id":"cmd-1","account":"acc-101","command":"withdraw","data":{"amount":200}}`))
	if err != nil {
		t.Fatal(err)
	}
	a := engine.Answer{Version: 3, Position: 17, Balance: 800, Events: []engine.EventRef{{Type: "MoneyWithdrawn", Version: 3, Position: 17}}}
	for got, want := range map[string]string{
		string(wire.AppendAnswer(nil, e.Command.Module, "acc-101", &a)): `{"account":"acc-101","version":3,"position":17,"balance":800,"events":[{"id":"evt-17","eventType":"MoneyWithdrawn","version":3,"position":17}]}`,
		string(wire.AppendAnswerLine(nil, &e, &a)):                      `{"id":"cmd-1","status":200,"account":"acc-101","version":3,"position":17,"balance":800,"replayed":false}` + "\n",
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestAProblemShowsTheFaultAndNeverItsCause(t *testing.T) {
	refusal := fault.New(fault.Rejected, "insufficient_funds", "Not enough.").With("balance", -5).At("/amount", `is "too" much`)
	for want, err := range map[string]error{
		`{"type":"/docs/errors#insufficient_funds","title":"Insufficient funds","status":422,"detail":"Not enough.","code":"insufficient_funds","instance":"/v1","requestId":"r","balance":-5,"errors":[{"pointer":"/amount","detail":"is \"too\" much"}]}`: refusal.Because(errors.New("secret")),
		`{"type":"/docs/errors#internal","title":"Internal","status":500,"detail":"Something went wrong inside Daybook. The request id finds the cause in the log.","code":"internal","instance":"/v1","requestId":"r"}`:                                    errors.New("secret"),
	} {
		got := wire.NewProblem(err, "/v1", "r").AppendJSON(nil)
		if string(got) != want || !json.Valid(got) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestEveryKindOfFailureHasAStatus(t *testing.T) {
	for k := fault.Internal; k <= fault.Unknown; k++ {
		if s := wire.Status(fault.New(k, "x", "")); s < 400 {
			t.Errorf("%v has the status %d", k, s)
		}
	}
}

func TestAnUnknownOutcomeSaysHowToSettleIt(t *testing.T) {
	withKey := wire.NewProblem(wire.Unsettled(ports.ErrOutcomeUnknown, "k"), "", "")
	without := wire.NewProblem(wire.Unsettled(ports.ErrOutcomeUnknown, ""), "", "")
	for _, p := range []*wire.Problem{withKey, without} {
		if p.Status != 503 || !strings.Contains(string(p.AppendJSON(nil)), `"outcome":"unknown"`) {
			t.Errorf("got %s", p.AppendJSON(nil))
		}
	}
	if !strings.Contains(withKey.Detail, "same idempotency key") || strings.Contains(without.Detail, "same idempotency key") {
		t.Errorf("got the details %q and %q", withKey.Detail, without.Detail)
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add([]byte(`{"id":"cmd-1","account":"acc-101","command":"deposit","data":{"amount":1000},"expectedVersion":2}`))
	reg := registry(f)
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := wire.DecodeEnvelope(reg, line)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: an error of another kind: %v", line, err)
			}
			return
		}
		if wire.CheckKey(e.ID) != "" || wire.CheckID(e.AggregateID) != "" || e.Command.Type == nil {
			t.Fatalf("%q became %+v", line, e)
		}
		if e.Expected != nil && *e.Expected > es.MaxAmount {
			t.Fatalf("%q has the version %d", line, *e.Expected)
		}
	})
}
