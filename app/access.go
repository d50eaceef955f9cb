package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"daybook/adapters/auditlog"
	"daybook/adapters/keyring"
	"daybook/adapters/tokens"
	"daybook/core/access"
	"daybook/core/ports"
)

// AccessSuffix is what the place of the access ledger, and of a backup of it, has more than that of the accounts' ledger.
const AccessSuffix = ".access"

// accessLedger is the second ledger: keys and the audit log, in a store of its own of the configured driver. Where nobody is asked who they
// are it is opened, and made, when it is first needed. It is access.Keyring and access.AuditLog.
type accessLedger struct {
	parts  parts
	must   bool             // nobody is let in without saying who they are
	tokens *tokens.Verifier // nil: no tokens are taken

	opening sync.Mutex
	ledger  atomic.Pointer[openAccess] // nil: nobody has needed it yet
	closed  bool                       // with opening
	notes   sync.WaitGroup
}

// openAccess is the access ledger when it is open.
type openAccess struct {
	store ports.Store
	keys  *keyring.Ring
	audit *auditlog.Log
}

// OpenAccessStore opens the store of the access ledger alone. The caller closes it.
func OpenAccessStore(c Config, log *slog.Logger) (ports.Store, error) {
	return openAccessStore(parts{config: c, log: log})
}

func openAccessStore(p parts) (ports.Store, error) {
	p.config.Store.Pebble.Path += AccessSuffix
	p.schema, p.connections = "daybook_access", 4
	p.failed = func(err error) {
		p.log.Error("the access ledger takes no more writes until a restart: no keys, and no privileged actions", "error", err)
	}
	store, err := open("store", stores, p.config.Store.Driver, p)
	if err != nil {
		return nil, fmt.Errorf("the access ledger: %w", err)
	}
	return store, nil
}

// OpenKeys opens the keys where they lie, for a command on the machine itself. The function it gives back closes them.
func OpenKeys(c Config, log *slog.Logger) (access.Keyring, func() error, error) {
	store, err := OpenAccessStore(c, log)
	if err != nil {
		return nil, nil, err
	}
	ring, err := keyring.Open(context.Background(), keyring.Options{Store: store, Now: time.Now, Log: log})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return ring, func() error { return errors.Join(ring.Close(), store.Close()) }, nil
}

// newAccess opens the access ledger if keys will be asked for.
func newAccess(p parts) (_ *accessLedger, err error) {
	a := &accessLedger{parts: p, must: p.config.Auth.Mode == authRequired}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if p.config.issued() {
		o := p.config.Auth.OIDC
		a.tokens, err = tokens.Open(context.Background(), tokens.Options{
			Issuer: o.Issuer, Audience: o.Audience, Roles: o.Roles, Types: []string{o.Type}, JWKSPath: p.config.Auth.JWKS.Path, Now: time.Now, Log: p.log,
		})
		if err != nil {
			return nil, fmt.Errorf("auth.jwks.path: %w", err)
		}
	}
	if a.must {
		_, err = a.opened()
	}
	return a, err
}

// opened gives the access ledger, and opens it if nobody has yet.
func (a *accessLedger) opened() (*openAccess, error) {
	if l := a.ledger.Load(); l != nil {
		return l, nil
	}
	a.opening.Lock()
	defer a.opening.Unlock()
	if l := a.ledger.Load(); l != nil {
		return l, nil
	}
	if a.closed {
		return nil, ports.ErrStoreClosed
	}
	store, err := openAccessStore(a.parts)
	if err != nil {
		return nil, err
	}
	keys, err := keyring.Open(context.Background(), keyring.Options{Store: store, Now: time.Now, Log: a.parts.log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the access ledger: %w", err), store.Close())
	}
	l := &openAccess{store, keys, auditlog.Open(auditlog.Options{Store: store, Now: time.Now, Log: a.parts.log})}
	a.ledger.Store(l)
	return l, nil
}

// hint says what is missing where nobody could be let in.
func (a *accessLedger) hint(log *slog.Logger) {
	if !a.must || a.tokens != nil {
		return
	}
	if keys, err := a.List(context.Background()); err == nil && len(keys) == 0 {
		log.Warn("nobody can be let in yet: there are no keys; make the first with: daybook keys create --subject NAME --role operator (while this process is stopped, if its store is embedded)")
	}
}

// Close closes what was opened, last first.
func (a *accessLedger) Close() (err error) {
	a.opening.Lock()
	a.closed = true
	a.opening.Unlock()
	a.notes.Wait()
	if a.tokens != nil {
		err = a.tokens.Close()
	}
	if l := a.ledger.Load(); l != nil {
		err = errors.Join(err, l.audit.Close(), l.keys.Close(), l.store.Close())
	}
	return err
}

// Create implements access.Keyring.
func (a *accessLedger) Create(ctx context.Context, n access.NewKey) (access.Key, string, error) {
	l, err := a.opened()
	if err != nil {
		return access.Key{}, "", err
	}
	return l.keys.Create(ctx, n)
}

// List implements access.Keyring.
func (a *accessLedger) List(ctx context.Context) ([]access.Key, error) {
	l, err := a.opened()
	if err != nil {
		return nil, err
	}
	return l.keys.List(ctx)
}

// Rotate implements access.Keyring.
func (a *accessLedger) Rotate(ctx context.Context, prefix string, grace time.Duration) (access.Key, string, error) {
	l, err := a.opened()
	if err != nil {
		return access.Key{}, "", err
	}
	return l.keys.Rotate(ctx, prefix, grace)
}

// Revoke implements access.Keyring.
func (a *accessLedger) Revoke(ctx context.Context, prefix string) (access.Key, error) {
	l, err := a.opened()
	if err != nil {
		return access.Key{}, err
	}
	return l.keys.Revoke(ctx, prefix)
}

// Record implements access.AuditLog.
func (a *accessLedger) Record(ctx context.Context, e access.Entry) error {
	l, err := a.opened()
	if err != nil {
		return auditlog.ErrUnwritten.Because(err)
	}
	return l.audit.Record(ctx, e)
}

// Note implements access.AuditLog. It does not wait for the ledger to be opened.
func (a *accessLedger) Note(e access.Entry) {
	if l := a.ledger.Load(); l != nil {
		l.audit.Note(e)
		return
	}
	a.opening.Lock()
	defer a.opening.Unlock()
	if a.closed {
		return
	}
	a.notes.Go(func() {
		l, err := a.opened()
		if err != nil {
			a.parts.log.Error("an entry of the audit log is lost", "action", e.Action, "outcome", e.Outcome, "error", err)
			return
		}
		l.audit.Note(e)
	})
}

// Entries implements access.AuditLog.
func (a *accessLedger) Entries(ctx context.Context, after uint64, since time.Time, limit int) ([]access.Entry, error) {
	l, err := a.opened()
	if err != nil {
		return nil, err
	}
	return l.audit.Entries(ctx, after, since, limit)
}

// Head implements access.AuditLog.
func (a *accessLedger) Head(ctx context.Context) (uint64, error) {
	l, err := a.opened()
	if err != nil {
		return 0, err
	}
	return l.audit.Head(ctx)
}
