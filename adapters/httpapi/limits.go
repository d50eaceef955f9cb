package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"daybook/core/recent"
)

// Limits are how many requests each principal may send. A stream of many commands is one request.
type Limits struct {
	Requests int // per second; zero: any number
	Burst    int // at once, after a pause; zero: twice as many as per second
	// Failures to say who one is, per second and from one address, and four times as many at once: those beyond are answered 429 and not
	// written into the audit log. They never keep out who does show a credential that holds. Zero: any number.
	Failures int
}

// Failures is how many suit a server.
const Failures = 5

// limitRoom is of how many principals, and of how many addresses, it is remembered what they sent; twice as many at the most.
const limitRoom = 10_000

// limits counts. A bucket that was forgotten is a full one.
type limits struct {
	Limits
	now        func() time.Time
	policy     []string
	principals *recent.Shared[string, *rate.Limiter]
	failures   *recent.Shared[string, *rate.Limiter]
}

func newLimits(l Limits, now func() time.Time) *limits {
	if l.Burst == 0 {
		l.Burst = 2 * l.Requests
	}
	window := 1
	if l.Requests > 0 {
		window = max(1, (l.Burst+l.Requests-1)/l.Requests)
	}
	return &limits{
		Limits: l, now: now, policy: []string{fmt.Sprintf(`"requests";q=%d;w=%d`, l.Burst, window)},
		principals: recent.NewShared[string, *rate.Limiter](2 * limitRoom), failures: recent.NewShared[string, *rate.Limiter](2 * limitRoom),
	}
}

// take counts one request of the principal and says in the header what is left (draft-ietf-httpapi-ratelimit-headers). Its error is the
// answer when nothing is.
func (l *limits) take(subject string, h http.Header) error {
	if l.Requests == 0 {
		return nil
	}
	bucket := l.principals.GetOr(subject, func() *rate.Limiter { return rate.NewLimiter(rate.Limit(l.Requests), l.Burst) })
	now := l.now()
	allowed := bucket.AllowN(now, 1)
	left := max(bucket.TokensAt(now), 0)
	full := math.Ceil((float64(l.Burst) - left) / float64(l.Requests))
	h["Ratelimit-Policy"] = l.policy
	h["Ratelimit"] = []string{fmt.Sprintf(`"requests";r=%d;t=%d`, int(left), int(full))}
	if allowed {
		return nil
	}
	wait := time.Duration((1 - left) / float64(l.Requests) * float64(time.Second))
	return errRateLimited.Say("You may send %d requests a second; nothing was done. The header Retry-After says when to go on.", l.Requests).After(max(wait, time.Millisecond))
}

// failed counts a failure from the address, and reports whether it is one of those that are still answered.
func (l *limits) failed(address string) bool {
	if l.Failures == 0 {
		return true
	}
	return l.failures.GetOr(address, func() *rate.Limiter { return rate.NewLimiter(rate.Limit(l.Failures), 4*l.Failures) }).AllowN(l.now(), 1)
}
