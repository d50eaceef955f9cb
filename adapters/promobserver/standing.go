package promobserver

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"daybook/core/es"
	"daybook/core/ports"
)

// Standing says what is asked when metrics are scraped: how far everything is, in all processes together.
type Standing struct {
	Store   ports.Store
	Views   ports.Views
	Bus     ports.Bus
	Archive ports.Archive    // nil: none
	Relay   string           // the name of the relay's checkpoint
	Dead    []string         // topics whose dead letters are counted
	Queued  func() int       // requests whose commands wait in this process
	Now     func() time.Time // the clock
	Within  time.Duration    // how long each part may take to answer; default 1 s
}

// deadMost bounds the dead letters that are counted; deadKept is how long a count is good for, because to count them takes
// them from everybody else for a moment.
const (
	deadMost = 1000
	deadKept = 10 * time.Second
)

// standing is the collector of a Standing.
type standing struct {
	Standing
	up, head, relayed, relayLag, relayAge, projected, lag, age, open, progress, parked, dead, queued *prometheus.Desc

	mu     sync.Mutex // one scrape at a time
	deadAt time.Time
	counts []int
	err    error // of the last look at dead letters
}

// Register registers metrics that are asked for on scrape with r. A part that does not answer in time is down, and what it
// would have told is left out; the others are told all the same.
func (s Standing) Register(r prometheus.Registerer) {
	if s.Within == 0 {
		s.Within = time.Second
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	r.MustRegister(&standing{
		Standing:  s,
		up:        desc("daybook_dependency_up", "Whether the store, the bus, the views and the archive, if any, can be used by this process; another ledger's archive cannot.", "dependency"),
		head:      desc("daybook_store_position", "Position of the last event in the store."),
		relayed:   desc("daybook_relay_position", "Events up to here were published."),
		relayLag:  desc("daybook_relay_lag_events", "Events that were not published yet."),
		relayAge:  desc("daybook_relay_lag_seconds", "Age of the oldest event that was not published yet."),
		projected: desc("daybook_views_position", "Events up to here are reflected in the views."),
		lag:       desc("daybook_views_lag_events", "Events the views are behind the store."),
		age:       desc("daybook_views_lag_seconds", "Age of the oldest event that the views do not reflect."),
		open:      desc("daybook_views_open", "Whether readers are let in; 0 while the views are filled."),
		progress:  desc("daybook_views_progress_ratio", "How much of the store the views reflect, from 0 to 1."),
		parked:    desc("daybook_views_parked", "Documents that wait because an event could not be projected; should be 0."),
		dead:      desc("daybook_dead_letters", "Messages of a topic that could not be handled and wait for an operator, counted up to 1000.", "topic"),
		queued:    desc("daybook_commands_queued", "Requests whose commands wait in this process."),
	})
}

// Describe tells the metrics there may be.
func (s *standing) Describe(c chan<- *prometheus.Desc) {
	for _, d := range [...]*prometheus.Desc{
		s.up, s.head, s.relayed, s.relayLag, s.relayAge, s.projected, s.lag, s.age, s.open, s.progress, s.parked, s.dead, s.queued,
	} {
		c <- d
	}
}

// Collect asks store, views, bus and archive at once.
func (s *standing) Collect(c chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	var head, relayed es.Position
	var views ports.Progress
	var parked int
	var parts sync.WaitGroup
	ask := func(part string, answered *bool, question func(context.Context) error) {
		parts.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), s.Within)
			defer cancel()
			err := question(ctx)
			*answered = err == nil
			gauge(s.up, truth(err == nil), part)
		})
	}
	var storeUp, viewsUp, busUp bool
	ask("store", &storeUp, func(ctx context.Context) (err error) {
		if head, err = s.Store.Head(ctx); err == nil {
			relayed, err = s.Store.Checkpoint(ctx, s.Relay)
		}
		return err
	})
	ask("views", &viewsUp, func(ctx context.Context) (err error) {
		if views, err = s.Views.Progress(ctx); err == nil && views.Open {
			_, parked, err = s.Views.Parked(ctx, 1)
		}
		return err
	})
	ask("bus", &busUp, s.countDead)
	if s.Archive != nil {
		ask("archive", new(bool), s.Archive.Healthy)
	}
	gauge(s.queued, float64(s.Queued()))
	parts.Wait()
	if storeUp {
		gauge(s.head, float64(head))
		gauge(s.relayed, float64(relayed))
		s.behind(gauge, s.relayLag, s.relayAge, relayed, head)
	}
	if viewsUp {
		gauge(s.projected, float64(views.Checkpoint))
		gauge(s.open, truth(views.Open))
		gauge(s.parked, float64(parked))
	}
	if storeUp && viewsUp {
		gauge(s.progress, share(views.Checkpoint, head))
		s.behind(gauge, s.lag, s.age, views.Checkpoint, head)
	}
	if busUp {
		for i, topic := range s.Dead {
			gauge(s.dead, float64(s.counts[i]), topic)
		}
	}
}

// behind tells how far a follower at a position is behind the head, in events and in time.
func (s *standing) behind(gauge func(*prometheus.Desc, float64, ...string), events, age *prometheus.Desc, at, head es.Position) {
	at = min(at, head) // it may have moved on since the head was asked for
	gauge(events, float64(head-at))
	if at == head {
		gauge(age, 0)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.Within)
	defer cancel()
	if next, err := s.Store.ReadFeed(ctx, at, 1); err == nil && len(next) > 0 {
		gauge(age, max(s.Now().Sub(next[0].RecordedAt).Seconds(), 0))
	}
}

// countDead asks the bus for dead letters, unless that was done a moment ago, and whether it is well if it can tell.
func (s *standing) countDead(ctx context.Context) error {
	if bus, ok := s.Bus.(interface{ Healthy() error }); ok {
		if err := bus.Healthy(); err != nil {
			return err
		}
	}
	if now := s.Now(); s.deadAt.IsZero() || s.err != nil || now.Sub(s.deadAt) >= deadKept {
		s.deadAt, s.counts, s.err = now, s.counts[:0], nil
		for _, topic := range s.Dead {
			letters, err := s.Bus.DeadMessages(ctx, topic, deadMost)
			if err != nil {
				s.err = err
				break
			}
			s.counts = append(s.counts, len(letters))
		}
	}
	return s.err
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// share is how much of the head a position is; all of nothing is all.
func share(at, head es.Position) float64 {
	if head == 0 {
		return 1
	}
	return float64(min(at, head)) / float64(head)
}

// RegisterBuild registers the metric that says which build this is.
func RegisterBuild(r prometheus.Registerer, version, revision, goVersion string) {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "daybook_build_info", Help: "Always 1; its labels say which build this is."},
		[]string{"version", "revision", "go"})
	info.WithLabelValues(version, revision, goVersion).Set(1)
	r.MustRegister(info)
}

// RegisterCertificate registers when the TLS certificate that is served expires.
func RegisterCertificate(r prometheus.Registerer, expires func() time.Time) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "daybook_tls_certificate_expiry_timestamp_seconds",
		Help: "When the TLS certificate that is served expires, in seconds since 1970."},
		func() float64 { return float64(expires().Unix()) }))
}
