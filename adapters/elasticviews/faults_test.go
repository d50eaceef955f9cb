package elasticviews_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"daybook/adapters/elasticviews"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// tripper answers requests in place of the server, or lets it answer.
type tripper func(req *http.Request) (*http.Response, error)

func (f tripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answering is an answer that the server might give.
func answering(status int, body string) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}, "X-Elastic-Product": {"Elasticsearch"}}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// server passes requests on.
func server(t *testing.T) *http.Transport {
	s := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(s.CloseIdleConnections)
	return s
}

// through gives views whose requests pass through trip.
func through(t *testing.T, trip tripper) (*elasticviews.Views, *es.View) {
	t.Helper()
	o := options(t, newRegistry(t))
	o.Transport = trip
	return open(t, o), &o.Registry.Module(accounts).View
}

var errCut = errors.New("read: connection reset by peer")

// ways in which one attempt can fail, and the next succeed.
func ways(s http.RoundTripper) map[string]tripper {
	return map[string]tripper{
		"the connection is cut before the request is read": func(*http.Request) (*http.Response, error) { return nil, errCut },
		"the connection is cut before the answer": func(req *http.Request) (*http.Response, error) {
			res, err := s.RoundTrip(req)
			if err == nil {
				err = errors.Join(errCut, res.Body.Close())
			}
			return nil, err
		},
		"the connection is cut inside the answer": func(req *http.Request) (*http.Response, error) {
			res, err := s.RoundTrip(req)
			if err == nil {
				whole, err := io.ReadAll(res.Body)
				res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), tornReader{}))
				return res, errors.Join(err)
			}
			return res, err
		},
		"the server is busy": func(*http.Request) (*http.Response, error) {
			return answering(429, `{"error":{"type":"es_rejected_execution_exception","reason":"full"},"status":429}`)
		},
		"the server starts": func(*http.Request) (*http.Response, error) {
			return answering(503, `{"error":{"type":"cluster_block_exception","reason":"not recovered"},"status":503}`)
		},
		"a proxy cannot reach the server": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 502, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<h1>Bad gateway</h1>"))}, nil
		},
	}
}

type tornReader struct{}

func (tornReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestEveryRequestMayFailOnceAndEverythingIsDoneOnce(t *testing.T) {
	for name, fail := range ways(server(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, n := server(t), 0
			v, view := through(t, func(req *http.Request) (*http.Response, error) {
				if n++; n%2 == 1 {
					return fail(req)
				}
				return s.RoundTrip(req)
			})
			for token := range ports.Token(2) {
				must(t, v.Reset(t.Context(), token))
				must(t, v.Write(t.Context(), token, []ports.Change{change(view, 1, 1), change(view, 2, 1)}, 0, 2, es.Hash{}))
				must(t, v.Open(t.Context(), token))
				must(t, v.Write(t.Context(), token, []ports.Change{change(view, 1, 2), change(view, 3, 1)}, 2, 5, es.Hash{}))
				shows(t, v, 5, 2, 1, 1)
			}
		})
	}
}

// shows checks which versions the first accounts have, in a list and one by one.
func shows(t *testing.T, v ports.Views, at es.Position, versions ...es.Version) {
	t.Helper()
	page, err := v.List(t.Context(), accounts, ports.Query{Limit: 1000})
	must(t, err)
	if len(page.Documents) != len(versions) || page.At != at {
		t.Fatalf("there are %d documents at %d, want %d at %d", len(page.Documents), page.At, len(versions), at)
	}
	for i, d := range page.Documents {
		if i%max(1, len(versions)/20) != 0 {
			continue
		}
		one, readAt, err := v.Get(t.Context(), accounts, d.ID)
		must(t, err)
		if d.Version != versions[i] || one.Version != versions[i] || readAt != at {
			t.Errorf("%s has version %d in the list and %d at %d, want %d", d.ID, d.Version, one.Version, readAt, versions[i])
		}
	}
	if p, err := v.Progress(t.Context()); err != nil || p.Checkpoint != at || !p.Open || p.Beside != 0 {
		t.Errorf("the progress is %+v, %v", p, err)
	}
}

