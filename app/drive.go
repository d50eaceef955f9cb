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
	"daybook/adapters/promobserver"
	"daybook/core/engine"
	"daybook/core/es"
)

// drive makes the doors through which the engine is used.
func (a *App) drive(r *es.Registry, o engine.Options, build Build, metrics *prometheus.Registry, tracing *oteltracer.Tracing) {
	api := httpapi.New(httpapi.Options{
		Engine: a.engine, Logger: a.log, Lifetime: a.lifetime, Ready: a.checks, HealthAlone: !a.has(RoleAPI),
		Build:   httpapi.Build{Version: build.Version, Revision: build.Commit, Go: build.Go},
		Drivers: httpapi.Drivers{Store: a.config.Store.Driver, Bus: a.config.Bus.Driver, Views: a.config.Views.Driver},

		Authenticate: a.access.ofRequest, Keys: a.access, Audit: a.access, Backup: a.backUp, NeedReason: a.config.Auth.NeedReason,
		Limits: httpapi.Limits{Requests: a.config.Limits.Requests, Burst: a.config.Limits.Burst, Costly: a.config.Limits.Costly, Failures: httpapi.Failures}, Secure: a.tls != nil || a.config.BehindTLSProxy,
		Anonymous:  a.config.Auth.Mode == authNone,
		LocalNames: a.config.Auth.Mode == authNone && !a.config.anyName(),
	})
	api = observed(api, metrics, tracing)
	measure(metrics, o, build, a.engine.Queued, o.CommandsTopic)
	scrape := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})
	if a.tls != nil {
		promobserver.RegisterCertificate(metrics, a.tls.Expires)
	}
	switch {
	case a.admin != nil:
		a.api, a.adminAPI = api, a.adminHandler(scrape)
	case a.config.Auth.Mode == authRequired || a.config.BehindTLSProxy: // a client that comes through a proxy comes from this machine
		a.api = api
	default:
		a.api = a.withLocalMetrics(api, scrape)
	}
	messages := msgapi.New(a.engine, o.Bus, r, msgapi.Options{Authenticate: a.access.authenticate, Audit: a.access})
	a.messages = func(ctx context.Context) error {
		return messages.Subscribe(ctx, o.CommandsTopic)
	}
}

// withLocalMetrics serves /metrics to clients on this machine, beside the API, which answers all others.
func (a *App) withLocalMetrics(api, scrape http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" && r.Method == http.MethodGet && fromLoopback(r) && a.knownName(r) {
			scrape.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// knownName reports whether a request names this server by a name that it may have where nobody is asked who they are. Under TLS no
// browser takes it for one that its certificate is not for.
func (a *App) knownName(r *http.Request) bool {
	return a.tls != nil || a.config.anyName() || httpapi.LocalName(r.Host)
}

func fromLoopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && net.ParseIP(host).IsLoopback()
}

// adminHandler serves what operators alone should reach: metrics and profiles. Where others could reach it, it asks who they are;
// where only this machine can, a page of the web may have pointed its name here.
func (a *App) adminHandler(scrape http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", scrape)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	if a.config.Auth.Mode == authNone || loopback(a.config.Admin.Addr) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !a.knownName(r) {
				http.Error(w, "The request names this server by a name that is not its own: use its address or localhost.", http.StatusForbidden)
				return
			}
			mux.ServeHTTP(w, r)
		})
	}
	return a.access.operatorsOnly(mux)
}

// checks says how the parts stand: what this process needs to do the work of its roles and, with all, what it may do without.
func (a *App) checks(ctx context.Context, all bool) []httpapi.Check {
	running := httpapi.Check{Name: "running", OK: a.lifetime.Err() == nil, Needed: true}
	if !running.OK { // who asks is to know at once, however slow the others are
		running.Detail = "shutting down"
		return []httpapi.Check{running}
	}
	checks := dependencies(ctx, a.engine.Options, all)
	if a.failed.Load() {
		checks[0].OK, checks[0].Detail = false, "failed: it takes no more writes until a restart"
	}
	return append([]httpapi.Check{running}, checks...)
}
