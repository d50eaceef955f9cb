package app

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"daybook/adapters/httpapi"
	"daybook/adapters/msgapi"
	"daybook/adapters/oteltracer"
	"daybook/core/engine"
	"daybook/core/es"
)

// drive makes the doors through which the engine is used.
func (a *App) drive(r *es.Registry, o engine.Options, build Build, metrics *prometheus.Registry, tracing *oteltracer.Tracing) {
	api := httpapi.New(httpapi.Options{
		Engine: a.engine, Logger: a.log, Lifetime: a.lifetime, Ready: a.checks, HealthAlone: !a.has(RoleAPI),
		Build:   httpapi.Build{Version: build.Version, Revision: build.Commit, Go: build.Go},
		Drivers: httpapi.Drivers{Store: a.config.Store.Driver, Bus: a.config.Bus.Driver, Views: a.config.Views.Driver},
	})
	api = observed(api, metrics, tracing)
	measure(metrics, o, build, a.engine.Queued, o.CommandsTopic)
	scrape := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})
	if a.admin == nil {
		a.api = withLocalMetrics(api, scrape)
	} else {
		a.api, a.adminAPI = api, adminHandler(scrape)
	}
	messages := msgapi.New(a.engine, o.Bus, r, msgapi.Options{})
	a.messages = func(ctx context.Context) error {
		return messages.Subscribe(ctx, o.CommandsTopic)
	}
}

// withLocalMetrics serves /metrics to clients on this machine, beside the API.
func withLocalMetrics(api, scrape http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" && r.Method == http.MethodGet && fromLoopback(r) {
			scrape.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && net.ParseIP(host).IsLoopback()
}

// adminHandler serves what operators alone should reach: metrics and profiles.
func adminHandler(scrape http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", scrape)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// checks says how the parts stand: what this process needs to do the work of its roles, and what it may do without.
func (a *App) checks(ctx context.Context) []httpapi.Check {
	running := httpapi.Check{Name: "running", OK: a.lifetime.Err() == nil, Needed: true}
	if !running.OK {
		running.Detail = "shutting down"
	}
	checks := dependencies(ctx, a.engine.Options)
	if a.failed.Load() {
		checks[0].OK, checks[0].Detail = false, "failed: it takes no more writes until a restart"
	}
	return append([]httpapi.Check{running}, checks...)
}
