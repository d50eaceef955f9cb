package apiclient_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/goleak"

	"daybook/adapters/apiclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const generous = 30 * time.Second

// serve starts a server with one handler and gives a client of it.
func serve(t *testing.T, patience time.Duration, handler http.HandlerFunc) *apiclient.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return dial(t, server.URL, patience)
}

func dial(t *testing.T, url string, patience time.Duration) *apiclient.Client {
	t.Helper()
	c, err := apiclient.New(apiclient.Options{Server: url, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// duplex answers each line of a stream with what answer gives, as soon as the line is there; "" cuts the connection.
func duplex(answer func(line string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			text := answer(lines.Text())
			if text == "" {
				if conn, _, err := rc.Hijack(); err == nil {
					_ = conn.Close()
				}
				return
			}
			_, _ = io.WriteString(w, text+"\n")
			_ = rc.Flush()
		}
	}
}

// refuseStream answers a stream without reading it. Without full duplex net/http would first wait for more of the body.
func refuseStream(w http.ResponseWriter, status int, problem string) {
	_ = http.NewResponseController(w).EnableFullDuplex()
	w.WriteHeader(status)
	_, _ = io.WriteString(w, problem)
}

func done(id string) string { return fmt.Sprintf(`{"id":%q,"status":200,"position":1}`, id) }

// exchange sends n lines, whose text is their id, and gives what was answered to which.
func exchange(t *testing.T, c *apiclient.Client, n int, end error) (took []string, err error) {
	t.Helper()
	sent := 0
	x := apiclient.Exchange[int]{
		Client: c, Window: 8,
		Next: func(context.Context) (apiclient.Line[int], error) {
			if sent == n {
				return apiclient.Line[int]{}, end
			}
			sent++
			id := fmt.Sprint("id-", sent)
			return apiclient.Line[int]{ID: id, JSON: []byte(id), What: sent}, nil
		},
		Took: func(what int, a apiclient.Answer) {
			took = append(took, fmt.Sprintf("%d:%d", what, a.Status))
		},
	}
	err = x.Run(t.Context())
	return took, err
}

func all(n int) []string {
	want := make([]string, n)
	for i := range want {
		want[i] = fmt.Sprintf("%d:200", i+1)
	}
	return want
}

func TestExchange(t *testing.T) {
	t.Run("every line is answered once, in order, while others are still sent", func(t *testing.T) {
		took, err := exchange(t, serve(t, generous, duplex(done)), 2000, io.EOF)
		if err != nil || !slices.Equal(took, all(2000)) {
			t.Fatalf("%v; %d answers", err, len(took))
		}
	})

	t.Run("a connection that breaks anywhere loses no line and answers none twice", func(t *testing.T) {
		for _, lifetime := range []int{1, 2, 7, 8, 9, 15} {
			n := 0
			took, err := exchange(t, serve(t, generous, duplex(func(line string) string {
				if n++; n%(lifetime+1) == 0 {
					return ""
				}
				return done(line)
			})), 20, io.EOF)
			if err != nil || !slices.Equal(took, all(20)) {
				t.Fatalf("broken after every %d lines: %v; %v", lifetime, err, took)
			}
		}
	})

	t.Run("a busy server and a line it could not decide are asked again", func(t *testing.T) {
		var mu sync.Mutex
		refusals := 3
		refuse := func() bool {
			mu.Lock()
			defer mu.Unlock()
			refusals--
			return refusals >= 0
		}
		stream := duplex(func(line string) string {
			if line == "id-5" && refuse() {
				return `{"id":"id-5","status":503,"error":{"code":"store_unavailable"}}`
			}
			return done(line)
		})
		took, err := exchange(t, serve(t, generous, func(w http.ResponseWriter, r *http.Request) {
			if refuse() {
				refuseStream(w, http.StatusServiceUnavailable, `{"code":"queue_full"}`)
				return
			}
			stream(w, r)
		}), 20, io.EOF)
		if err != nil || !slices.Equal(took, all(20)) {
			t.Fatalf("%v; %v", err, took)
		}
	})

	t.Run("lines before the source breaks off are all answered, and its error comes after", func(t *testing.T) {
		broken := errors.New("the disk is gone")
		took, err := exchange(t, serve(t, generous, duplex(done)), 30, broken)
		if !errors.Is(err, broken) || !slices.Equal(took, all(30)) {
			t.Fatalf("%v; %v", err, took)
		}
	})

	t.Run("a stream that the server cuts because it was idle goes on with the next line", func(t *testing.T) {
		n := 0
		took, err := exchange(t, serve(t, generous, duplex(func(line string) string {
			if n++; n == 10 {
				return `{"line":10,"status":408,"error":{"status":408,"code":"request_timeout"}}`
			}
			return done(line)
		})), 20, io.EOF)
		if err != nil || !slices.Equal(took, all(20)) {
			t.Fatalf("%v; %v", err, took)
		}
	})

	t.Run("a refusal of the stream as a whole ends it at once", func(t *testing.T) {
		_, err := exchange(t, serve(t, generous, func(w http.ResponseWriter, _ *http.Request) {
			refuseStream(w, http.StatusUnauthorized, `{"code":"no_credential","detail":"Say who you are."}`)
		}), 30, io.EOF)
		var p *apiclient.Problem
		if !errors.As(err, &p) || p.Status != 401 || p.Error() != "Say who you are. (no_credential)" {
			t.Fatal(err)
		}
	})

	t.Run("answers that do not belong to the lines sent end it", func(t *testing.T) {
		took, err := exchange(t, serve(t, generous, duplex(func(string) string { return done("id-77") })), 30, io.EOF)
		if err == nil || !strings.Contains(err.Error(), `answers the command "id-77"`) || len(took) > 0 {
			t.Fatal(err, took)
		}
	})

	t.Run("a server that takes lines and never answers is given up", func(t *testing.T) {
		_, err := exchange(t, serve(t, 50*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}), 30, io.EOF)
		var u *apiclient.Unreachable
		if !errors.As(err, &u) || !strings.Contains(err.Error(), "does not answer in time") {
			t.Fatal(err)
		}
	})

	t.Run("where nobody listens it does not wait", func(t *testing.T) {
		_, err := exchange(t, dial(t, "http://127.0.0.1:1", generous), 30, io.EOF)
		var u *apiclient.Unreachable
		if !errors.As(err, &u) || !strings.Contains(err.Error(), "http://127.0.0.1:1") {
			t.Fatal(err)
		}
	})
}

func TestItems(t *testing.T) {
	t.Run("goes on at the cursor until there is no next page, also past an empty one", func(t *testing.T) {
		c := serve(t, generous, func(w http.ResponseWriter, r *http.Request) {
			switch asked := r.URL.RawQuery; asked {
			case "after=7&limit=2":
				_, _ = io.WriteString(w, `{"items":[1,2],"next":"20"}`)
			case "cursor=20&limit=2":
				_, _ = io.WriteString(w, `{"items":[],"next":"30"}`)
			case "cursor=30&limit=2":
				_, _ = io.WriteString(w, `{"items":[3]}`)
			default:
				t.Errorf("asked for %q", asked)
			}
		})
		var got []string
		err := c.Items(t.Context(), "/v1/events", url.Values{"after": {"7"}, "limit": {"2"}},
			func(item jsontext.Value) bool { got = append(got, string(item)); return true })
		if err != nil || strings.Join(got, " ") != "1 2 3" {
			t.Fatal(got, err)
		}
	})
}

func TestFollow(t *testing.T) {
	t.Run("resumes after the last event when the connection breaks", func(t *testing.T) {
		connections := 0
		c := serve(t, generous, func(w http.ResponseWriter, r *http.Request) {
			connections++
			asked := r.URL.Query().Get("after") + "/" + r.Header.Get("Last-Event-ID")
			w.Header().Set("Content-Type", "text/event-stream")
			switch connections {
			case 1:
				if asked != "3/" {
					t.Errorf("first asked for %q", asked)
				}
				_, _ = io.WriteString(w, "retry: 1\n\n: heartbeat\n\nid: 4\ndata: {\"position\":4}\n\nid: 5\ndata: {\"posi")
			case 2:
				if asked != "/4" {
					t.Errorf("then asked for %q", asked)
				}
				_, _ = io.WriteString(w, "id:5\r\ndata:{\"position\":5}\r\n\r\n")
			default:
				w.WriteHeader(http.StatusGone)
			}
		})
		var got []string
		err := c.Follow(t.Context(), url.Values{}, "3", func(e jsontext.Value) error { got = append(got, string(e)); return nil }, nil)
		var p *apiclient.Problem
		if !errors.As(err, &p) || p.Status != http.StatusGone || strings.Join(got, " ") != `{"position":4} {"position":5}` {
			t.Fatal(got, err)
		}
	})
}

func TestAKeyInTheClearGoesToNoOtherMachineUnlessItIsSaid(t *testing.T) {
	for _, c := range []struct {
		server string
		clear  bool // by its own
	}{
		{"http://ledger.example.com", true}, {"http://192.0.2.7:8080", true}, {"http://localhost.example.com:8080", true}, {"http://[2001:db8::1]", true}, {"http://0.0.0.0:8080", true},
		{"https://ledger.example.com", false}, {"http://localhost:8080", false}, {"http://127.0.0.1:8080", false}, {"http://[::1]:8080", false},
	} {
		for _, o := range []apiclient.Options{{Server: c.server}, {Server: c.server, Key: "dbk_a_b"}, {Server: c.server, Key: "dbk_a_b", SendKeyInClear: true}} {
			client, err := apiclient.New(o)
			if refused := errors.Is(err, apiclient.ErrKeyInClear); refused != (c.clear && o.Key != "" && !o.SendKeyInClear) || !refused && err != nil {
				t.Errorf("%+v: %v", o, err)
			}
			if err == nil {
				client.Close()
			}
		}
	}
}

func TestARedirectIsNotFollowedWithTheKey(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it was sent %v", r.Header) }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c, err := apiclient.New(apiclient.Options{Server: server.URL, Key: "dbk_a_b", Reason: "why", Patience: generous})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var problem *apiclient.Problem
	if _, err := c.Get(t.Context(), "/v1/status", nil); !errors.As(err, &problem) || problem.Status != http.StatusTemporaryRedirect {
		t.Errorf("got %v", err)
	}
}

func TestTheServerIsToldWhy(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%q", r.Header.Get("Audit-Reason"))
	}))
	defer server.Close()
	c, err := apiclient.New(apiclient.Options{Server: server.URL, Reason: "Fall 17, Köln", Patience: generous})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := c.Get(t.Context(), "/", nil); err != nil || string(got) != `"Fall 17, Köln"` {
		t.Errorf("got %s, %v", got, err)
	}
}
