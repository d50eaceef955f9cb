// Package promobserver counts what the engine does as Prometheus metrics. Labels are bounded: never an account id.
package promobserver

import (
	"github.com/prometheus/client_golang/prometheus"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Observer is a ports.Observer that feeds metrics. Its methods may be called concurrently.
type Observer struct {
	decided   *prometheus.CounterVec
	seconds   prometheus.Histogram
	replayed  prometheus.Counter
	batches   prometheus.Histogram
	commits   prometheus.Histogram
	head      prometheus.Gauge
	relayed   prometheus.Gauge
	projected prometheus.Gauge
	lag       prometheus.Gauge
	parked    prometheus.Counter
	failed    *prometheus.CounterVec

	results map[resultKey]prometheus.Counter
}

type resultKey struct{ module, command, result string }

// New registers the metrics with r. commands are the names of the commands of each module, so that the counters of the
// hot path are made once.
func New(r prometheus.Registerer, commands map[string][]string) *Observer {
	o := &Observer{
		decided: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "daybook_commands_total",
			Help: "Commands answered, by module, command and result: ok, or the kind of the fault."}, []string{"module", "command", "result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_command_seconds",
			Help: "From taking a command in to answering it.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)}),
		replayed: prometheus.NewCounter(prometheus.CounterOpts{Name: "daybook_commands_replayed_total", Help: "Retries that got the first answer again."}),
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_batch_events",
			Help: "Events written together.", Buckets: prometheus.ExponentialBuckets(1, 2, 12)}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "daybook_batch_seconds",
			Help: "One batch, from taking the lock to durable.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16)}),
		head:      prometheus.NewGauge(prometheus.GaugeOpts{Name: "daybook_store_position", Help: "Position of the last event this process wrote or projected up to."}),
		relayed:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "daybook_relay_position", Help: "Events up to here were published."}),
		projected: prometheus.NewGauge(prometheus.GaugeOpts{Name: "daybook_views_position", Help: "Events up to here are reflected in the views."}),
		lag:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "daybook_views_lag_events", Help: "Events the views are behind the store."}),
		parked:    prometheus.NewCounter(prometheus.CounterOpts{Name: "daybook_views_parked_total", Help: "Documents parked because an event could not be projected; should stay 0."}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "daybook_background_failures_total",
			Help: "Failures of work nobody was waiting for; it is tried again."}, []string{"work"}),
		results: map[resultKey]prometheus.Counter{},
	}
	r.MustRegister(o.decided, o.seconds, o.replayed, o.batches, o.commits, o.head, o.relayed, o.projected, o.lag, o.parked, o.failed)
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
	}
	if c, ok := o.results[resultKey{d.Module, d.Command, result}]; ok {
		c.Inc()
	}
	if d.Replayed {
		o.replayed.Inc()
	}
	o.seconds.Observe(d.Took.Seconds())
}

// Committed counts one batch.
func (o *Observer) Committed(c ports.Commit) {
	o.batches.Observe(float64(len(c.Events)))
	o.commits.Observe(c.Ended.Sub(c.Began).Seconds())
	o.head.Set(float64(c.Head))
}

// Relayed notes how far the relay is.
func (o *Observer) Relayed(p ports.Passage) { o.relayed.Set(float64(p.To)) }

// Projected notes how far the views are.
func (o *Observer) Projected(p ports.Passage, head es.Position) {
	o.projected.Set(float64(p.To))
	o.lag.Set(float64(head - min(p.To, head)))
	o.head.Set(float64(head))
}

// Parked counts one parked document.
func (o *Observer) Parked(string, string, error) { o.parked.Inc() }

// Failed counts one failure in the background.
func (o *Observer) Failed(what string, _ error) { o.failed.WithLabelValues(what).Inc() }
