package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"daybook/adapters/auditlog"
	"daybook/adapters/keyring"
	"daybook/adapters/tokens"
	"daybook/core/access"
	"daybook/core/fault"
	"daybook/core/ports"
)

// accessSuffix is what the place of the access ledger has more than that of the accounts' ledger.
const accessSuffix = "access"

// accessLedger is the second ledger: keys and the audit log, with those who ask it. It has a store of its own, of the configured driver.
type accessLedger struct {
	Store  ports.Store
	Keys   *keyring.Ring
	Audit  *auditlog.Log
	tokens *tokens.Verifier // nil: no tokens are taken
	must   bool             // nobody is let in without saying who they are
}

// OpenAccessStore opens the store of the access ledger alone. The caller closes it.
func OpenAccessStore(c Config, log *slog.Logger) (ports.Store, error) {
	return openAccessStore(parts{config: c, log: log})
}

func openAccessStore(p parts) (ports.Store, error) {
	p.config.Store.Pebble.Path += "." + accessSuffix
	p.schema, p.connections = "daybook_"+accessSuffix, 4
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

func openAccess(p parts) (_ *accessLedger, err error) {
	a := &accessLedger{must: p.config.Auth.Mode == authRequired}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.Store, err = openAccessStore(p); err != nil {
		return nil, err
	}
	if a.Keys, err = keyring.Open(context.Background(), keyring.Options{Store: a.Store, Now: time.Now, Log: p.log}); err != nil {
		return nil, fmt.Errorf("the access ledger: %w", err)
	}
	a.Audit = auditlog.Open(auditlog.Options{Store: a.Store, Now: time.Now, Log: p.log})
	if p.config.issued() {
		o := p.config.Auth.OIDC
		a.tokens, err = tokens.Open(context.Background(), tokens.Options{
			Issuer: o.Issuer, Audience: o.Audience, Roles: o.Roles, Types: []string{o.Type}, JWKSPath: p.config.Auth.JWKS.Path, Now: time.Now, Log: p.log,
		})
		if err != nil {
			return nil, fmt.Errorf("auth.jwks.path: %w", err)
		}
	}
	return a, nil
}

// hint says what is missing where nobody could be let in.
func (a *accessLedger) hint(log *slog.Logger) {
	if keys, err := a.Keys.List(context.Background()); err == nil && len(keys) == 0 && a.must && a.tokens == nil {
		log.Warn("nobody can be let in yet: there are no keys; make the first with: daybook keys create --subject NAME --role operator (while this process is stopped, if its store is embedded)")
	}
}

// Close closes what was opened, last first.
func (a *accessLedger) Close() (err error) {
	if a.tokens != nil {
		err = a.tokens.Close()
	}
	if a.Audit != nil {
		err = errors.Join(err, a.Audit.Close())
	}
	if a.Keys != nil {
		err = errors.Join(err, a.Keys.Close())
	}
	if a.Store != nil {
		err = errors.Join(err, a.Store.Close())
	}
	return err
}

// ofRequest says who sends a request.
func (a *accessLedger) ofRequest(r *http.Request) (*access.Principal, error) {
	given := r.Header["Authorization"]
	if len(given) > 1 {
		return nil, access.ErrUnauthenticated.Because(errors.New("the header Authorization is there more than once"))
	}
	if len(given) == 0 {
		return a.authenticate(r.Context(), "")
	}
	if given[0] == "" {
		return nil, access.ErrUnauthenticated.Because(errors.New("the header Authorization is empty"))
	}
	return a.authenticate(r.Context(), given[0])
}

// authenticate says who shows the credential, which is that of a header Authorization. One that does not hold is never taken for none.
func (a *accessLedger) authenticate(ctx context.Context, authorization string) (*access.Principal, error) {
	if authorization == "" {
		if a.must {
			return nil, access.ErrUnauthenticated.Because(errors.New("no credential was sent"))
		}
		return access.Local, nil
	}
	scheme, credential, _ := strings.Cut(authorization, " ")
	switch {
	case !strings.EqualFold(scheme, "bearer") || credential == "":
		return nil, access.ErrUnauthenticated.Because(errors.New("the scheme is not Bearer"))
	case strings.HasPrefix(credential, access.KeyPrefix):
		return a.Keys.Authenticate(credential)
	case a.tokens == nil:
		return nil, access.ErrUnauthenticated.Because(errors.New("it is no API key, and no tokens are taken here"))
	}
	return a.tokens.Authenticate(ctx, credential)
}

// operatorsOnly lets operators alone through, with plain answers: what lies behind is for machines.
func (a *accessLedger) operatorsOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := a.ofRequest(r)
		switch {
		case errors.Is(err, access.ErrUnauthenticated):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, fault.Of(err).Msg, http.StatusUnauthorized)
		case err != nil:
			http.Error(w, fault.Of(err).Msg, http.StatusServiceUnavailable)
		case !p.Has(access.Operator):
			http.Error(w, access.ErrForbidden.Msg, http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// warnEvery is between two warnings that everybody is let in.
const warnEvery = time.Minute

// warnOfEverybody says so again and again, until ctx ends.
func (a *App) warnOfEverybody(ctx context.Context) {
	tick := time.NewTicker(warnEvery)
	defer tick.Stop()
	for {
		a.log.Warn("everybody who can reach this server may do everything (--insecure-allow-anonymous)", "url", a.URL())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
