package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// silentStore answers only when it is no longer listened to.
type silentStore struct{ ports.Store }

func (silentStore) Head(ctx context.Context) (es.Position, error) {
	<-ctx.Done()
	return 0, ports.ErrStoreUnavailable.Because(ctx.Err())
}

// lostViews cannot be reached.
type lostViews struct{ ports.Views }

func (lostViews) Progress(context.Context) (ports.Progress, error) {
	return ports.Progress{}, ports.ErrViewUnavailable.Because(errors.New("dial tcp 10.0.0.1:9200: refused"))
}

// lostBus has lost its connection.
type lostBus struct{ ports.Bus }

func (lostBus) Healthy() error {
	return ports.ErrBusUnavailable.Because(errors.New("dial amqp://user:secret@10.0.0.1: refused"))
}

// lostArchive is out of reach.
type lostArchive struct{ ports.Archive }

func (lostArchive) Healthy(context.Context) error {
	return ports.ErrArchiveUnavailable.Because(errors.New("dial 10.0.0.1: refused"))
}

// wellBus is connected.
type wellBus struct{ ports.Bus }

func (wellBus) Healthy() error { return nil }

func TestADependencyThatIsDownOrSilentHidesNoOther(t *testing.T) {
	registry, err := es.NewRegistry(modules(Default())...)
	if err != nil {
		t.Fatal(err)
	}
	well := engine.Options{Store: memstore.New(), Views: memviews.New(registry), Bus: wellBus{}}
	for _, c := range []struct {
		hurt func(*engine.Options)
		want string
	}{
		{func(*engine.Options) {}, "store true head at position 0; views false at position 0, being built; bus true "},
		{func(o *engine.Options) { o.Store = silentStore{} }, "store false does not answer within 1s; views false at position 0, being built; bus true "},
		{func(o *engine.Options) { o.Views, o.Bus = lostViews{}, lostBus{} },
			"store true head at position 0; views false The views cannot be reached right now.; bus false The bus cannot be reached right now."},
		{func(o *engine.Options) { o.Archive = lostArchive{} },
			"store true head at position 0; views false at position 0, being built; bus true ; archive false The archive cannot be reached right now; nothing was done."},
	} {
		o := well
		c.hurt(&o)
		var got []string
		for _, check := range dependencies(t.Context(), o, true) {
			got = append(got, fmt.Sprintf("%s %v %s", check.Name, check.OK, check.Detail))
			if check.Needed != (check.Name == "store") {
				t.Errorf("%s: needed is %v", check.Name, check.Needed)
			}
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("the checks are\n%s, want\n%s", text, c.want)
		}
	}
}

// silentViews answer only when they are no longer listened to.
type silentViews struct{ ports.Views }

func (silentViews) Progress(ctx context.Context) (ports.Progress, error) {
	<-ctx.Done()
	return ports.Progress{}, ports.ErrViewUnavailable.Because(ctx.Err())
}

// A balancer that gets no answer in time takes the process away from its clients.
func TestWhoAsksWhetherAProcessIsReadyNeedNotWaitForWhatItCanDoWithout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := engine.Options{Store: memstore.New(), Views: silentViews{}, Bus: lostBus{}, Archive: lostArchive{}}
		began := time.Now()
		checks := dependencies(t.Context(), o, false)
		if len(checks) != 1 || checks[0].Name != "store" || !checks[0].OK || time.Since(began) > 0 {
			t.Errorf("after %v: %v", time.Since(began), checks)
		}
	})
}

func TestNoPasswordReachesTheLog(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var text strings.Builder
		c := Default()
		c.Log.Format = format
		err := fmt.Errorf("dial: %w", errors.New("amqp://user:secret@host/ refused"))
		NewLogger(c, &text).With("store", "postgres://me:secret@db/daybook").Warn("cannot reach https://:secret@es:9200", "error", err, "position", 7)
		if got := text.String(); strings.Contains(got, "secret") || strings.Count(got, "://***@") != 3 {
			t.Errorf("logged %s", got)
		}
	}
}

func TestARunningDaybookMeasuresHowFarItIs(t *testing.T) {
	c := Default()
	c.HTTP.Addr, c.Store.Driver = "127.0.0.1:0", "memory"
	a, err := New(c, Build{}, NewLogger(c, io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	metrics := prometheus.NewRegistry()
	measure(metrics, a.engine.Options, Build{Version: "1.2.3"}, func() int { return 0 }, "daybook.commands")
	front := httptest.NewServer(observed(a.api, metrics, nil))
	defer front.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	answer, err := http.Post(front.URL+"/v1/accounts/acc-1/create", "application/json", strings.NewReader(`{"owner":"Ada","currency":"EUR"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	want := map[string]float64{
		"daybook_store_position": 1, "daybook_relay_position": 1, "daybook_views_position": 1, "daybook_views_open": 1, "daybook_dead_letters": 0,
		"daybook_relay_lag_events": 0, "daybook_views_lag_seconds": 0, "daybook_dependency_up": 1, "daybook_build_info": 1, "daybook_http_requests_total": 1,
	}
	patience := time.After(time.Minute)
	for missing := "all"; missing != ""; {
		got := map[string]float64{}
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			got[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
		missing = ""
		for name, value := range want {
			if v, ok := got[name]; !ok || v != value {
				missing = fmt.Sprintf("%s is %v, want %v", name, v, value)
			}
		}
		select {
		case <-time.After(time.Millisecond):
		case <-patience:
			t.Fatal(missing)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
