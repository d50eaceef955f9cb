package promobserver

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests counts HTTP requests by the pattern of the route that took them. Its methods may be called concurrently.
type Requests struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// NewRequests registers the metrics with r.
func NewRequests(r prometheus.Registerer) *Requests {
	q := &Requests{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "daybook_http_requests_total",
			Help: "HTTP requests answered, by method, route and status; the status is cut for an answer that was broken off."}, []string{"method", "route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "daybook_http_request_seconds",
			Help: "One HTTP request, from its header to the end of its answer. Streams last as long as their clients like.", Buckets: durations()}, []string{"route"}),
	}
	r.MustRegister(q.total, q.seconds)
	return q
}

// answer notes the status that a handler gives.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status < http.StatusOK { // an informational status comes before the one that counts
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status < http.StatusOK {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Handler counts the requests that next serves. The route is the pattern that a mux below it matched.
func (q *Requests) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, a, status := time.Now(), &answer{ResponseWriter: w}, "cut"
		defer func() {
			route := r.Pattern
			if route == "" {
				route = "none"
			}
			q.total.WithLabelValues(method(r.Method), route, status).Inc()
			q.seconds.WithLabelValues(route).Observe(time.Since(began).Seconds())
		}()
		next.ServeHTTP(a, r)
		status = strconv.Itoa(max(a.status, http.StatusOK))
	})
}

// method bounds the label: clients may invent methods.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodDelete, http.MethodPatch:
		return name
	}
	return "other"
}
