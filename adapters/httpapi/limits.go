package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"daybook/core/recent"
)

// Limits are how many requests each principal may send. A stream of many commands is one request.
type Limits struct {
	Requests int // per second; zero: any number
	Burst    int // at once, after a pause; zero: twice as many as per second
	// Costly is how many requests per minute, and at once after a pause, that take more than others: see route.costly. They count as
	// requests, too. Zero: any number.
	Costly int
	// Failures to say who one is, per second and from one address, and four times as many at once: those beyond are answered 429 and not
	// written into the audit log. They never keep out who does show a credential that holds. Zero: any number.
	Failures int
}

// Failures is how many suit a server.
const Failures = 5

// limitRoom is of how many principals, and of how many addresses, it is remembered what they sent; twice as many at the most.
const limitRoom = 10_000

// limits counts.
type limits struct {
	requests, costly *buckets // of principals
	failures         *buckets // of addresses
}

func newLimits(l Limits, now func() time.Time) *limits {
	if l.Burst == 0 {
		l.Burst = 2 * l.Requests
	}
	return &limits{
		requests: newBuckets("requests", float64(l.Requests), l.Burst, now, fmt.Sprintf("%d requests a second", l.Requests)),
		costly:   newBuckets("costly", float64(l.Costly)/60, l.Costly, now, fmt.Sprintf("%d requests a minute of this kind, which takes more than others", l.Costly)),
		failures: newBuckets("failures", float64(l.Failures), 4*l.Failures, now, ""),
	}
}

// buckets are a bucket for each name. One that was forgotten is a full one.
type buckets struct {
	kind   string
	rate   float64 // per second; zero: any number
	burst  int
	now    func() time.Time
	words  string // what may be sent
	policy string
	of     *recent.Shared[string, *rate.Limiter]
}

func newBuckets(kind string, perSecond float64, burst int, now func() time.Time, words string) *buckets {
	b := &buckets{kind: kind, rate: perSecond, burst: burst, now: now, words: words, of: recent.NewShared[string, *rate.Limiter](2 * limitRoom)}
	if perSecond > 0 {
		b.policy = fmt.Sprintf(`%q;q=%d;w=%d`, kind, burst, max(1, int(math.Ceil(float64(burst)/perSecond))))
	}
	return b
}

// allow takes one from the bucket of the name, and reports whether there was one; left is how many there are now.
func (b *buckets) allow(name string) (left float64, ok bool) {
	bucket := b.of.GetOr(name, func() *rate.Limiter { return rate.NewLimiter(rate.Limit(b.rate), b.burst) })
	now := b.now()
	ok = bucket.AllowN(now, 1)
	return max(bucket.TokensAt(now), 0), ok
}

// take counts one request of the principal and says in the header what is left (draft-ietf-httpapi-ratelimit-headers). Its error is the
// answer when nothing is.
func (b *buckets) take(subject string, h http.Header) error {
	if b.rate == 0 {
		return nil
	}
	left, ok := b.allow(subject)
	full := math.Ceil((float64(b.burst) - left) / b.rate)
	addItem(h, "Ratelimit-Policy", b.policy)
	addItem(h, "Ratelimit", fmt.Sprintf(`%q;r=%d;t=%d`, b.kind, int(left), int(full)))
	if ok {
		return nil
	}
	wait := time.Duration((1 - left) / b.rate * float64(time.Second))
	return errRateLimited.Say("You may send %s; nothing was done. The header Retry-After says when to go on.", b.words).After(max(wait, time.Millisecond))
}

// addItem adds one item to the list that a header is.
func addItem(h http.Header, name, item string) {
	if before := h[name]; len(before) > 0 {
		item = before[0] + ", " + item
	}
	h[name] = []string{item}
}

// failed counts a failure from the address, and reports whether it is one of those that are still answered.
func (l *limits) failed(address string) bool {
	if l.failures.rate == 0 {
		return true
	}
	_, ok := l.failures.allow(address)
	return ok
}

// always is for routes of which every request is costly.
func always(*values) bool { return true }

// having is for routes of which the requests with one of the parameters are.
func having(names ...string) func(*values) bool {
	return func(q *values) bool { return slices.ContainsFunc(names, q.has) }
}
