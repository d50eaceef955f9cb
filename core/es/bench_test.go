package es_test

import (
	"testing"
	"time"

	"daybook/core/account"
	"daybook/core/es"
)

// stored is a deposit as a store gives it back, with the registry that reads it.
func stored(b *testing.B) (*es.Registry, []byte) {
	b.Helper()
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		b.Fatal(err)
	}
	at := time.Date(2025, 10, 28, 9, 0, 0, 123456000, time.UTC)
	by := es.Metadata{Principal: "local", CommandID: "cmd-1234567", RequestID: "01JB8Z3V9Q"}
	rec := es.Recorded{Stream: "acc-101", Version: 1, Position: 17, Type: "MoneyDeposited", EffectiveAt: at, RecordedAt: at, Metadata: by.AppendJSON(nil)}
	if rec.Data, rec.Schema, err = registry.Encode(nil, account.MoneyDeposited{Amount: 1000}); err != nil {
		b.Fatal(err)
	}
	return registry, rec.AppendJSON(nil)
}

func BenchmarkParseRecorded(b *testing.B) {
	_, raw := stored(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := es.ParseRecorded(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeAndFold(b *testing.B) {
	registry, raw := stored(b)
	rec, err := es.ParseRecorded(raw)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := registry.Fold(&es.Folded{}, &rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	_, raw := stored(b)
	rec, err := es.ParseRecorded(raw)
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, len(raw))
	b.ReportAllocs()
	for b.Loop() {
		dst = rec.AppendJSON(dst[:0])
	}
}
