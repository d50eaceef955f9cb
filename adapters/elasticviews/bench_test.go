package elasticviews_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"daybook/adapters/memviews"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/servers"
)

// change is the n-th account at a version, with a random balance.
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

// fill writes n new documents in one Write.
func fill(b *testing.B, v ports.Views, view *es.View, n int) {
	b.Helper()
	changes := make([]ports.Change, n)
	for i := range changes {
		changes[i] = change(view, i, 1)
	}
	must(b, v.Write(b.Context(), 1, changes, 0, es.Position(n), es.Hash{}))
}

// BenchmarkFill fills empty views, as a rebuild does, with documents each of which stands for two events; then it sends documents
// of the same size in a bare loop of bulks, as many at once. Its figures are of documents and events per second.
func BenchmarkFill(b *testing.B) {
	const n, page = 200_000, 50_000
	o := options(b, newRegistry(b))
	v := open(b, o)
	view := &o.Registry.Module(accounts).View
	changes := make([]ports.Change, n)
	for i := range changes {
		changes[i] = change(view, i, 2)
	}
	for b.Loop() {
		must(b, v.Reset(b.Context(), 1))
		started := time.Now()
		for at := 0; at < n; at += page {
			must(b, v.Write(b.Context(), 1, changes[at:at+page], es.Position(2*at), es.Position(2*(at+page)), es.Hash{}))
		}
		filled := time.Since(started).Seconds()
		b.ReportMetric(n/filled, "documents/s")
		b.ReportMetric(2*n/filled, "events/s")
		started = time.Now()
		must(b, v.Open(b.Context(), 1))
		b.ReportMetric(time.Since(started).Seconds(), "s-open")
		b.ReportMetric(bareBulks(b, o.Prefix, n), "bare-documents/s")
	}
}

// bareBulks sends as many documents to an index like that of the views, with net/http and nothing else, and gives how many it
// sent in a second.
func bareBulks(b *testing.B, prefix string, n int) float64 {
	const perBulk, atOnce = 2000, 3
	index := fmt.Sprintf("%s/%s-%s-%d", servers.Elastic(b), prefix, accounts, time.Now().UnixMicro())
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}
	defer client.CloseIdleConnections()
	send := func(method, path string, body []byte) {
		req, err := http.NewRequestWithContext(b.Context(), method, index+path, bytes.NewReader(body))
		must(b, err)
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		must(b, err)
		var answer bytes.Buffer
		_, err = answer.ReadFrom(res.Body)
		must(b, err)
		must(b, res.Body.Close())
		if res.StatusCode != http.StatusOK || bytes.HasPrefix(answer.Bytes(), []byte(`{"errors":true`)) {
			b.Errorf("%s %s: %s", method, path, answer.String()[:min(300, answer.Len())])
		}
	}
	send(http.MethodPut, "", []byte("{}"))
	defer send(http.MethodDelete, "", nil)
	bodies := make([][]byte, n/perBulk)
	for i := range n {
		id := fmt.Sprintf("acc-%07d", i)
		bodies[i/perBulk] = fmt.Appendf(bodies[i/perBulk], `{"index":{"_id":%q,"version":2,"version_type":"external_gte"}}
{"id":%q,"owner":"Owner%d Of Street %d","currency":"EUR","status":"open","balance":%d,"overdraftLimit":0,"version":2,"position":%d,"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z","daybook":{"id":%q,"words":["acc","%07d","owner%d","of","street","%d"],"micros":{"createdAt":1767225600000000,"updatedAt":1767225600000000}}}
`, id, id, i%5000, i%97, rand.Int64N(1_000_000), i, id, i, i%5000, i%97)
	}
	started := time.Now()
	var sending sync.WaitGroup
	next := make(chan []byte)
	for range atOnce {
		sending.Go(func() {
			for body := range next {
				send(http.MethodPost, "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason", body)
			}
		})
	}
	for _, body := range bodies {
		next <- body
	}
	close(next)
	sending.Wait()
	return float64(n) / time.Since(started).Seconds()
}

// BenchmarkWrite changes some of a hundred thousand documents, with readers let in and without: the difference is what the
// refresh costs.
func BenchmarkWrite(b *testing.B) {
	const stored = 100_000
	for _, opened := range []bool{false, true} {
		o := options(b, newRegistry(b))
		v := open(b, o)
		view := &o.Registry.Module(accounts).View
		fill(b, v, view, stored)
		if opened {
			must(b, v.Open(b.Context(), 1))
		}
		at, version := es.Position(stored), es.Version(1)
		for _, size := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%d documents, refresh=%t", size, opened), func(b *testing.B) {
				for b.Loop() {
					version++
					changes := make([]ports.Change, size)
					for i := range changes {
						changes[i] = change(view, rand.IntN(stored), version)
					}
					must(b, v.Write(b.Context(), 1, changes, at, at+1, es.Hash{}))
					at++
				}
			})
		}
	}
}

// BenchmarkRead asks Elasticsearch and, beside it, memory.
func BenchmarkRead(b *testing.B) {
	const stored = 100_000
	o := options(b, newRegistry(b))
	view := &o.Registry.Module(accounts).View
	elastic, memory := ports.Views(open(b, o)), ports.Views(memviews.New(o.Registry))
	balance, owner := view.Field("balance"), view.Field("owner")
	value := func(v es.Value) *es.Value { return &v }
	queries := []struct {
		name string
		q    ports.Query
	}{
		{"a page by id", ports.Query{Limit: 100}},
		{"a thousand by id", ports.Query{Limit: 1000}},
		{"a page by balance, descending, after a cursor", ports.Query{Sort: balance, Desc: true, After: &ports.Cursor{Key: es.Value{Int: 500_000}, ID: "acc-0050000"}, Limit: 100}},
		{"a page of one owner", ports.Query{Filters: []ports.Filter{{Field: owner, Min: value(es.Value{Str: "Owner7 Of Street 7"}), Max: value(es.Value{Str: "Owner7 Of Street 7"})}}, Limit: 100}},
		{"a word that a fifth has", ports.Query{Words: []string{"owner1"}, Limit: 100}},
	}
	for name, v := range map[string]ports.Views{"Elasticsearch": elastic, "memory": memory} {
		fill(b, v, view, stored)
		must(b, v.Open(b.Context(), 1))
		b.Run(name+"/Progress", func(b *testing.B) {
			for b.Loop() {
				_, err := v.Progress(b.Context())
				must(b, err)
			}
		})
		b.Run(name+"/Get", func(b *testing.B) {
			for b.Loop() {
				_, _, err := v.Get(b.Context(), accounts, "acc-0050000")
				must(b, err)
			}
		})
		for _, c := range queries {
			b.Run(name+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					_, err := v.List(b.Context(), accounts, c.q)
					must(b, err)
				}
			})
		}
	}
}
