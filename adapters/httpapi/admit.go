package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"daybook/core/access"
)

// forEverybody reports whether the path is that of a probe or of documentation, which say nothing of accounts.
func forEverybody(path string) bool {
	switch path {
	case "/livez", "/readyz", "/openapi.json", "/docs":
		return true
	}
	return strings.HasPrefix(path, "/docs/")
}

// admit finds out who sends the request, and puts that into its context. Whoever may not send more now, or cannot say who they are,
// gets no further.
func (s *server) admit(w http.ResponseWriter, r *http.Request) error {
	if forEverybody(r.URL.Path) {
		return nil
	}
	p, err := s.Authenticate(r)
	if err != nil {
		if errors.Is(err, access.ErrUnauthenticated) && !s.limits.failed(address(r)) {
			return errRateLimited.After(time.Second)
		}
		return err
	}
	if err := s.limits.requests.take(p.Subject, w.Header()); err != nil {
		return err
	}
	ctx := access.As(access.WithRequest(r.Context(), requestIDOf(w)), p)
	*r = *r.WithContext(ctx) // in place, for those around who look at what the mux finds
	return nil
}

// goesOn sees that the credential which opened a long answer still holds: a key may be revoked and a token end meanwhile. Whatever goes
// on for long asks before it sends the next piece and before it takes the next.
func (s *server) goesOn(r *http.Request) error {
	_, err := s.Authenticate(r)
	return err
}

// LocalName reports whether a header Host names an address, or this machine.
func LocalName(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	return name == "localhost" || net.ParseIP(strings.Trim(name, "[]")) != nil
}

// need asks the policy for what no account is concerned with.
func need(r *http.Request, right access.Operation) error {
	_, err := access.Of(r.Context()).Grant(right)
	return err
}

// address is the peer of the connection. What a header says of whom it speaks for anybody can write.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// noAudit is the log of a process that keeps none.
type noAudit struct{}

func (noAudit) Record(context.Context, access.Entry) error { return nil }
func (noAudit) Note(access.Entry)                          {}

func (noAudit) Entries(context.Context, uint64, time.Time, int) ([]access.Entry, error) {
	return nil, nil
}

func (noAudit) Head(context.Context) (uint64, error) { return 0, nil }
