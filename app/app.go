// Package app reads the configuration, opens the adapters it names, joins them to the engine, and runs and stops the whole
// in order. It is the only place that knows all of them, and the only one that knows viper. It holds no rules.
package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"daybook/adapters/archive"
	"daybook/adapters/handover"
	"daybook/adapters/httpapi"
	"daybook/adapters/msgapi"
	"daybook/adapters/notary"
	"daybook/adapters/tlsfiles"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// Build says which build this is.
type Build struct{ Version, Commit, Go string }

// App is one running Daybook.
type App struct {
	config   Config
	log      *slog.Logger
	engine   *engine.Engine
	listener net.Listener
	admin    net.Listener // nil unless admin.addr is set
	api      http.Handler
	adminAPI http.Handler
	messages func(context.Context) error // takes commands from the bus
	notary   *notary.Notary
	access   *accessLedger
	archive  *archive.Attached // nil: none
	tls      *tlsfiles.Files   // nil: plain HTTP

	failed   atomic.Bool     // the store takes no more writes until a restart
	lifetime context.Context // ends when the process begins to stop
	end      context.CancelFunc
	closers  []func() error // in the order of opening
}

// Extension is what a program that embeds Daybook adds to it.
type Extension struct {
	Modules  []es.Module // run beside the built-in ones
	Reactors []engine.Reactor
}

// New opens every adapter the configuration names and listens, or closes what it opened and says what is wrong.
func New(c Config, build Build, log *slog.Logger, extra ...Extension) (_ *App, err error) {
	a := &App{config: c, log: log}
	a.lifetime, a.end = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			a.end()
			err = errors.Join(err, a.close())
		}
	}()
	all := Extension{Modules: modules(c)}
	for _, x := range extra {
		all.Modules, all.Reactors = append(all.Modules, x.Modules...), append(all.Reactors, x.Reactors...)
	}
	registry, err := es.NewRegistry(all.Modules...)
	if err != nil {
		return nil, err
	}
	if err := a.listen(); err != nil {
		return nil, err
	}
	prefix := c.Bus.RabbitMQ.Prefix
	options := engine.Options{
		Registry: registry, Now: time.Now, Reactors: all.Reactors, Process: process(),
		EventsTopic: prefix + ".events", CommandsTopic: msgapi.Topic(prefix), Source: "/" + prefix,
		SnapshotEvery: c.Snapshots.Every,
		Limits:        engine.Limits{Command: int64(c.Limits.CustomerCommand), Day: int64(c.Limits.CustomerDay)},
	}
	if a.notary, err = openNotary(c); err != nil {
		return nil, err
	}
	options.Notary = a.notary
	ledger, err := openLedger(a.parts(registry))
	if err != nil {
		return nil, err
	}
	options.Store, options.Archive, a.archive = ledger.Store, ledger.Archive, ledger.attached
	a.closers = append(a.closers, ledger.Close)
	if a.access, err = newAccess(a.parts(registry)); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, a.access.Close)
	a.access.hint(log)
	warnOfOpenSecrets(c, log)
	if err := engine.ImportFinished(context.Background(), options.Store); err != nil {
		return nil, err
	}
	metrics, counting := newMetrics(registry)
	with := a.parts(registry)
	with.observer = newObserver(log, counting)
	if options.Views, err = open("views", views, c.Views.Driver, with); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, options.Views.Close)
	if options.Bus, err = open("bus", buses, c.Bus.Driver, a.parts(registry)); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, options.Bus.Close)
	tracing, err := openTracing(c, options, build, log)
	if err != nil {
		return nil, err
	}
	a.closers = append(a.closers, tracing.Close)
	options.Observer = newObserver(log, counting, tracing.Observer())
	a.engine = engine.New(options)
	a.drive(registry, options, build, metrics, tracing)
	return a, nil
}

// process names this process among all that may share its store, also those before it on the same machine.
func process() string {
	host, err := os.Hostname()
	if err != nil {
		host = "daybook"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), rand.Text())
}

func (a *App) listen() (err error) {
	if a.config.secure() {
		if a.tls, err = tlsfiles.Open(tlsfiles.Options{Cert: a.config.HTTP.TLS.Cert, Key: a.config.HTTP.TLS.Key, Now: time.Now, Log: a.log}); err != nil {
			return fmt.Errorf("http.tls.cert: %w", err)
		}
	}
	if a.listener, err = listenOn("http.addr", a.config.HTTP.Addr); err != nil {
		return err
	}
	a.listener = bound(a.listener, descriptors())
	a.closers = append(a.closers, closeListener(a.listener))
	if a.config.Admin.Addr != "" {
		if a.admin, err = listenOn("admin.addr", a.config.Admin.Addr); err != nil {
			return err
		}
		a.closers = append(a.closers, closeListener(a.admin))
	}
	return nil
}

func listenOn(key, addr string) (net.Listener, error) {
	l, err := handover.Take(func() (net.Listener, error) { return net.Listen("tcp", addr) }, syscall.EADDRINUSE)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (%s): %w; choose another address with --%s", addr, key, err, key)
	}
	return l, nil
}

