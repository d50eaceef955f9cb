// Package selftest tries what Daybook promises on a scratch ledger: the real engine over a real store of the driver that is configured, with
// views and messages in memory. Each promise has one short proof that can fail, and says what it tried and what came of it. What may not
// live here: which store that is, and how the scratch ledger is made and removed.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"daybook/adapters/membus"
	"daybook/adapters/memviews"
	"daybook/adapters/notary"
	"daybook/adapters/watermillbus"
	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Place is where the scratch ledger lies. It is empty, and nobody else uses it.
type Place struct {
	Registry *es.Registry
	Open     func() (ports.Store, error) // the store; again after it was closed
	Forgets  bool                        // what is closed is gone: the store is in memory
}

// Result is what came of one proof.
type Result struct {
	Guarantee string        `json:"guarantee"`
	Tried     string        `json:"tried"`
	Result    string        `json:"result"` // what was seen, or what was wrong
	OK        bool          `json:"ok"`
	Skipped   bool          `json:"skipped,omitempty"` // it is not promised of this store
	Took      time.Duration `json:"-"`
	Millis    int64         `json:"milliseconds"`
}

// proof is one promise and how it is tried. run gives what it saw; its error is what was wrong.
type proof struct {
	guarantee, tried string
	run              func(ctx context.Context, l *lab) (saw string, err error)
}

// errSkipped: the proof is about something that is not promised of this store.
var errSkipped = errors.New("not promised of a store in memory")

// patience is how long one proof may take.
const patience = 60 * time.Second

// Run tries every promise, one after the other, on one ledger that grows. Its error is that of a ledger that cannot be opened.
func Run(ctx context.Context, p Place) ([]Result, error) {
	l := &lab{Place: p}
	if err := l.start(); err != nil {
		return nil, err
	}
	var results []Result
	for _, one := range proofs() {
		began := time.Now()
		saw, err := l.attempt(ctx, one)
		took := time.Since(began)
		r := Result{Guarantee: one.guarantee, Tried: one.tried, Result: saw, OK: err == nil, Took: took, Millis: took.Milliseconds()}
		switch {
		case errors.Is(err, errSkipped):
			r.OK, r.Skipped, r.Result = true, true, err.Error()
		case err != nil:
			r.Result = err.Error()
		}
		results = append(results, r)
		if err := ctx.Err(); err != nil {
			return results, errors.Join(err, l.end())
		}
	}
	return results, l.end()
}

// attempt runs one proof. A panic is a failure of it.
func (l *lab) attempt(ctx context.Context, one proof) (saw string, err error) {
	ctx, cancel := context.WithTimeout(access.As(ctx, everybody()), patience)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	if l.engine == nil {
		return "", errors.New("the ledger could not be opened again")
	}
	return one.run(ctx, l)
}

// lab is the scratch ledger while it runs.
type lab struct {
	Place
	store   ports.Store
	engine  *engine.Engine
	module  *es.Module
	running sync.WaitGroup
	stop    context.CancelFunc
	closers []func() error
}

// everybody asks where a proof says nothing else.
func everybody() *access.Principal {
	return &access.Principal{Subject: "selftest", Roles: []access.Role{access.Teller, access.Auditor, access.Operator}}
}

func (l *lab) start() (err error) {
	defer func() {
		if err != nil {
			l.engine = nil
			err = errors.Join(err, l.close())
		}
	}()
	if l.module = l.Registry.ModuleByNoun("account"); l.module == nil {
		return errors.New("selftest: there is no module of accounts")
	}
	if l.store, err = l.Open(); err != nil {
		return err
	}
	l.closers = append(l.closers, l.store.Close)
	views := memviews.New(l.Registry)
	l.closers = append(l.closers, views.Close)
	bus, err := watermillbus.New(membus.New(membus.Options{}), watermillbus.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, bus.Close)
	signs, err := notary.New("daybook-selftest")
	if err != nil {
		return err
	}
	l.engine = engine.New(engine.Options{
		Registry: l.Registry, Store: l.store, Bus: bus, Views: views, Observer: ports.Silent{}, Notary: signs, Now: time.Now,
		EventsTopic: "selftest.events", CommandsTopic: "selftest.commands", Source: "/selftest", SnapshotEvery: 10, BlockSize: 16,
	})
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	for _, run := range []func(context.Context){l.engine.RunCommands, l.engine.RunRelay, l.engine.RunProjector, l.engine.RunSnapshots} {
		l.running.Go(func() { run(ctx) })
	}
	return nil
}

// end stops the ledger and closes its store.
func (l *lab) end() error {
	if l.engine == nil {
		return nil
	}
	l.engine = nil
	l.stop()
	l.running.Wait()
	return l.close()
}

func (l *lab) close() (err error) {
	for i := len(l.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, l.closers[i]())
	}
	l.closers = nil
	return err
}

// again stops the ledger and opens it from what is stored.
func (l *lab) again() error {
	if err := l.end(); err != nil {
		return err
	}
	return l.start()
}

// request makes a command out of the JSON that a client would send.
func (l *lab) request(account, command, data string) (engine.Request, error) {
	t := l.module.Command(command)
	body, err := wire.Decode(t, []byte(data))
	return engine.Request{Command: es.Command{Module: l.module, Type: t, Stream: l.module.Stream(account), Body: body}}, err
}

// do gives one command. key is the idempotency key; "" for none.
func (l *lab) do(ctx context.Context, account, command, data, key string) (engine.Answer, error) {
	r, err := l.request(account, command, data)
	if err != nil {
		return engine.Answer{}, err
	}
	r.Key = key
	return l.engine.Execute(ctx, r)
}

// open makes an account with money in it, of an owner.
func (l *lab) open(ctx context.Context, account, owner string, amount int64) error {
	_, err := l.do(ctx, account, "create", fmt.Sprintf(`{"owner":%q,"currency":"EUR"}`, owner), "")
	if err == nil && amount > 0 {
		_, err = l.do(ctx, account, "deposit", fmt.Sprintf(`{"amount":%d}`, amount), "")
	}
	return err
}

// balance is folded from what is stored.
func (l *lab) balance(ctx context.Context, account string, until engine.Until) (int64, error) {
	f, err := l.engine.StateAt(ctx, l.module, account, until)
	if err != nil {
		return 0, err
	}
	return l.module.Ledger.Balance(f.State), nil
}

// stream is all that is stored of an account.
func (l *lab) stream(ctx context.Context, account string) ([]es.Recorded, error) {
	return l.store.ReadStream(ctx, l.module.Stream(account), 0, 1_000_000)
}

// wantCode is nil for an error with the code.
func wantCode(err error, what, code string) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s was accepted", what)
	case fault.Of(err).Code != code:
		return fmt.Errorf("%s was answered with %s instead of %s", what, fault.Of(err).Code, code)
	}
	return nil
}
