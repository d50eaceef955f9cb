package httpapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"daybook/adapters/wire"
	"daybook/core/es"
	"daybook/core/fault"
)

// Header values that every answer shares. They are assigned, never appended to.
var (
	noSniff     = []string{"nosniff"}
	noStore     = []string{"no-store"}
	noReferrer  = []string{"no-referrer"}
	sameOrigin  = []string{"same-origin"}
	lockedPage  = []string{"default-src 'none'; frame-ancestors 'none'"}
	jsonType    = []string{"application/json"}
	problemType = []string{"application/problem+json"}
	yes         = []string{"true"}
	bearer      = []string{"Bearer"}
	hsts        = []string{"max-age=31536000"}
	closing     = []string{"close"}
)

// recorder notes whether an answer was begun, so that a panic is answered only if nothing was.
type recorder struct {
	http.ResponseWriter
	begun bool
}

func (w *recorder) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP gives the request its id, the answer the headers that all have, and survives a panic of a handler.
func (s *server) ServeHTTP(plain http.ResponseWriter, r *http.Request) {
	w := &recorder{ResponseWriter: plain}
	h := w.Header()
	h["X-Request-Id"] = []string{requestID(r.Header)}
	h["X-Content-Type-Options"], h["Cache-Control"], h["Referrer-Policy"] = noSniff, noStore, noReferrer
	h["Content-Security-Policy"], h["Cross-Origin-Resource-Policy"], h["Cross-Origin-Opener-Policy"] = lockedPage, sameOrigin, sameOrigin
	if s.Lifetime.Err() != nil {
		h["Connection"] = closing // the client's next request goes to a process that stays
	}
	if s.Secure {
		h["Strict-Transport-Security"] = hsts
	}
	defer s.survive(w, r)
	switch {
	case r.RequestURI == "*" || r.Method == http.MethodConnect:
		h.Set("Allow", "GET, HEAD, POST, OPTIONS")
		s.fail(w, r, errMethod)
	case !plainPath(r.URL.EscapedPath()):
		s.fail(w, r, errInvalidPath)
	case s.HealthAlone && !slices.Contains(healthPaths, r.URL.Path):
		s.fail(w, r, errNoAPI)
	case s.LocalNames && !LocalName(r.Host):
		s.fail(w, r, errForeignHost)
	case s.crossSite.Check(r) != nil:
		s.fail(w, r, errCrossSite)
	default:
		if err := s.admit(w, r); err != nil {
			s.fail(w, r, err)
			return
		}
		s.mux.ServeHTTP(w, r)
	}
}

// healthPaths are what a process answers that does not serve the API.
var healthPaths = []string{"/livez", "/readyz", "/v1/status"}

// survive turns a panic into an answer and a line in the log.
func (s *server) survive(w *recorder, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	s.Logger.Error("a handler panicked",
		about(r, requestIDOf(w), "method", r.Method, "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))...)
	if w.begun {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	s.answerProblem(w, wire.NewProblem(errors.New("panic"), r.URL.EscapedPath(), requestIDOf(w)))
}

// plainPath reports whether net/http's mux would take the path as it is: it redirects others, and an id that looks like a
// directory is no reason to send a client elsewhere.
func plainPath(p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return true
	}
	segments := strings.Split(p[1:], "/")
	for i, segment := range segments {
		if segment == "." || segment == ".." || segment == "" && i < len(segments)-1 {
			return false
		}
	}
	return true
}

// requestID keeps the id that the client gave, if it is one, or makes one.
func requestID(h http.Header) string {
	if given := h["X-Request-Id"]; len(given) == 1 && len(given[0]) <= 128 && wire.CheckKey(given[0]) == "" {
		return given[0]
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

// requestIDOf is the id that the request being answered has.
func requestIDOf(w http.ResponseWriter) string { return w.Header()["X-Request-Id"][0] }

// fail answers with an error.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	left := r.Context().Err() != nil
	if fault.KindOf(err) == fault.Internal && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		err = errBrokenOff.Because(err)
	}
	p := wire.NewProblem(err, r.URL.EscapedPath(), requestIDOf(w))
	if kind := fault.KindOf(err); !left && (kind == fault.Internal || kind == fault.Unknown) {
		s.Logger.Error("a request failed", about(r, p.RequestID, "method", r.Method, "path", r.URL.Path, "code", p.Code, "error", err.Error())...)
	}
	s.noteRefusal(r, p.RequestID, err, "")
	if rec, ok := w.(*recorder); ok && rec.begun {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}
	s.answerProblem(w, p)
}

func (s *server) answerProblem(w http.ResponseWriter, p *wire.Problem) {
	h := w.Header()
	h["Content-Type"] = problemType
	if p.Retry > 0 {
		h["Retry-After"] = []string{strconv.Itoa(int((p.Retry + time.Second - 1) / time.Second))}
	}
	if p.Status == http.StatusUnauthorized {
		h["Www-Authenticate"] = bearer
	}
	if p.Status == http.StatusRequestEntityTooLarge || p.Status == http.StatusRequestTimeout {
		h["Connection"] = closing // what is left of the body is not read
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.AppendJSON(nil)) // a client that left is no failure of ours
}

// answerJSON answers with a JSON document.
func answerJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left is no failure of ours
}

// setVersion and setPosition tell where a stream and the store or view are.
func setVersion(h http.Header, v es.Version) { h["Etag"] = []string{etag(v)} }

func setPosition(h http.Header, p es.Position) {
	h["Daybook-Position"] = []string{strconv.FormatUint(uint64(p), 10)}
}

func etag(v es.Version) string { return `"` + strconv.FormatUint(uint64(v), 10) + `"` }