// picky answers bulks of which it passes on only the items that take says 0 for; the others get the status it says.
func picky(s http.RoundTripper, take func(item int, id string) int) tripper {
	return func(req *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(req.URL.Path, "/_bulk") {
			return s.RoundTrip(req)
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		lines := strings.SplitAfter(strings.TrimSuffix(string(body), "\n"), "\n")
		taken, items := "", []string{}
		for i := 0; i+1 < len(lines); i += 2 {
			status := take(i/2, strings.Split(lines[i], `"`)[5])
			if status == 0 {
				taken, status = taken+lines[i]+strings.TrimSuffix(lines[i+1], "\n")+"\n", 200
			}
			item := fmt.Sprintf(`{"index":{"status":%d}}`, status)
			if status != 200 {
				item = fmt.Sprintf(`{"index":{"status":%d,"error":{"type":"a_reason","reason":"for %d"}}}`, status, status)
			}
			items = append(items, item)
		}
		if taken != "" {
			passed := req.Clone(req.Context())
			passed.Body, passed.ContentLength = io.NopCloser(strings.NewReader(taken)), int64(len(taken))
			res, err := s.RoundTrip(passed)
			if err != nil {
				return nil, err
			}
			answer, err := io.ReadAll(res.Body)
			if err := errors.Join(err, res.Body.Close()); err != nil || !bytes.HasPrefix(answer, []byte(`{"errors":false,`)) {
				return nil, fmt.Errorf("the bulk was answered with %s, %w", answer, err)
			}
		}
		return answering(200, `{"errors":true,"items":[`+strings.Join(items, ",")+`]}`)
	}
}

func TestOfABulkOnlyWhatWasNotTakenIsSentAgain(t *testing.T) {
	t.Parallel()
	tries := map[string]int{}
	v, view := through(t, picky(server(t), func(_ int, id string) int {
		if tries[id]++; tries[id] <= len(id)%3+int(id[len(id)-1]-'0')%3 {
			return []int{429, 503}[tries[id]%2]
		}
		return 0
	}))
	var changes []ports.Change
	var versions []es.Version
	for n := range 30 {
		changes = append(changes, change(view, n, es.Version(n+1)))
		versions = append(versions, es.Version(n+1))
	}
	must(t, v.Open(t.Context(), 1))
	must(t, v.Write(t.Context(), 1, changes, 0, 465, es.Hash{}))
	shows(t, v, 465, versions...)
	for id, n := range tries {
		if want := len(id)%3 + int(id[len(id)-1]-'0')%3 + 1; n != want {
			t.Errorf("%s was sent %d times, want %d", id, n, want)
		}
	}
}

func TestADocumentThatIsRefusedFailsTheWriteWithItsReasonAndTheCheckpointStays(t *testing.T) {
	t.Parallel()
	refused := map[int]struct {
		says string
		kind fault.Kind
	}{
		400: {`document "acc-0000001" was not taken`, fault.Internal},
		404: {"was deleted", fault.Conflict},
		429: {"1 documents of a bulk", fault.Unavailable},
	}
	for status, want := range refused {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			v, view := through(t, picky(server(t), func(_ int, id string) int {
				if id == "acc-0000001" {
					return status
				}
				return 0
			}))
			must(t, v.Open(t.Context(), 1))
			err := v.Write(t.Context(), 1, []ports.Change{change(view, 0, 1), change(view, 1, 1), change(view, 2, 1)}, 0, 3, es.Hash{})
			if fault.KindOf(err) != want.kind || !strings.Contains(err.Error(), want.says) {
				t.Errorf("Write fails with %v", err)
			}
			shows(t, v, 0)
		})
	}
}

func TestADocumentOfALaterVersionInTheWayIsNoFailure(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F33", faulttable.Elasticsearch)
	o := options(t, newRegistry(t))
	view := &o.Registry.Module(accounts).View
	v := open(t, o)
	must(t, v.Open(t.Context(), 1))
	must(t, v.Write(t.Context(), 1, []ports.Change{change(view, 0, 5)}, 0, 5, es.Hash{}))
	must(t, v.Write(t.Context(), 1, []ports.Change{change(view, 0, 4), change(view, 1, 1)}, 5, 6, es.Hash{}))
	shows(t, v, 6, 5, 1)
}

// calls are all methods that need the server.
func calls(ctx context.Context, v ports.Views) map[string]error {
	_, errProgress := v.Progress(ctx)
	_, _, errGet := v.Get(ctx, accounts, "a")
	_, errList := v.List(ctx, accounts, ports.Query{Limit: 1})
	_, _, errParked := v.Parked(ctx, 1)
	return map[string]error{
		"Progress": errProgress, "Get": errGet, "List": errList, "Parked": errParked,
		"Reset": v.Reset(ctx, 1), "Open": v.Open(ctx, 1), "Write": v.Write(ctx, 1, nil, 0, 1, es.Hash{}),
	}
}

