package app

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"daybook/adapters/oteltracer"
	"daybook/adapters/promobserver"
	"daybook/core/engine"
)

// openTracing starts tracing if OpenTelemetry's variables ask for it; nil: they do not.
func openTracing(c Config, o engine.Options, build Build, log *slog.Logger) (*oteltracer.Tracing, error) {
	return oteltracer.Open(context.Background(), oteltracer.Options{
		Version: build.Version, Process: o.Process, Store: c.Store.Driver, Bus: c.Bus.Driver, EventsTopic: o.EventsTopic, Log: log,
	})
}

// observed counts and traces the requests that api serves.
func observed(api http.Handler, metrics prometheus.Registerer, tracing *oteltracer.Tracing) http.Handler {
	return tracing.Handler(promobserver.NewRequests(metrics).Handler(api))
}

// measure has the engine's parts asked on each scrape how far they are. dead are topics whose dead letters are counted.
func measure(metrics prometheus.Registerer, o engine.Options, build Build, queued func() int, dead ...string) {
	promobserver.Standing{
		Store: o.Store, Views: o.Views, Bus: o.Bus, Archive: o.Archive, Relay: engine.RelayCheckpoint(o.EventsTopic), Dead: dead, Queued: queued, Now: o.Now,
	}.Register(metrics)
	promobserver.RegisterBuild(metrics, build.Version, build.Commit, build.Go)
}
