// Package httpapi is the HTTP door: commands, bulk, queries, the live feed, health, and the OpenAPI document with its pages.
// One table of routes, made from the modules' tables, feeds the mux, the check of parameters and the document, so they
// cannot disagree. It calls core/engine; decisions, storage and configuration may not live here, and the JSON of commands
// and answers is adapters/wire.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/ports"
)

// Timeouts that suit a server of this handler. The two-way stream of commands and the live feed set deadlines of their own,
// renewed while they get on.
const (
	ReadHeaderTimeout = 5 * time.Second
	ReadTimeout       = 30 * time.Second
	WriteTimeout      = 60 * time.Second
	IdleTimeout       = 120 * time.Second
)

// Options are what the handler is made of. Engine is required; zero sizes and times mean their defaults.
type Options struct {
	Engine   *engine.Engine
	Logger   *slog.Logger    // where our own failures go, with the request id; default: nowhere
	Lifetime context.Context // when it ends, feeds end, rebuilds stop and connections close behind their answers; default: never
	Build    Build
	Drivers  Drivers

	// Ready says how what this process needs to do its work is and, with all, also what it can do without. Default: it needs nothing.
	Ready func(ctx context.Context, all bool) []Check

	// Authenticate says who sends a request; its error is answered instead. Default: everybody is access.Local. Probes of health and
	// the pages of documentation are for everybody.
	Authenticate func(*http.Request) (*access.Principal, error)
	Keys         access.Keyring  // default: there are no keys to be managed
	Audit        access.AuditLog // is told of refusals and of privileged actions; default: nobody is
	NeedReason   bool            // privileged actions, and what auditors and operators read, are not done without a reason
	Limits       Limits          // of each principal; default: none
	Anonymous    bool            // who shows no credential is let in too, and the document says so; so it is by default
	LocalNames   bool            // refuse requests to a host that is neither an address nor localhost: a page of the web may have pointed its name here
	Secure       bool            // clients reach this over TLS, be it that of a proxy

	Backup func(ctx context.Context, dir string) (Backup, error) // copies the store, and what lies beside it; default: the engine's store alone

	HealthAlone bool // serve what operators need of a process that is not for clients, and nothing else

	Streams   int           // live feeds at one time; default 256
	Patience  time.Duration // how long a stalled stream is waited for; default 30 s
	Heartbeat time.Duration // between comments on a silent feed; default 15 s
	Freshness time.Duration // how long a query waits for minPosition; default 5 s
}

// Build says which program this is.
type Build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go,omitempty"`
}

// Backup says what a backup holds.
type Backup struct {
	ports.Backup
	Access *ports.Backup // of the access ledger; nil: there is none
}

// Drivers names the adapters behind the ports.
type Drivers struct {
	Store string `json:"store"`
	Bus   string `json:"bus"`
	Views string `json:"views"`
}

// Check is how one thing stands that the process needs or has.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"` // without it the process cannot do its work
	Detail string `json:"detail,omitempty"`
}

// server is the handler's inside.
type server struct {
	Options
	mux       *http.ServeMux
	routes    []route
	streams   chan struct{} // one token for each live feed
	crossSite *http.CrossOriginProtection
	limits    *limits
}

// New makes the handler. It may be served on several listeners at once.
func New(o Options) http.Handler {
	return newServer(o)
}

func newServer(o Options) *server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Lifetime == nil {
		o.Lifetime = context.Background()
	}
	if o.Ready == nil {
		o.Ready = func(context.Context, bool) []Check { return nil }
	}
	if o.Streams == 0 {
		o.Streams = 256
	}
	if o.Authenticate == nil {
		o.Anonymous = true
		o.Authenticate = func(*http.Request) (*access.Principal, error) { return access.Local, nil }
	}
	if o.Backup == nil {
		o.Backup = func(ctx context.Context, dir string) (Backup, error) {
			b, err := o.Engine.Backup(ctx, dir)
			return Backup{Backup: b}, err
		}
	}
	if o.Audit == nil {
		o.Audit = noAudit{}
	}
	orDefault := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	orDefault(&o.Patience, 30*time.Second)
	orDefault(&o.Heartbeat, 15*time.Second)
	orDefault(&o.Freshness, 5*time.Second)
	s := &server{Options: o, mux: http.NewServeMux(), streams: make(chan struct{}, o.Streams), crossSite: http.NewCrossOriginProtection(), limits: newLimits(o.Limits, o.Engine.Now)}
	s.routes = s.table()
	s.register()
	return s
}
