package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

// world is an engine over a store in memory, with a clock that tests move and a bus that delivers nothing.
type world struct {
	t        *testing.T
	engine   *Engine
	store    *faultyStore
	module   *es.Module
	mu       sync.Mutex
	now      time.Time
	observed *observed
	asking   *access.Principal // who gives the commands; nil: access.Local
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC), observed: &observed{}}
	w.store = &faultyStore{Store: memstore.New()}
	t.Cleanup(func() { _ = w.store.Close() })
	w.engine = w.again(change...)
	return w
}

// again makes another engine over the same store: the same process after a restart, or a second process.
func (w *world) again(change ...func(*Options)) *Engine {
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		w.t.Fatal(err)
	}
	w.module = registry.Modules[0]
	o := Options{
		Anonymous: access.Local,
		Registry:  registry, Store: w.store, Bus: silentBus{}, Views: memviews.New(registry), Observer: w.observed,
		Now: w.clock, EventsTopic: "events",
	}
	for _, f := range change {
		f(&o)
	}
	return New(o)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) setClock(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = t
}

// fields are the members of a command, by name on the wire.
type fields map[string]any

// command makes a request, as a driving adapter does.
func (w *world) command(id, name string, f fields) Request {
	w.t.Helper()
	ct := w.module.Command(name)
	body := ct.New()
	for i, spec := range ct.Fields {
		v, ok := f[spec.Name]
		if !ok {
			continue
		}
		switch p := ct.Slot(body, i).(type) {
		case *int64:
			*p = int64(v.(int))
		case *string:
			*p = v.(string)
		case *time.Time:
			*p = v.(time.Time)
		}
	}
	return Request{
		Command: es.Command{Module: w.module, Type: ct, Stream: w.module.Stream(id), Body: body},
	}
}

func (w *world) create(id string) Request {
	return w.command(id, "create", fields{"owner": "Ada", "currency": "EUR"})
}

func (w *world) deposit(id string, amount int) Request {
	return w.command(id, "deposit", fields{"amount": amount})
}

func (w *world) withdraw(id string, amount int) Request {
	return w.command(id, "withdraw", fields{"amount": amount})
}

func (r Request) keyed(key string) Request {
	r.Key = key
	return r
}

// ticket makes a ticket that is ready for a step.
func (w *world) ticket(atomic bool, requests ...Request) *Ticket {
	t := &Ticket{atomic: atomic, ctx: access.As(context.Background(), w.asking), jobs: make([]job, len(requests))}
	for i, r := range requests {
		t.jobs[i].Request = r
	}
	t.prepare(t.ctx, &w.engine.Options)
	return t
}

// step runs the requests, each its own ticket, as one batch of e.
func (w *world) stepOf(e *Engine, requests ...Request) []Result {
	w.t.Helper()
	batch := make([]*Ticket, len(requests))
	for i, r := range requests {
		batch[i] = w.ticket(false, r)
	}
	jobs := make([]*job, len(batch))
	for i, t := range batch {
		jobs[i] = &t.jobs[0]
	}
	e.sequencer.step(context.Background(), batch)
	results := make([]Result, len(jobs))
	for i, j := range jobs {
		results[i] = j.result
	}
	return results
}

func (w *world) step(requests ...Request) []Result {
	w.t.Helper()
	return w.stepOf(w.engine, requests...)
}

// must runs the requests as one batch and demands that all are accepted.
func (w *world) must(requests ...Request) []Result {
	w.t.Helper()
	results := w.step(requests...)
	for i, r := range results {
		if r.Err != nil {
			w.t.Fatalf("request %d: %v", i, r.Err)
		}
	}
	return results
}

func (w *world) feed() []es.Recorded {
	w.t.Helper()
	events, err := w.store.ReadFeed(context.Background(), 0, 1_000_000)
	if err != nil {
		w.t.Fatal(err)
	}
	return events
}

// balance folds an account from the store alone.
func (w *world) balance(id string) int64 {
	w.t.Helper()
	f, err := w.engine.StateAt(context.Background(), w.module, id, Until{})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.module.Ledger.Balance(f.State)
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// faultyStore fails where a test wants it to.
type faultyStore struct {
	ports.Store
	mu           sync.Mutex
	begin        error // Begin fails with it
	beforeCommit error // Commit fails with it and writes nothing
	afterCommit  error // Commit writes and then fails with it
	feed         error // ReadFeed fails with it
}

func (s *faultyStore) setFeed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feed = err
}

func (s *faultyStore) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	s.mu.Lock()
	err := s.feed
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.Store.ReadFeed(ctx, after, limit)
}

func (s *faultyStore) set(begin, before, after error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin, s.beforeCommit, s.afterCommit = begin, before, after
}

func (s *faultyStore) Begin(ctx context.Context, n ports.Needs) (ports.Unit, error) {
	s.mu.Lock()
	err := s.begin
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	u, err := s.Store.Begin(ctx, n)
	return &faultyUnit{u, s}, err
}

type faultyUnit struct {
	ports.Unit
	store *faultyStore
}

func (u *faultyUnit) Commit(ctx context.Context, b ports.Batch) error {
	u.store.mu.Lock()
	before, after := u.store.beforeCommit, u.store.afterCommit
	u.store.mu.Unlock()
	if before != nil {
		u.Rollback()
		return before
	}
	return errors.Join(u.Unit.Commit(ctx, b), after)
}

// silentBus takes everything and delivers nothing. It has no dead messages.
type silentBus struct{ ports.Bus }

func (silentBus) Publish(context.Context, string, ...ports.Message) error            { return nil }
func (silentBus) Subscribe(context.Context, ports.Subscription, ports.Handler) error { return nil }
func (silentBus) Close() error                                                       { return nil }

// observed notes what an observer is told.
type observed struct {
	ports.Silent
	mu     sync.Mutex
	parked []string
	failed []string
}

func (o *observed) Parked(view, id string, _ error) { o.note(&o.parked, view+"/"+id) }
func (o *observed) Failed(what string, err error)   { o.note(&o.failed, what+": "+err.Error()) }
func (o *observed) note(list *[]string, what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	*list = append(*list, what)
}
