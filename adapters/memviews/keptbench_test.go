package memviews_test

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"daybook/adapters/memviews"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

// BenchmarkStartFromAFile opens views that were kept, until readers are let in.
func BenchmarkStartFromAFile(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n, " documents"), func(b *testing.B) {
			registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
			must(b, err)
			o := memviews.Options{Registry: registry, Dir: b.TempDir()}
			open := func() *memviews.Views {
				v, err := memviews.Open(o)
				must(b, err)
				return v
			}
			v := open()
			fill(b, v, &registry.Module(accounts).View, n)
			must(b, v.Open(b.Context(), 0))
			began := time.Now()
			must(b, v.Close())
			kept := time.Since(began)
			info, err := os.Stat(o.Dir + "/views")
			must(b, err)
			var read, opened time.Duration
			for b.Loop() {
				began := time.Now()
				v := open()
				read += time.Since(began)
				must(b, v.Open(b.Context(), 0))
				opened += time.Since(began)
				b.StopTimer()
				must(b, v.Close())
				b.StartTimer()
			}
			b.ReportMetric(kept.Seconds(), "s-kept")
			b.ReportMetric(read.Seconds()/float64(b.N), "s-read")
			b.ReportMetric(opened.Seconds()/float64(b.N), "s-read-and-open")
			b.ReportMetric(float64(info.Size())/float64(n), "B/document")
		})
	}
}

// BenchmarkUseWhileAFileIsWritten writes a thousand changed documents of a million, reads one and lists a page, in turns, and in
// turns with and without a file being written beside it, over and over. What counts is by how much that slows each down.
func BenchmarkUseWhileAFileIsWritten(b *testing.B) {
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	must(b, err)
	const stored = 1_000_000
	v, view := memviews.New(registry), &registry.Module(accounts).View
	fill(b, v, view, stored)
	must(b, v.Open(b.Context(), 0))
	at, version := es.Position(stored/1000), es.Version(2)
	var took [2][3][]time.Duration
	use := func(all *[3][]time.Duration) {
		changes := make([]ports.Change, 1000)
		for i := range changes {
			changes[i] = change(view, i*997%stored, version)
		}
		for i, do := range []func() error{
			func() error { return v.Write(b.Context(), 0, changes, at, at+1, es.Hash{1}) },
			func() error { _, _, err := v.Get(b.Context(), accounts, "acc-0500000"); return err },
			func() error { _, err := v.List(b.Context(), accounts, ports.Query{Limit: 100}); return err },
		} {
			began := time.Now()
			must(b, do())
			all[i] = append(all[i], time.Since(began))
		}
		at, version = at+1, version+1
	}
	const round = 200
	dir := b.TempDir()
	for b.Loop() {
		for range round {
			use(&took[0])
		}
		done := make(chan struct{})
		var writing sync.WaitGroup
		writing.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if err := v.KeepIn(b.Context(), dir); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
		for range round {
			use(&took[1])
		}
		close(done)
		writing.Wait()
	}
	for i, what := range []string{"write", "get", "list"} {
		for j, when := range []string{"alone", "beside"} {
			all := took[j][i]
			slices.Sort(all)
			b.ReportMetric(all[len(all)/2].Seconds()*1e6, "µs-"+what+"-p50-"+when)
			b.ReportMetric(all[len(all)*99/100].Seconds()*1e6, "µs-"+what+"-p99-"+when)
		}
	}
}
