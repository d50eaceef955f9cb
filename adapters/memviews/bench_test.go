package memviews_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"daybook/adapters/memviews"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

const accounts = "accounts"

// change is the n-th account with a random balance.
func change(view *es.View, n int, version es.Version) ports.Change {
	id := fmt.Sprintf("acc-%07d", n)
	created := time.Date(2026, 1, 1, 0, 0, n/10, 0, time.UTC)
	return ports.Change{View: accounts, Document: es.Document{ID: id, Version: version, Values: view.Values(id, &es.Folded{
		Version: version, Position: es.Position(n), CreatedAt: created, UpdatedAt: created,
		State: account.Account{
			Owner: fmt.Sprintf("Owner%d Of Street %d", n%5000, n%97), Currency: "EUR", Status: account.Open, Balance: rand.Int64N(1_000_000),
		},
	})}}
}

func newViews(b *testing.B) (*memviews.Views, *es.View) {
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		b.Fatal(err)
	}
	return memviews.New(registry), &registry.Module(accounts).View
}

// fill writes n new documents in batches of a thousand, in random order.
func fill(b *testing.B, v *memviews.Views, view *es.View, n int) {
	b.Helper()
	order := rand.Perm(n)
	at := es.Position(0)
	for len(order) > 0 {
		batch := order[:min(1000, len(order))]
		order = order[len(batch):]
		changes := make([]ports.Change, len(batch))
		for i, n := range batch {
			changes[i] = change(view, n, 1)
		}
		must(b, v.Write(b.Context(), 0, changes, at, at+1, es.Hash{1}))
		at++
	}
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func BenchmarkFillAMillionAndOpen(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		b.StopTimer()
		v, view := newViews(b)
		changes := make([]ports.Change, 0, n)
		for _, n := range rand.Perm(n) {
			changes = append(changes, change(view, n, 1))
		}
		before := heap()
		b.StartTimer()
		started := time.Now()
		for i := range n / 1000 {
			must(b, v.Write(b.Context(), 0, changes[i*1000:(i+1)*1000], es.Position(i), es.Position(i+1), es.Hash{}))
		}
		written := time.Now()
		must(b, v.Open(b.Context(), 0))
		b.ReportMetric(written.Sub(started).Seconds(), "s-write")
		b.ReportMetric(time.Since(written).Seconds(), "s-open")
		b.StopTimer()
		b.ReportMetric((heap()-before)/n, "B/document")
		runtime.KeepAlive(v)
		runtime.KeepAlive(changes)
		b.StartTimer()
	}
}

func BenchmarkWriteAThousandChanged(b *testing.B) {
	const stored = 100_000
	for _, read := range []bool{false, true} {
		b.Run(fmt.Sprintf("of %d, read between=%t", stored, read), func(b *testing.B) {
			v, view := newViews(b)
			fill(b, v, view, stored)
			must(b, v.Open(b.Context(), 0))
			at := es.Position(stored / 1000)
			for version := es.Version(2); b.Loop(); version++ {
				b.StopTimer()
				changes := make([]ports.Change, 1000)
				for i := range changes {
					changes[i] = change(view, rand.IntN(stored), version)
				}
				if read {
					_, err := v.List(b.Context(), accounts, ports.Query{Limit: 1})
					must(b, err)
				}
				b.StartTimer()
				must(b, v.Write(b.Context(), 0, changes, at, at+1, es.Hash{}))
				at++
			}
		})
	}
}

func BenchmarkReadOfAMillion(b *testing.B) {
	v, view := newViews(b)
	fill(b, v, view, 1_000_000)
	must(b, v.Open(b.Context(), 0))
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, err := v.Get(b.Context(), accounts, "acc-0500000")
			must(b, err)
		}
	})
	balance, owner := view.Field("balance"), view.Field("owner")
	value := func(v es.Value) *es.Value { return &v }
	queries := []struct {
		name string
		q    ports.Query
	}{
		{"a page by id", ports.Query{Limit: 100}},
		{"a page by balance, descending, after a cursor", ports.Query{Sort: balance, Desc: true, After: &ports.Cursor{Key: es.Value{Int: 500_000}, ID: "acc-0500000"}, Limit: 100}},
		{"a page of a range of balances, by balance", ports.Query{Sort: balance, Filters: []ports.Filter{{Field: balance, Min: value(es.Value{Int: 500_000})}}, Limit: 100}},
		{"a page of one owner, 200 of a million", ports.Query{Filters: []ports.Filter{{Field: owner, Min: value(es.Value{Str: "Owner7 Of Street 7"}), Max: value(es.Value{Str: "Owner7 Of Street 7"})}}, Limit: 100}},
		{"a word that a fifth has", ports.Query{Words: []string{"owner1"}, Limit: 100}},
		{"a word that one has", ports.Query{Words: []string{"0777777"}, Limit: 100}},
		{"a word that none has", ports.Query{Words: []string{"nowhere"}, Limit: 100}},
	}
	for _, c := range queries {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := v.List(b.Context(), accounts, c.q)
				must(b, err)
			}
		})
	}
}
