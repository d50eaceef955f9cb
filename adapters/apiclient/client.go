// Package apiclient speaks to a running Daybook over its HTTP API: queries, lists, the two-way stream of commands and the
// live feed. It knows paths, problems and when a retry is safe. What may not live here: files, flags, a terminal.
package apiclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Client speaks to one server. It may be used by many goroutines at once.
type Client struct {
	base     *url.URL
	http     *http.Client
	patience time.Duration
	key      string // "": none
	reason   string // "": none
}

// Options say whom a client speaks to and as whom.
type Options struct {
	Server string // a URL such as http://127.0.0.1:8080
	Key    string // the API key or token that it shows; "" is none
	Reason string // why, for the audit log of the server; "" is none
	// Patience is how long a call, or a stream that does not get on, waits for the server before it gives up with Unreachable.
	Patience time.Duration
	// SendKeyInClear lets the key go to another machine by plain HTTP, where whoever listens learns it.
	SendKeyInClear bool
	TLS            *tls.Config // nil: the server must be vouched for by the system's authorities
}

// ErrKeyInClear: the key would cross the network in the clear.
var ErrKeyInClear = errors.New("the key would cross the network in the clear")

// New makes a client. Its error says what is wrong with the options, and is ErrKeyInClear for a key that others could read on its way.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the server %q is not a URL like http://127.0.0.1:8080", o.Server)
	}
	if o.Key != "" && u.Scheme == "http" && !loopback(u.Hostname()) && !o.SendKeyInClear {
		return nil, fmt.Errorf("%w to %s: use https", ErrKeyInClear, u.Host)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // the stream must not be held back by a decompressor
	if o.TLS != nil {
		transport.TLSClientConfig = o.TLS
	}
	return &Client{base: u, http: &http.Client{Transport: transport, CheckRedirect: stay}, patience: o.Patience, key: o.Key, reason: o.Reason}, nil
}

// stay follows no redirect: Daybook sends none, and the key is for the server that was named.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Server is where the client speaks to.
func (c *Client) Server() string { return c.base.String() }

// Close gives back idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Problem is an error that the server answered with (RFC 9457).
type Problem struct {
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	RequestID string `json:"requestId"`
	Errors    []struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	} `json:"errors"`
	RetryAfter time.Duration `json:"-"`
}

// Error is what is wrong, in the server's words, with the fields concerned and the code.
func (p *Problem) Error() string {
	var s strings.Builder
	switch {
	case p.Detail != "":
		s.WriteString(p.Detail)
	case p.Title != "":
		s.WriteString(p.Title)
	default:
		fmt.Fprintf(&s, "the server answered %d %s", p.Status, http.StatusText(p.Status))
	}
	for _, e := range p.Errors {
		if !strings.Contains(p.Detail, e.Detail) { // one field alone is often what the sentence is about
			fmt.Fprintf(&s, " %s: %s", e.Pointer, e.Detail)
		}
	}
	if p.Code != "" {
		fmt.Fprintf(&s, " (%s)", p.Code)
	}
	if p.Status >= 500 && p.RequestID != "" {
		fmt.Fprintf(&s, " [request %s]", p.RequestID)
	}
	return strings.ReplaceAll(s.String(), "\n", `\n`) // it is one sentence, whatever the server has put into it
}

// transient reports whether the same request may succeed a little later, and is safe to send again by its id.
func (p *Problem) transient() bool { return p.Status == http.StatusTooManyRequests || p.Status >= 500 }

// ofStream reports whether it says that the stream itself broke off, rather than what is wrong with one of its lines.
func (p *Problem) ofStream() bool {
	return p.Status == http.StatusRequestTimeout || p.Code == "body_incomplete"
}

// Unreachable is the error when the server cannot be reached, breaks off, or does not answer in time.
type Unreachable struct {
	Server string
	Cause  error
}

func (u *Unreachable) Error() string {
	return fmt.Sprintf("cannot reach Daybook at %s: %v; is it running there? (start it with: daybook serve)", u.Server, plain(u.Cause))
}

// Unwrap gives the cause.
func (u *Unreachable) Unwrap() error { return u.Cause }

// plain takes the method and the URL, which the sentence around it has already, off a client's error.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it does not answer in time")
	}
	return err
}

// Segment is a name, such as an id, as one segment of a path. Dots alone are escaped too, since whoever passes the request on may take
// them for a way up.
func Segment(name string) string {
	if name == "." || name == ".." {
		return strings.Repeat("%2E", len(name))
	}
	return url.PathEscape(name)
}

// Get asks for one document and gives it as the server wrote it. Names in the path, here and elsewhere, are made by Segment.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (jsontext.Value, error) {
	return c.call(ctx, http.MethodGet, path, query)
}

// Post sends a request without a body and gives the answer's document.
func (c *Client) Post(ctx context.Context, path string, query url.Values) (jsontext.Value, error) {
	return c.call(ctx, http.MethodPost, path, query)
}

// Text asks for a document that is plain text.
func (c *Client) Text(ctx context.Context, path string) (string, error) {
	within, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	resp, err := c.do(within, http.MethodGet, path, nil, nil, nil)
	if err != nil {
		return "", err
	}
	defer drain(resp)
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// PostJSON sends a document and gives the answer's.
func (c *Client) PostJSON(ctx context.Context, path string, document jsontext.Value) (jsontext.Value, error) {
	return c.send(ctx, http.MethodPost, path, nil, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(document))
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values) (jsontext.Value, error) {
	return c.send(ctx, method, path, query, nil, nil)
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, header http.Header, document io.Reader) (jsontext.Value, error) {
	within, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	resp, err := c.do(within, method, path, query, header, document)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &Unreachable{c.Server(), err}
	}
	if !jsontext.Value(body).IsValid() {
		return nil, fmt.Errorf("%s answers with something that is not JSON; is it a Daybook?", c.Server())
	}
	return body, nil
}

// do sends one request; every answer but a success is an error, a *Problem or *Unreachable.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, header http.Header, body io.Reader) (*http.Response, error) {
	u := *c.base
	u.RawPath = u.EscapedPath() + path // or what is escaped in it would be escaped again
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, err
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if c.reason != "" {
		req.Header.Set("Audit-Reason", c.reason)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, &Unreachable{c.Server(), err}
	}
	if resp.StatusCode/100 != 2 {
		defer drain(resp)
		return nil, problemOf(resp)
	}
	return resp, nil
}

func problemOf(resp *http.Response) *Problem {
	p := &Problem{}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil || json.Unmarshal(body, p) != nil {
		p = &Problem{} // some other server, or a proxy, speaks its own language
	}
	p.Status = resp.StatusCode
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	return p
}

// drain reads what is left of a short answer, so that its connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
}

// Items gives a list's items, one page after the other, until the list ends or each answers false.
func (c *Client) Items(ctx context.Context, path string, query url.Values, each func(jsontext.Value) bool) error {
	query = cloned(query)
	for {
		body, err := c.Get(ctx, path, query)
		if err != nil {
			return err
		}
		var page struct {
			Items []jsontext.Value `json:"items"`
			Next  string           `json:"next"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return fmt.Errorf("%s answers %s with something that is not a list: %w", c.Server(), path, err)
		}
		for _, item := range page.Items {
			if !each(item) {
				return nil
			}
		}
		if page.Next == "" {
			return nil
		}
		query.Del("after") // the cursor says where to go on
		query.Set("cursor", page.Next)
	}
}

func cloned(query url.Values) url.Values {
	out := url.Values{}
	for k, v := range query {
		out[k] = append([]string(nil), v...)
	}
	return out
}