func TestWhatIsNotElasticsearchIsUnavailableAndNeverTakenForDeletedViews(t *testing.T) {
	plain := func(status int, body string) tripper {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
		}
	}
	for name, trip := range map[string]tripper{
		"404 of a web server": plain(404, "<h1>Not found</h1>"),
		"200 of a web server": plain(200, "<h1>Welcome</h1>"),
		"refused credentials": func(*http.Request) (*http.Response, error) {
			return answering(401, `{"error":{"type":"security_exception"}}`)
		},
		"a connection that waits": func(req *http.Request) (*http.Response, error) { return nil, waits(req) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := elasticviews.Open(t.Context(), elasticviews.Options{
				URL: "https://elastic:s3cret@search.example:9200", Prefix: "p", Registry: newRegistry(t), Transport: trip,
			})
			must(t, err)
			for call, err := range calls(t.Context(), v) {
				if !errors.Is(err, ports.ErrViewUnavailable) {
					t.Errorf("%s gives %v", call, err)
				}
				if !strings.Contains(err.Error(), "search.example:9200") || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%s must say where it failed, and no password: %v", call, err)
				}
			}
			must(t, v.Close())
		})
	}
}

// waits is what becomes of a request that nobody answers; it needs no time to tell.
func waits(req *http.Request) error {
	deadline, bounded := req.Context().Deadline()
	if !bounded || time.Until(deadline) > 30*time.Second {
		return errors.New("this request would wait for ever")
	}
	return context.DeadlineExceeded
}

func TestACallThatHangsEndsWithItsContextAndWithClose(t *testing.T) {
	for name, want := range map[string]error{"its context": context.Canceled, "Close": ports.ErrViewUnavailable} {
		asked := make(chan bool)
		v, err := elasticviews.Open(t.Context(), elasticviews.Options{
			URL: "http://search.example:9200", Prefix: "p", Registry: newRegistry(t),
			Transport: tripper(func(req *http.Request) (*http.Response, error) {
				close(asked)
				<-req.Context().Done()
				return nil, req.Context().Err()
			}),
		})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan error)
		go func() {
			_, err := v.Progress(ctx)
			answered <- err
		}()
		<-asked
		if name == "Close" {
			must(t, v.Close())
		} else {
			cancel()
		}
		if err := <-answered; !errors.Is(err, want) {
			t.Errorf("ended by %s, the call gives %v", name, err)
		}
		cancel()
		must(t, v.Close())
	}
}

func TestManyWhoAskAtOnceShareARequestThatSetsOutAfterTheyAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests, goOn := 0, make(chan bool)
		v, err := elasticviews.Open(t.Context(), elasticviews.Options{
			URL: "http://search.example:9200", Prefix: "p", Registry: newRegistry(t),
			Transport: tripper(func(*http.Request) (*http.Response, error) {
				requests++
				stored := fmt.Sprintf(`{"found":true,"_source":{"position":%d,"open":true,"generation":7}},{"found":false},{"found":false}`, requests)
				if requests == 1 { // no generation is known yet
					stored = `{"found":true,"_source":{"position":0,"open":true,"generation":7}},{"found":false}`
				}
				<-goOn
				return answering(200, `{"docs":[`+stored+`]}`)
			}),
		})
		must(t, err)
		ask := func(want es.Position) {
			if p, err := v.Progress(t.Context()); err != nil || p.Checkpoint != want {
				t.Errorf("the progress is %+v, %v, want %d", p, err, want)
			}
		}
		go ask(2)
		synctest.Wait()
		for range 50 {
			go ask(3)
		}
		synctest.Wait()
		for range 3 {
			goOn <- true
		}
		synctest.Wait()
		if requests != 3 {
			t.Errorf("there were %d requests, want 3", requests)
		}
		must(t, v.Close())
	})
}

func TestOptionsThatCannotWorkAreRefusedWithoutTheirPassword(t *testing.T) {
	for _, o := range []elasticviews.Options{
		{URL: "", Prefix: "p"},
		{URL: "localhost:9200", Prefix: "p"},
		{URL: "http://elastic:s3cret@%zz:9200", Prefix: "p"},
		{URL: "http://one:9200,ftp://elastic:s3cret@two", Prefix: "p"},
		{URL: "http://one:9200", Prefix: "Upper"},
		{URL: "http://one:9200", Prefix: ""},
	} {
		o.Registry = newRegistry(t)
		if _, err := elasticviews.Open(t.Context(), o); fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
	}
}
