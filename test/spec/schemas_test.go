package spec

import (
	"slices"
	"strings"
	"testing"

	"daybook/core/es"
	"daybook/test/voucher"
)

func TestAnEventTypeThatChangesWithoutANewSchemaIsFound(t *testing.T) {
	frozen := func() map[string]string {
		f := map[string]string{}
		for _, of := range voucher.Module().Events {
			f[schemaName(of.Name, of.Schema)] = fieldsOf(of.Fields)
		}
		return f
	}
	issued := func(change func(*es.EventType)) *es.EventType {
		of := voucher.Module().Events[0]
		of.Fields = slices.Clone(of.Fields)
		change(&of)
		return &of
	}
	again := func(data []byte) ([]byte, error) { return data, nil }
	for sentence, c := range map[string]struct {
		now  *es.EventType
		says string
	}{
		"as it was":                     {issued(func(*es.EventType) {}), ""},
		"a field of another name":       {issued(func(of *es.EventType) { of.Fields[0].Name = "value" }), "without a new schema number"},
		"a field of another kind":       {issued(func(of *es.EventType) { of.Fields[0].Kind = es.KindText }), "worth text"},
		"a field that may be missing":   {issued(func(of *es.EventType) { of.Fields[0].Required = false }), "worth amount optional"},
		"one field more":                {issued(func(of *es.EventType) { of.Fields = append(of.Fields, es.Spec{Name: "x"}) }), "docs/events.md"},
		"another sentence about it":     {issued(func(of *es.EventType) { of.Doc, of.Fields[0].Doc = "Other.", "words." }), ""},
		"a new schema, not yet frozen":  {issued(func(of *es.EventType) { *of = of.Upcast(again) }), "VoucherIssued.v2 has no line"},
		"the same event, another order": {issued(func(of *es.EventType) { slices.Reverse(of.Fields) }), "without a new schema number"},
	} {
		t.Run(sentence, func(t *testing.T) {
			problems := strings.Join(changed(c.now, frozen()), "\n")
			if c.says == "" && problems != "" || !strings.Contains(problems, c.says) {
				t.Errorf("got %q, want words with %q", problems, c.says)
			}
		})
	}
	t.Run("an event type or a schema that is declared no more", func(t *testing.T) {
		was := frozen()
		if got := dropped(voucher.Module().Events, was); got != nil {
			t.Errorf("nothing was dropped: %v", got)
		}
		was["VoucherIssued.v2"], was["VoucherBurnt.v1"] = "", ""
		got := strings.Join(dropped(voucher.Module().Events, was), "\n")
		if !strings.Contains(got, "VoucherIssued.v2") || !strings.Contains(got, "VoucherBurnt.v1") || strings.Contains(got, "VoucherIssued.v1") {
			t.Errorf("got %s", got)
		}
	})
}
