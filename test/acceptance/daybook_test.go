// Package acceptance runs the real program on a free port and looks at it as its users do: through HTTP, messages and the
// command line. It holds tests alone.
package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"daybook/app"
	"daybook/test/servers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// daybook is a running program.
type daybook struct {
	t    *testing.T
	app  *app.App
	url  string
	stop func()
}

// start is begin, and returns when the views are open.
func start(t *testing.T, change func(*app.Config), extra ...app.Extension) *daybook {
	t.Helper()
	d := begin(t, change, extra...)
	d.eventually("/v1/accounts", 200)
	return d
}

// begin runs Daybook until the test ends: in memory unless change says otherwise, with extensions.
func begin(t *testing.T, change func(*app.Config), extra ...app.Extension) *daybook {
	t.Helper()
	c := app.Default()
	c.HTTP.Addr = "127.0.0.1:0"
	c.Store.Driver = "memory"
	if change != nil {
		change(&c)
	}
	a, err := app.New(c, app.Build{Version: "test"}, slog.New(slog.DiscardHandler), extra...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	d := &daybook{t: t, app: a, url: a.URL()}
	d.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopping: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(d.stop)
	return d
}

// inProduction keeps events in PostgreSQL, sends messages through RabbitMQ and has its views in Elasticsearch.
func inProduction(t *testing.T) func(*app.Config) {
	t.Helper()
	database, broker, cluster := servers.PostgresDatabase(t), servers.Rabbit(t), servers.Elastic(t)
	prefix, index := strings.TrimSuffix(servers.RabbitPrefix(t), "."), servers.ElasticPrefix(t)
	return func(c *app.Config) {
		c.Store.Driver, c.Store.Postgres.URL = "postgres", database
		c.Bus.Driver, c.Bus.RabbitMQ.URL, c.Bus.RabbitMQ.Prefix = "rabbitmq", broker, prefix
		c.Views.Driver, c.Views.Elasticsearch.URL, c.Views.Elasticsearch.Prefix = "elasticsearch", cluster, index
	}
}

// onPebble keeps the events in a folder.
func onPebble(dir string) func(*app.Config) {
	return func(c *app.Config) {
		c.Store.Driver = "pebble"
		c.Store.Pebble.Path = filepath.Join(dir, "store")
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// member gives a member of a JSON answer; "a.0.b" looks deeper.
func (a answer) member(path string) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	for name := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			i, err := json.Number(name).Int64()
			if err != nil || int(i) >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	if n, ok := v.(json.Number); ok {
		i, err := n.Int64()
		if err != nil {
			return n
		}
		return i
	}
	return v
}

func (d *daybook) do(method, path, contentType string, body io.Reader, headers ...string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, body)
	if err != nil {
		d.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, text}
}

func (d *daybook) get(path string, headers ...string) answer {
	d.t.Helper()
	return d.do("GET", path, "", nil, headers...)
}

func (d *daybook) post(path, body string, headers ...string) answer {
	d.t.Helper()
	return d.do("POST", path, "application/json", strings.NewReader(body), headers...)
}

// want demands a status and gives the answer on.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// eventually asks again until the answer has the status.
func (d *daybook) eventually(path string, status int) answer {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	for {
		a := d.get(path)
		if a.status == status {
			return a
		}
		if err := ctx.Err(); err != nil {
			d.t.Fatalf("GET %s: still %d (%s) when %v", path, a.status, a.body, errors.Unwrap(err))
		}
	}
}
