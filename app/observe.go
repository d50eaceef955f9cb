package app

import (
	"io"
	"log/slog"
	"os"
	"regexp"

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
	o := &slog.HandlerOptions{Level: logLevels[c.Log.Level], ReplaceAttr: masked}
	if c.Log.Format == "json" || c.Log.Format == "auto" && !isTerminal(w) {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// userinfo is who a URL says to be, with a password.
var userinfo = regexp.MustCompile(`://[^\s/@]*:[^\s/@]*@`)

// masked hides the passwords of URLs in texts and errors, whoever wrote them.
func masked(_ []string, a slog.Attr) slog.Attr {
	text := ""
	switch v := a.Value.Any().(type) {
	case string:
		text = v
	case error:
		text = v.Error()
	}
	if userinfo.MatchString(text) {
		a.Value = slog.StringValue(userinfo.ReplaceAllString(text, "://***@"))
	}
	return a
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
	live := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)} // what a leak makes grow, without the garbage
	metrics.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(live)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	commands := map[string][]string{}
	for _, m := range r.Modules {
		for _, t := range m.Commands {
			commands[m.Name] = append(commands[m.Name], t.Name)
		}
	}
	return metrics, promobserver.New(metrics, commands)
}

// newObserver tells the log, the metrics and, unless they are off, the traces what the engine does.
func newObserver(log *slog.Logger, metrics ports.Observer, traces ...ports.Observer) ports.Observer {
	all := observers{slogobserver.New(log), metrics}
	for _, t := range traces {
		if t != nil {
			all = append(all, t)
		}
	}
	return all
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

func (o observers) Led(lease string, token ports.Token, held bool) {
	for _, x := range o {
		x.Led(lease, token, held)
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
