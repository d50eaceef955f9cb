package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"daybook/test/books"
)

// Answer is what a client heard of a command.
type Answer struct {
	Status   int // of HTTP; zero without an answer
	Code     string
	Outcome  string // "unknown"
	Replayed bool
	Account  string
	Version  int64
	Position int64
	Balance  int64
	Events   []books.Ref
	Body     string
	Retry    string // when a retry may succeed, as the header says
	Sent     bool   // it may have arrived
	Err      error
}

// Taken reports that the command was accepted.
func (a *Answer) Taken() bool { return a.Status/100 == 2 }

// Refused reports that the rules said no, which is an answer for ever.
func (a *Answer) Refused() bool {
	return a.Status == http.StatusNotFound || a.Status == http.StatusConflict || a.Status == http.StatusUnprocessableEntity
}

// Unknown reports that it may or may not have happened.
func (a *Answer) Unknown() bool {
	return a.Status == 0 && a.Sent || a.Status == http.StatusInternalServerError || a.Outcome == "unknown"
}

// Kind is the answer in a word, for counting.
func (a *Answer) Kind() string {
	switch {
	case a.Taken():
		return "taken"
	case a.Status == 0 && !a.Sent:
		return "connection refused"
	case errors.Is(a.Err, context.DeadlineExceeded):
		return "no answer in time"
	case a.Status == 0:
		return "connection lost"
	}
	return fmt.Sprintf("%d %s", a.Status, a.Code)
}

// Improper says what is wrong with an answer that tells of a failure: it says when to come back, and nothing of what is inside.
func (a *Answer) Improper() string {
	if a.Status < http.StatusInternalServerError {
		return ""
	}
	if a.Status == http.StatusServiceUnavailable && a.Retry == "" {
		return "it has no Retry-After"
	}
	for _, inside := range []string{"SQLSTATE", "dial tcp", "EOF", "refused", "daybook:daybook"} {
		if strings.Contains(a.Body, inside) {
			return "it tells of " + inside
		}
	}
	return ""
}

// transport keeps few connections, so that what was killed is not remembered for long.
var transport = &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 5 * time.Second}

// Post sends a command with its key and gives the answer, whatever it is.
func Post(ctx context.Context, base, path, body, key string) *Answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/accounts/"+path, strings.NewReader(body))
	if err != nil {
		return &Answer{Err: err}
	}
	req.GetBody = nil // else net/http sends it again by itself, as it has a key, and nobody could say what the first became
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		var op *net.OpError
		return &Answer{Err: err, Sent: !errors.As(err, &op) || op.Op != "dial"}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return &Answer{Err: err, Sent: true}
	}
	a := &Answer{}
	if err := json.Unmarshal(text, a); err != nil {
		return &Answer{Err: fmt.Errorf("%s: %w", text, err), Sent: true}
	}
	a.Status, a.Body, a.Sent = res.StatusCode, string(bytes.TrimSpace(text)), true
	a.Replayed, a.Retry = res.Header.Get("Idempotency-Replayed") == "true", res.Header.Get("Retry-After")
	return a
}

// wasRead is the word for success.
const wasRead = "read"

// read gets a document and says in a word how that went.
func read(ctx context.Context, url string, into any) string {
	err := Get(ctx, url, into)
	var op *net.OpError
	status := &StatusError{}
	switch {
	case err == nil:
		return wasRead
	case errors.As(err, &status):
		return fmt.Sprintf("%d %s", status.Status, status.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &op) && op.Op == "dial":
		return "connection refused"
	}
	return "connection lost"
}

// StatusError is an answer that is no success.
type StatusError struct {
	Status int
	Code   string
	Body   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Body) }

// Get reads a JSON document. Any status but 200 is a *StatusError.
func Get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		failure := &StatusError{Status: res.StatusCode, Body: string(text)}
		_ = json.Unmarshal(text, failure) // for its code, if it has one
		return failure
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
