package promobserver

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"daybook/adapters/memstore"
	"daybook/core/es"
	"daybook/core/ports"
)

var update = flag.Bool("update", false, "rewrite the table of metrics in docs/operations.md")

// parts are a store with three events, views that reflect two of them, and a bus, each of which can be made to fail or hang.
type parts struct {
	store            ports.Store
	viewsErr, busErr error
	hang             bool
	looks            int // at dead letters
}

type itsStore struct {
	ports.Store
	*parts
}

func (s itsStore) Head(ctx context.Context) (es.Position, error) {
	if s.hang {
		<-ctx.Done()
		return 0, ports.ErrStoreUnavailable.Because(ctx.Err())
	}
	return s.Store.Head(ctx)
}

type itsViews struct {
	ports.Views
	*parts
}

func (v itsViews) Progress(context.Context) (ports.Progress, error) {
	return ports.Progress{Checkpoint: 2, Open: true}, v.viewsErr
}

func (itsViews) Parked(context.Context, int) ([]ports.ParkedDocument, int, error) { return nil, 5, nil }

type itsBus struct {
	ports.Bus
	*parts
}

func (b itsBus) Healthy() error { return b.busErr }

func (b itsBus) DeadMessages(context.Context, string, int) ([]ports.Message, error) {
	b.looks++
	return make([]ports.Message, 4), nil
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newParts(tb testing.TB) *parts {
	tb.Helper()
	p := &parts{store: memstore.New()}
	for i := range 3 {
		draft := es.Recorded{Type: "Opened", Schema: 1, Data: []byte(`{}`), Metadata: []byte(`{"principal":"local"}`)}
		if _, err := ports.Append(tb.Context(), p.store, noon.Add(time.Duration(i)*time.Second), "acc-1", es.Version(i), draft); err != nil {
			tb.Fatal(err)
		}
	}
	if err := p.store.SaveCheckpoint(tb.Context(), "relay:events", 0, 1); err != nil {
		tb.Fatal(err)
	}
	return p
}

// standingOf asks the parts ten seconds after the first event.
func standingOf(p *parts) Standing {
	return Standing{Store: itsStore{p.store, p}, Views: itsViews{nil, p}, Bus: itsBus{nil, p}, Relay: "relay:events", Dead: []string{"commands"},
		Queued: func() int { return 7 }, Now: func() time.Time { return noon.Add(10 * time.Second) }, Within: 20 * time.Millisecond}
}

// all is a registry of all metrics, each of which has a value.
func all(t *testing.T) (*prometheus.Registry, *Observer) {
	t.Helper()
	r := prometheus.NewRegistry()
	o := New(r, map[string][]string{"accounts": {"deposit"}})
	o.Decided(ports.Decision{Module: "accounts", Command: "deposit", Err: ports.ErrStoreFull})
	o.Decided(ports.Decision{Module: "accounts", Command: "deposit", Replayed: true, Took: time.Millisecond})
	o.Decided(ports.Decision{Module: "accounts", Command: "an invented one"})
	o.Committed(ports.Commit{Commands: 1, Began: noon, Locked: noon.Add(time.Second), Decided: noon.Add(3 * time.Second), Ended: noon.Add(7 * time.Second)})
	o.Relayed(ports.Passage{Began: noon, Ended: noon.Add(time.Second)})
	o.Projected(ports.Passage{Began: noon, Ended: noon.Add(time.Second)}, 3)
	o.Failed("relay to events", ports.ErrBusUnavailable)
	o.Parked("accounts", "acc-1", errors.New("damaged"))
	o.Led("views", 1, true)
	server := NewRequests(r).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("BREW", "/", nil))
	standingOf(newParts(t)).Register(r)
	RegisterBuild(r, "1.2.3", "abc", "go1.26")
	RegisterCertificate(r, func() time.Time { return noon })
	return r, o
}

func values(t *testing.T, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			switch f.GetType() {
			case dto.MetricType_HISTOGRAM:
				found[name] = m.GetHistogram().GetSampleSum()
			case dto.MetricType_COUNTER:
				found[name] = m.GetCounter().GetValue()
			default:
				found[name] = m.GetGauge().GetValue()
			}
		}
	}
	return found
}

func demand(t *testing.T, r prometheus.Gatherer, want map[string]float64) {
	t.Helper()
	got := values(t, r)
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s is %v (there: %v), want %v", name, v, ok, value)
		}
	}
}

func TestTheMetricsSayWhatHappenedAndHowFarEverythingIs(t *testing.T) {
	r, o := all(t)
	demand(t, r, map[string]float64{
		"daybook_commands_total deposit accounts ok": 1, "daybook_commands_total deposit accounts unavailable": 1, "daybook_commands_replayed_total": 1,
		"daybook_faults_total store_full": 1, "daybook_faults_total bus_unavailable": 1, "daybook_background_failures_total relay to events": 1,
		"daybook_batch_seconds": 7, "daybook_batch_phase_seconds begin": 1, "daybook_batch_phase_seconds decide": 2, "daybook_batch_phase_seconds commit": 4,
		"daybook_relay_seconds": 1, "daybook_projection_seconds": 1, "daybook_lease_held views": 1, "daybook_views_parked_total": 1,
		"daybook_http_requests_total other none 200": 1,
		"daybook_store_position":                     3, "daybook_relay_position": 1, "daybook_relay_lag_events": 2, "daybook_relay_lag_seconds": 9,
		"daybook_views_position": 2, "daybook_views_lag_events": 1, "daybook_views_lag_seconds": 8, "daybook_views_open": 1, "daybook_views_parked": 5,
		"daybook_views_progress_ratio": 2. / 3, "daybook_dead_letters commands": 4, "daybook_commands_queued": 7, "daybook_build_info go1.26 abc 1.2.3": 1,
	})
	o.Led("views", 2, false)
	demand(t, r, map[string]float64{"daybook_lease_held views": 0})
}

