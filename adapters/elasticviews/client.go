package elasticviews

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/go-json-experiment/json"

	"daybook/core/ports"
)

// client asks the server, again where that can help.
type client struct {
	transport *elastictransport.Client
	hosts     string          // for words
	life      context.Context // ends with Close
	end       func()
}

// connect prepares the client; it sends nothing.
func (c *client) connect(o *Options) error {
	urls, hosts, err := parseURLs(o.URL)
	if err != nil {
		return err
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport()
	}
	c.hosts = hosts
	c.transport, err = elastictransport.NewClient( // without retries: they are made in ask, with a pause between
		elastictransport.WithURLs(urls...), elastictransport.WithAPIKey(o.APIKey),
		elastictransport.WithTransport(transport), elastictransport.WithDisableRetry(),
	)
	if err != nil {
		return errOptions.Because(err)
	}
	life, end := context.WithCancel(context.Background())
	c.life = life
	c.end = func() {
		end()
		if t, ok := transport.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
	return nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConnsPerHost:   64, // readers wait by asking for the progress again and again
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// parseURLs gives the URLs, and the hosts alone: words that anybody may see must not hold a password.
func parseURLs(list string) (urls []*url.URL, hosts string, err error) {
	for one := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, "", errOptions.Say("URL %d of Elasticsearch must look like https://host:9200, or with user:password@ before the host.", len(urls)+1)
		}
		u.Path = strings.TrimSuffix(u.Path, "/")
		urls = append(urls, u)
		hosts += ", " + u.Host
	}
	return urls, hosts[2:], nil
}

// patience is how long an answer is waited for, and how often one that may be another the next time is asked for.
type patience struct {
	timeout  time.Duration // of one attempt; one that ran out is not repeated
	attempts int
}

// The patience of readers, who can be told to come again, and of a writer, who would have to do all its work again.
func ofReader() patience { return patience{timeout: 10 * time.Second, attempts: 3} }
func ofWriter() patience { return patience{timeout: 30 * time.Second, attempts: 8} }

// backoff is the pause after so many attempts: longer each time, and never the same for two.
func backoff(attempts int) time.Duration {
	longest := min(50*time.Millisecond<<min(attempts, 10), 5*time.Second)
	return longest/2 + rand.N(longest/2) //nolint:gosec // G404: it need not be a secret
}

func (c *client) pause(ctx context.Context, attempts int) error {
	timer := time.NewTimer(backoff(attempts))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.life.Done():
		return c.unavailable(errors.New("closed"))
	}
}

// answer is what the server said; its status is neither a success always nor one that an attempt more can mend.
type answer struct {
	status int
	body   []byte
}

// ask sends a request, made anew for each attempt, until it is answered. All requests can be repeated: those that were
// carried out although no answer came are recognised by the caller. It fails with ErrViewUnavailable or the context's error.
func (c *client) ask(ctx context.Context, p patience, request func() esapi.Request) (answer, error) {
	for attempt := 0; ; attempt++ {
		a, err := c.once(ctx, p.timeout, request())
		if err == nil && !passing(a.status) {
			return a, nil
		}
		if ctx.Err() != nil {
			return answer{}, ctx.Err()
		}
		if err == nil {
			err = fmt.Errorf("status %d: %s", a.status, a.reason())
		}
		if attempt+1 >= p.attempts || errors.Is(err, context.DeadlineExceeded) || c.life.Err() != nil {
			return answer{}, c.unavailable(err)
		}
		if err := c.pause(ctx, attempt); err != nil {
			return answer{}, err
		}
	}
}

// passing reports whether a status is likely to be another one soon.
func passing(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (c *client) once(ctx context.Context, timeout time.Duration, request esapi.Request) (answer, error) {
	if err := c.life.Err(); err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	res, err := request.Do(ctx, c.transport)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a := answer{status: res.StatusCode, body: body}
	switch {
	case err != nil:
		return answer{}, err
	case passing(a.status):
		return a, nil
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return answer{}, fmt.Errorf("the credentials were refused with status %d: %s", a.status, a.reason())
	case res.Header.Get("X-Elastic-Product") != "Elasticsearch": // so that no proxy's 404 is taken for a deleted index
		return answer{}, fmt.Errorf("what answers with status %d is not Elasticsearch", a.status)
	}
	return a, nil
}

// unavailable says what could not be reached, in the log.
func (c *client) unavailable(err error) error {
	return ports.ErrViewUnavailable.Because(fmt.Errorf("elasticsearch at %s: %w", c.hosts, err))
}

// failure is how Elasticsearch says that it did not do something.
type failure struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

func (f failure) String() string {
	const room = 500
	if len(f.Reason) > room {
		f.Reason = f.Reason[:room] + "…"
	}
	return f.Type + ": " + f.Reason
}

const (
	noSuchIndex   = "index_not_found_exception"
	alreadyExists = "resource_already_exists_exception"
)

// reason is the failure of an answer.
func (a answer) reason() failure {
	var said struct {
		Error failure `json:"error"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil || said.Error.Type == "" {
		return failure{Type: "unknown", Reason: string(a.body)}
	}
	return said.Error
}

// into reads the answer to a request that succeeded; else it is the fault to give.
func (a answer) into(what string, said any) error {
	if a.status/100 != 2 {
		return errRefused.Because(fmt.Errorf("elasticviews: %s: status %d: %s", what, a.status, a.reason()))
	}
	if said == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, said); err != nil {
		return errRefused.Because(fmt.Errorf("elasticviews: %s: the answer cannot be read: %w", what, err))
	}
	return nil
}
