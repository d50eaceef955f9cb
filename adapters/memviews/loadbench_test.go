package memviews_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"daybook/adapters/memviews"
	"daybook/core/account"
	"daybook/core/es"
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
