// Package promobserver counts what the engine does as Prometheus metrics, HTTP requests by route, and how far
// store, relay and views are, which is asked for on scrape. Labels are bounded: never an account id.
package promobserver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Observer is a ports.Observer that feeds metrics. Its methods may be called concurrently.
type Observer struct {
	decided  *prometheus.CounterVec
	seconds  prometheus.Histogram
	replayed prometheus.Counter
	batches  prometheus.Histogram
	commits  prometheus.Histogram
	phases   [3]prometheus.Observer // begin, decide, commit
	relays   prometheus.Histogram
	projects prometheus.Histogram
	leases   *prometheus.GaugeVec
	parked   prometheus.Counter
	failed   *prometheus.CounterVec
	faults   *prometheus.CounterVec

	results map[resultKey]prometheus.Counter
}

type resultKey struct{ module, command, result string }

// durations are buckets from 100 microseconds to 3.3 seconds.
func durations() []float64 { return prometheus.ExponentialBuckets(0.0001, 2, 16) }

// New registers the metrics with r. commands are the names of the commands of each module, so that the counters of the
// hot path are made once.
func New(r prometheus.Registerer, commands map[string][]string) *Observer {
	counter := func(name, help string) prometheus.CounterOpts { return prometheus.CounterOpts{Name: name, Help: help} }
	timing := func(name, help string) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: durations()}
	}
	phases := prometheus.NewHistogramVec(timing("daybook_batch_phase_seconds",
		"The steps of a batch: begin waits for the store's lock and what is known under it, decide, commit makes it durable."), []string{"phase"})
	o := &Observer{
		decided: prometheus.NewCounterVec(counter("daybook_commands_total",
			"Commands answered, by module, command and result: ok, or the kind of the fault."), []string{"module", "command", "result"}),
		seconds:  prometheus.NewHistogram(timing("daybook_command_seconds", "From taking a command in to answering it.")),
		replayed: prometheus.NewCounter(counter("daybook_commands_replayed_total", "Retries that got the first answer again.")),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_batch_events",
			Help: "Events written together.", Buckets: prometheus.ExponentialBuckets(1, 2, 12)}),
		commits:  prometheus.NewHistogram(timing("daybook_batch_seconds", "One batch, from taking the lock to durable.")),
		relays:   prometheus.NewHistogram(timing("daybook_relay_seconds", "Publishing some events until the bus has taken them.")),
		projects: prometheus.NewHistogram(timing("daybook_projection_seconds", "Projecting some events until the views show them.")),
		leases: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "daybook_lease_held",
			Help: "Whether this process does the work of the lease; over all processes the sum should be 1."}, []string{"lease"}),
		parked: prometheus.NewCounter(counter("daybook_views_parked_total", "Documents parked because an event could not be projected; should stay 0.")),
		failed: prometheus.NewCounterVec(counter("daybook_background_failures_total",
			"Failures of work nobody was waiting for; it is tried again."), []string{"work"}),
		faults: prometheus.NewCounterVec(counter("daybook_faults_total",
			"Commands and work in the background that failed for a reason of ours, by the fault's code, such as store_unavailable."), []string{"code"}),
		results: map[resultKey]prometheus.Counter{},
	}
	r.MustRegister(o.decided, o.seconds, o.replayed, o.batches, o.commits, phases, o.relays, o.projects, o.leases, o.parked, o.failed, o.faults)
	for i, phase := range [...]string{"begin", "decide", "commit"} {
		o.phases[i] = phases.WithLabelValues(phase)
	}
	for module, names := range commands {
		for _, command := range names {
			for _, result := range results {
				o.results[resultKey{module, command, result}] = o.decided.WithLabelValues(module, command, result)
			}
		}
	}
	return o
}

var results = func() []string {
	all := []string{"ok"}
	for k := fault.Internal; k <= fault.Unknown; k++ {
		all = append(all, k.String())
	}
	return all
}()

// Decided counts one answer.
func (o *Observer) Decided(d ports.Decision) {
	result := "ok"
	if d.Err != nil {
		result = fault.KindOf(d.Err).String()
		o.blame(d.Err)
	}
	if c, ok := o.results[resultKey{d.Module, d.Command, result}]; ok {
		c.Inc()
	}
	if d.Replayed {
		o.replayed.Inc()
	}
	o.seconds.Observe(d.Took.Seconds())
}

// blame counts an error that is no client's. Its codes are a closed set, as those of all faults.
func (o *Observer) blame(err error) {
	switch f := fault.Of(err); f.Kind {
	case fault.Internal, fault.Unavailable, fault.Unknown:
		o.faults.WithLabelValues(f.Code).Inc()
	}
}

// Committed counts one batch.
func (o *Observer) Committed(c ports.Commit) {
	o.batches.Observe(float64(len(c.Events)))
	o.commits.Observe(c.Ended.Sub(c.Began).Seconds())
	for i, took := range [...]time.Duration{c.Locked.Sub(c.Began), c.Decided.Sub(c.Locked), c.Ended.Sub(c.Decided)} {
		o.phases[i].Observe(took.Seconds())
	}
}

// Relayed counts one publishing.
func (o *Observer) Relayed(p ports.Passage) { o.relays.Observe(p.Ended.Sub(p.Began).Seconds()) }

// Projected counts one projection.
func (o *Observer) Projected(p ports.Passage, _ es.Position) {
	o.projects.Observe(p.Ended.Sub(p.Began).Seconds())
}

// Led notes whether this process holds a lease.
func (o *Observer) Led(lease string, _ ports.Token, held bool) {
	o.leases.WithLabelValues(lease).Set(truth(held))
}

// Parked counts one parked document.
func (o *Observer) Parked(string, string, error) { o.parked.Inc() }

// Failed counts one failure in the background.
func (o *Observer) Failed(what string, err error) {
	o.failed.WithLabelValues(what).Inc()
	o.blame(err)
}
