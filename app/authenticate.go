package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"daybook/core/access"
	"daybook/core/fault"
)

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
		l, err := a.opened()
		if err != nil {
			return nil, err
		}
		return l.keys.Authenticate(credential)
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
