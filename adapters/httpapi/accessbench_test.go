package httpapi

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkAccess sends the same requests as access.Local and as a customer on an account of their own, in turns, and reports what
// part of the one's throughput the other has (customer/local).
func BenchmarkAccess(b *testing.B) {
	for _, c := range []struct{ name, method, path, body string }{
		{"deposit", http.MethodPost, "/v1/accounts/acc-0001/deposit", `{"amount":1}`},
		{"withdraw", http.MethodPost, "/v1/accounts/acc-0001/withdraw", `{"amount":1}`},
		{"document", http.MethodGet, "/v1/accounts/acc-0001", ""},
		{"list", http.MethodGet, "/v1/accounts?q=acc", ""},
		{"past", http.MethodGet, "/v1/accounts/acc-0001?version=2", ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := newGuarded(b)
			g.prepared("")
			g.as("teller", "/v1/accounts/acc-0001/deposit", `{"amount":1000000000000}`).want(b, 200)
			g.get("/v1/accounts/acc-0001?"+g.least(), "Authorization: Bearer owner").want(b, 200)
			var took [2]time.Duration
			const turn = 500
			for n := 0; b.Loop(); n++ {
				which := n % 2
				began := time.Now()
				g.storm(b, turn, c.method, c.path, c.body, []string{"Bearer local", "Bearer owner"}[which])
				took[which] += time.Since(began)
			}
			if took[1] > 0 {
				b.ReportMetric(float64(took[0])/float64(took[1])*float64((b.N)/2)/float64(b.N-b.N/2), "customer/local")
			}
			b.ReportMetric(float64(turn*b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}

// storm sends a request so many times, from 16 goroutines.
func (g *guarded) storm(b *testing.B, times int, method, path, body, authorization string) {
	var sending sync.WaitGroup
	for range 16 {
		sending.Go(func() {
			for range times / 16 {
				r, _ := http.NewRequest(method, path, strings.NewReader(body))
				r.Header["Content-Type"], r.Header["Authorization"] = jsonType, []string{authorization}
				rec := &discard{header: http.Header{}}
				if g.api.ServeHTTP(rec, r); rec.status != http.StatusOK {
					b.Error(rec.status)
					return
				}
			}
		})
	}
	sending.Wait()
}