func TestAPartThatIsDownOrSilentDoesNotHideTheOthers(t *testing.T) {
	for name, c := range map[string]struct {
		hurt   func(*parts)
		down   string
		absent []string
		there  []string
	}{
		"a store that does not answer": {func(p *parts) { p.hang = true }, "store",
			[]string{"daybook_store_position", "daybook_views_lag_events"}, []string{"daybook_views_position", "daybook_dead_letters commands"}},
		"views that are down": {func(p *parts) { p.viewsErr = ports.ErrViewUnavailable }, "views",
			[]string{"daybook_views_position", "daybook_views_open"}, []string{"daybook_store_position", "daybook_relay_lag_events", "daybook_dead_letters commands"}},
		"a bus that is down": {func(p *parts) { p.busErr = ports.ErrBusUnavailable }, "bus",
			[]string{"daybook_dead_letters commands"}, []string{"daybook_store_position", "daybook_views_lag_seconds"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParts(t)
			c.hurt(p)
			r := prometheus.NewRegistry()
			standingOf(p).Register(r)
			got := values(t, r)
			for _, part := range []string{"store", "views", "bus"} {
				if got["daybook_dependency_up "+part] != truth(part != c.down) {
					t.Errorf("%s: up is %v", part, got["daybook_dependency_up "+part])
				}
			}
			for _, metric := range c.absent {
				if v, ok := got[metric]; ok {
					t.Errorf("%s is told, %v, though nobody can know it", metric, v)
				}
			}
			for _, metric := range c.there {
				if _, ok := got[metric]; !ok {
					t.Errorf("%s is missing", metric)
				}
			}
		})
	}
}

func TestDeadLettersAreNotLookedAtOnEveryScrape(t *testing.T) {
	p, now := newParts(t), noon
	s := standingOf(p)
	s.Now = func() time.Time { return now }
	r := prometheus.NewRegistry()
	s.Register(r)
	for range 3 {
		demand(t, r, map[string]float64{"daybook_dead_letters commands": 4})
	}
	now = now.Add(deadKept)
	demand(t, r, map[string]float64{"daybook_dead_letters commands": 4})
	if p.looks != 2 {
		t.Errorf("they were looked at %d times", p.looks)
	}
}

func TestRequestsAreCountedByTheirRoute(t *testing.T) {
	r := prometheus.NewRegistry()
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/accounts/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNotFound)
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		panic(http.ErrAbortHandler)
	})
	server := httptest.NewServer(NewRequests(r).Handler(mux))
	for _, path := range []string{"/v1/accounts/acc-1", "/v1/accounts/acc-2", "/cut"} {
		if answer, err := server.Client().Get(server.URL + path); err == nil {
			_ = answer.Body.Close()
		}
	}
	server.Close()
	demand(t, r, map[string]float64{"daybook_http_requests_total GET /v1/accounts/{id} 404": 2, "daybook_http_requests_total GET /cut cut": 1})
}

// TestTheOperatorsGuideListsTheMetrics holds the names and help texts, which dashboards rely on, against those of the code.
func TestTheOperatorsGuideListsTheMetrics(t *testing.T) {
	r, _ := all(t)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	names := map[string]bool{}
	lines := []string{"| metric | kind | labels | what |", "|---|---|---|---|"}
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		names[f.GetName()] = true
		lines = append(lines, fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, " "), f.GetHelp()))
	}
	const path, mark = "../../docs/operations.md", "<!-- metrics -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), mark)
	if !ok {
		t.Fatalf("there is no %q in %s", mark, path)
	}
	table, after, _ := strings.Cut(rest, "\n\n")
	if want := strings.Join(lines, "\n"); table != want {
		if !*update {
			t.Fatalf("the table of metrics in %s is not that of the code; go test ./adapters/promobserver -update rewrites it. It should be\n%s", path, want)
		}
		if err := os.WriteFile(path, []byte(before+mark+want+"\n\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"operations.md", "alerts.yaml", "dashboard.json"} {
		text, err := os.ReadFile(filepath.Join("../../docs", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, metric := range regexp.MustCompile(`\bdaybook_[a-z_]+`).FindAllString(string(text), -1) {
			base := metric
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !names[metric] && !names[base] {
				t.Errorf("docs/%s speaks of %s, which there is not", name, metric)
			}
		}
	}
}

func TestEveryAlertHasItsRunbook(t *testing.T) {
	rules, err := os.ReadFile("../../docs/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	if len(alerts) == 0 {
		t.Error("there are no alerts")
	}
	for _, alert := range alerts {
		if !strings.Contains(string(guide), "**"+alert[1]+"**") {
			t.Errorf("docs/operations.md does not say what to do about %s", alert[1])
		}
	}
}
