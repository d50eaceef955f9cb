package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"daybook/core/access"
)

// ending is a keyed world with ways to end a credential, at once or while an answer is given.
type ending struct {
	*keyed
	expired atomic.Bool // tokens are past their end
	looks   atomic.Int32
	atThird func() // is called before who asks is looked up for the third time
}

func newEnding(t *testing.T) *ending {
	t.Helper()
	e := &ending{}
	e.keyed = newKeyed(t, func(o *options) {
		o.api.Heartbeat = time.Millisecond
		byKey := o.api.Authenticate
		o.api.Authenticate = func(r *http.Request) (*access.Principal, error) {
			if e.atThird != nil && e.looks.Add(1) == 3 {
				e.atThird()
			}
			if e.expired.Load() {
				return nil, access.ErrUnauthenticated.Because(errors.New("it expired"))
			}
			return byKey(r)
		}
	})
	return e
}

// ways are those in which a credential ends.
func (e *ending) ways() map[string]func(as access.Role) {
	return map[string]func(access.Role){
		"a key that is revoked": func(as access.Role) {
			secret := strings.TrimPrefix(e.as[as], "Authorization: Bearer "+access.KeyPrefix)
			prefix, _, _ := strings.Cut(secret, "_")
			if _, err := e.keys.Revoke(e.tb.Context(), prefix); err != nil {
				e.tb.Fatal(err)
			}
		},
		"a token that expires": func(access.Role) { e.expired.Store(true) },
	}
}

// deposits are so many that no answer about all of them is sent in one piece.
const deposits = 4000

func (e *ending) fill() {
	e.tb.Helper()
	teller := e.as[access.Teller]
	e.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`, teller)
	var lines strings.Builder
	for i := range deposits {
		lines.WriteString(deposit(fmt.Sprint(i), "a", 1))
	}
	e.do(http.MethodPost, "/v1/commands", lines.String(), ndjson, teller)
}

// open sends a request and gives its answer as soon as it has begun.
func (e *ending) open(method, path string, body io.Reader, headers ...string) *http.Response {
	e.tb.Helper()
	within, cancel := context.WithTimeout(e.tb.Context(), 20*time.Second) // an answer that does not end fails the test by itself
	e.tb.Cleanup(cancel)
	r, err := http.NewRequestWithContext(within, method, e.server.URL+path, body)
	if err != nil {
		e.tb.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := e.server.Client().Do(r)
	if err != nil {
		e.tb.Fatal(err)
	}
	e.tb.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		e.tb.Fatalf("%s %s: %d", method, path, resp.StatusCode)
	}
	return resp
}

// noted is how often the audit log says of an operation that its credential did not hold.
func (e *ending) noted(action string) (n int) {
	for _, entry := range e.entries() {
		if entry.Outcome == "unauthenticated" && entry.Action == action && entry.Detail != "" {
			n++
		}
	}
	return n
}

func TestALongAnswerEndsWithTheCredentialThatOpenedIt(t *testing.T) {
	for _, long := range []struct {
		path, form string
		as         access.Role
	}{
		{"/v1/feed", "*/*", access.Teller},
		{"/v1/feed?after=4001", "*/*", access.Teller}, // nothing follows
		{"/v1/admin/export", "*/*", access.Auditor},
		{"/v1/accounts/a/statement", "application/json", access.Teller},
		{"/v1/accounts/a/statement", "text/csv", access.Teller},
	} {
		for way := range (&ending{}).ways() {
			t.Run(long.path+" as "+long.form+", "+way, func(t *testing.T) {
				e := newEnding(t)
				e.fill()
				e.atThird = func() { e.ways()[way](long.as) }
				resp := e.open(http.MethodGet, long.path, nil, e.as[long.as], "Accept: "+long.form)
				text, err := io.ReadAll(resp.Body)
				feed := strings.Contains(long.path, "feed") // which has no end of its own, so that it may end in good order
				if sent := strings.Count(string(text), "MoneyDeposited"); (err == nil) != feed || sent == deposits {
					t.Errorf("%d deposits were sent, and the answer ended with %v", sent, err)
				}
				path, _, _ := strings.Cut(strings.Replace(long.path, "/a/", "/{id}/", 1), "?")
				if n := e.noted("GET " + path); n != 1 {
					t.Errorf("the audit log tells of it %d times", n)
				}
			})
		}
	}
}

func TestOfAStreamOfCommandsNothingIsDoneThatCameAfterTheCredentialEnded(t *testing.T) {
	for way := range (&ending{}).ways() {
		for _, path := range []string{"/v1/commands", "/v1/commands?atomic=true"} {
			t.Run(path+", "+way, func(t *testing.T) {
				e := newEnding(t)
				e.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`, e.as[access.Teller])
				before, after := deposit("1", "a", 1), deposit("2", "a", 1)
				status, answered := e.streamed(path, before, after, func() { e.ways()[way](access.Teller) })
				if !strings.Contains(answered, `"unauthenticated"`) || strings.Contains(answered, `"id":"2"`) {
					t.Errorf("answered %d %s", status, answered)
				}
				done := 1 // the account was created
				if !strings.Contains(path, "atomic") {
					done++
				}
				if events, err := e.store.ReadFeed(t.Context(), 0, 10); err != nil || len(events) != done {
					t.Errorf("%d events are there, %v", len(events), err)
				}
				if n := e.noted("POST /v1/commands"); n != 1 {
					t.Errorf("the audit log tells of it %d times", n)
				}
			})
		}
	}
}

// streamed sends a line, calls between once the server has read that, and then sends another line.
func (e *ending) streamed(path, before, after string, between func()) (status int, answered string) {
	e.tb.Helper()
	c := e.dial()
	chunk := func(text string) { _, _ = fmt.Fprintf(c, "%x\r\n%s\r\n", len(text), text) }
	_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n%s\r\nTransfer-Encoding: chunked\r\n", path, ndjson, e.as[access.Teller])
	in := bufio.NewReader(c)
	if strings.Contains(path, "atomic") {
		_, _ = io.WriteString(c, "Expect: 100-continue\r\n\r\n")
		if text, err := in.ReadString('\n'); err != nil || !strings.Contains(text, "100") {
			e.tb.Fatal(text, err)
		}
		_, _ = in.ReadString('\n')
		chunk(before)
		between()
		chunk(after)
		_, _ = io.WriteString(c, "0\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			e.tb.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	_, _ = io.WriteString(c, "\r\n")
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		e.tb.Fatal(err)
	}
	defer resp.Body.Close()
	chunk(before)
	lines := bufio.NewReader(resp.Body)
	if text, err := lines.ReadString('\n'); err != nil || !strings.Contains(text, `"status":200`) {
		e.tb.Fatal(text, err)
	}
	between()
	chunk(after)
	text, _ := io.ReadAll(lines) // it is cut off
	return resp.StatusCode, string(text)
}