// closeListener closes a listener that a server may have closed already.
func closeListener(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// URL is where the API listens.
func (a *App) URL() string { return a.scheme() + a.listener.Addr().String() }

func (a *App) scheme() string {
	if a.tls != nil {
		return "https://"
	}
	return "http://"
}

// AdminURL is where metrics and pprof listen; "" when they have no listener of their own.
func (a *App) AdminURL() string {
	if a.admin == nil {
		return ""
	}
	return a.scheme() + a.admin.Addr().String()
}

// Engine is the inside of the hexagon, for tests and for programs that embed Daybook.
func (a *App) Engine() *engine.Engine { return a.engine }

// DrainTimeout is how long requests that were begun may take when the process stops.
const DrainTimeout = 10 * time.Second

// Run does the work of the configured roles until ctx ends, then stops in order: it says that it is not ready and, for as long as it
// is configured, goes on answering; then there are no new requests, those begun are answered, what was accepted is relayed and
// projected, everything is closed. It is called once.
func (a *App) Run(ctx context.Context) error {
	var front, back sync.WaitGroup
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	failed := make(chan error, 4)

	commands, stopCommands := context.WithCancel(work)
	defer stopCommands()
	front.Go(func() { a.engine.RunCommands(commands) })
	back.Go(func() { a.engine.RunSnapshots(work) })
	back.Go(func() { a.keepCheckpoints(work) })
	back.Go(func() { a.awaitArchive(work) })
	if a.config.InsecureAnonymous {
		back.Go(func() { a.warnOfEverybody(work) })
	}
	if a.has(RoleRelay) {
		back.Go(func() { a.engine.RunRelay(work) })
		back.Go(func() { a.engine.RunReactors(work) })
	}
	if a.has(RoleProject) || a.has(RoleAPI) && !a.engine.Views.Shared() { // who reads views that are not shared must fill them
		back.Go(func() { a.engine.RunProjector(work) })
	}
	if a.has(RoleMessages) {
		taken := make(chan struct{})
		front.Go(func() {
			defer close(taken)
			a.takeMessages(a.lifetime)
		})
		select {
		case <-taken:
		case <-time.After(messagesPause): // a bus that is away holds up nothing else
		}
	}
	servers := a.servers()
	for _, s := range servers {
		back.Go(func() {
			if err := s.serve(); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	a.log.Info("Daybook is ready", "url", a.URL(), "store", a.config.Store.Driver, "bus", a.config.Bus.Driver, "views", a.config.Views.Driver)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.log.Info("stopping")
	a.end() // readiness fails, streams end, no more messages are taken
	if err == nil {
		err = a.linger(failed)
	}
	for _, s := range servers {
		drain, cancel := context.WithTimeout(work, DrainTimeout)
		err = errors.Join(err, s.server.Shutdown(drain))
		cancel()
	}
	stopCommands()
	front.Wait()
	stopWork()
	back.Wait()
	err = errors.Join(err, a.close())
	a.log.Info("stopped")
	return err
}

// linger lets requests be answered for a while, so that whoever looks at readiness sends no more of them. It ends early with a server.
func (a *App) linger(failed <-chan error) error {
	select {
	case <-time.After(time.Duration(a.config.HTTP.StopDelay) * time.Second):
		return nil
	case err := <-failed:
		return err
	}
}

// takeMessages subscribes to commands as soon as the bus lets it.
func (a *App) takeMessages(ctx context.Context) {
	for late := false; ; late = true {
		err := a.messages(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && late:
			a.log.Info("commands are taken from the bus")
			return
		case err == nil:
			return
		}
		a.log.Warn("commands cannot be taken from the bus yet", "error", err)
		select {
		case <-time.After(messagesPause):
		case <-ctx.Done():
			return
		}
	}
}

// messagesPause is between two tries to subscribe to commands, and how long a start waits for the first of them.
const messagesPause = time.Second

func (a *App) has(role string) bool { return slices.Contains(a.config.Roles, role) }

// close closes what was opened, last first.
func (a *App) close() error {
	var err error
	for i := len(a.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, a.closers[i]())
	}
	a.closers = nil
	return err
}

// server is an HTTP server and what it listens on.
type server struct {
	server   *http.Server
	listener net.Listener
}

func (s server) serve() error {
	if s.server.TLSConfig != nil {
		return s.server.ServeTLS(s.listener, "", "")
	}
	return s.server.Serve(s.listener)
}

// servers are the HTTP servers of the configured roles. Without the role api the listener answers health alone.
func (a *App) servers() []server {
	all := []server{{newServer(a.api, a.log), a.listener}}
	if a.admin != nil {
		all = append(all, server{newServer(a.adminAPI, a.log), a.admin})
	}
	if a.tls != nil {
		for _, s := range all {
			s.server.TLSConfig = a.tls.Config()
		}
	}
	return all
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h,

		ReadHeaderTimeout: httpapi.ReadHeaderTimeout,
		ReadTimeout:       httpapi.ReadTimeout, // streams set deadlines of their own
		WriteTimeout:      httpapi.WriteTimeout,
		IdleTimeout:       httpapi.IdleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong on the wire
	}
}

// parts is what the constructors of adapters get.
type parts struct {
	config   Config
	log      *slog.Logger
	registry *es.Registry
	observer ports.Observer // told what goes wrong behind callers
	failed   func(error)    // the store takes no more writes until a restart

	schema      string // of the store in a database; "" means the adapter's
	connections int    // to the database, of one store; zero means the adapter's
}

func (a *App) parts(r *es.Registry) parts {
	return parts{config: a.config, log: a.log, registry: r, failed: a.storeFailed}
}

// storeFailed says so and ends readiness: whoever supervises the process should start it again, on a sound disk.
func (a *App) storeFailed(err error) {
	a.failed.Store(true)
	a.log.Error("the store has failed and takes no more writes until a restart", "error", err)
}
