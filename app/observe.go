package app

import (
	"io"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"daybook/adapters/promobserver"
	"daybook/adapters/slogobserver"
	"daybook/core/es"
	"daybook/core/ports"
)

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// NewLogger makes the logger that a configuration asks for, writing to w.
func NewLogger(c Config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: logLevels[c.Log.Level]}
	if c.Log.Format == "json" || c.Log.Format == "auto" && !isTerminal(w) {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// newMetrics makes a registry of metrics of the process and the engine, and the observer that feeds it.
func newMetrics(r *es.Registry) (*prometheus.Registry, ports.Observer) {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	commands := map[string][]string{}
	for _, m := range r.Modules {
		for _, t := range m.Commands {
			commands[m.Name] = append(commands[m.Name], t.Name)
		}
	}
	return metrics, promobserver.New(metrics, commands)
}

func newObserver(log *slog.Logger, metrics ports.Observer) ports.Observer {
	return observers{slogobserver.New(log), metrics}
}

// observers tells several observers everything.
type observers []ports.Observer

func (o observers) Decided(d ports.Decision) {
	for _, x := range o {
		x.Decided(d)
	}
}

func (o observers) Committed(c ports.Commit) {
	for _, x := range o {
		x.Committed(c)
	}
}

func (o observers) Relayed(p ports.Passage) {
	for _, x := range o {
		x.Relayed(p)
	}
}

func (o observers) Projected(p ports.Passage, head es.Position) {
	for _, x := range o {
		x.Projected(p, head)
	}
}

func (o observers) Parked(view, id string, err error) {
	for _, x := range o {
		x.Parked(view, id, err)
	}
}

func (o observers) Failed(what string, err error) {
	for _, x := range o {
		x.Failed(what, err)
	}
}
