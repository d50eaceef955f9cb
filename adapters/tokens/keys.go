package tokens

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"daybook/core/fault"
)

// ErrIssuerUnavailable: nobody knows with which keys the issuer signs, so no token can be checked.
var ErrIssuerUnavailable = fault.New(fault.Unavailable, "issuer_unavailable", "The issuer of tokens cannot be reached, so no token can be checked. Try again shortly.")

// Times of fetching keys.
const (
	refreshEvery = 5 * time.Minute  // while all is well, so that a key that the issuer takes back ends here too
	fileEvery    = 5 * time.Second  // of a file
	retryEvery   = 10 * time.Second // at the most, however many tokens name a key that is not known
	staleAfter   = 24 * time.Hour   // from then on keys are not trusted that could not be fetched again
	fetchWithin  = 10 * time.Second
	maxDocument  = 1 << 20
	leastRSA     = 2048 // bits
)

// keySet are the keys at one time.
type keySet struct {
	keys    []jose.JSONWebKey
	text    string // as it was fetched
	fetched time.Time
}

// keySource has the issuer's keys and fetches them again.
type keySource struct {
	options Options
	client  *http.Client
	changed func() // other keys than before
	set     atomic.Pointer[keySet]
	turn    chan struct{} // holds a token while keys are fetched
	asked   time.Time     // when they were last asked for; with turn
}

func newKeySource(o Options, changed func()) *keySource {
	s := &keySource{options: o, changed: changed, client: o.Client, turn: make(chan struct{}, 1)}
	if s.client == nil {
		s.client = &http.Client{
			Timeout: fetchWithin,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("it answers with a redirect, which is not followed")
			},
		}
	}
	return s
}

func (s *keySource) stale(now time.Time) bool {
	set := s.set.Load()
	return set == nil || now.Sub(set.fetched) > staleAfter
}

// keepFresh fetches the keys again until ctx ends.
func (s *keySource) keepFresh(ctx context.Context) {
	for failing := s.set.Load() == nil; ; {
		wait := refreshEvery
		switch {
		case s.options.JWKSPath != "":
			wait = fileEvery
		case failing:
			wait = retryEvery
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		err := s.refresh(ctx, 0)
		if err != nil && !failing && ctx.Err() == nil {
			s.options.Log.Warn("the issuer's keys cannot be fetched; those that are known go on", "error", err)
		}
		failing = err != nil
	}
}

// find gives the key of a token. One that is not known may be new: then the keys are fetched again, but not for every token.
func (s *keySource) find(ctx context.Context, id, algorithm string) (*jose.JSONWebKey, error) {
	if key := s.known(id, algorithm); key != nil {
		return key, nil
	}
	if err := s.refresh(ctx, retryEvery); err != nil {
		s.options.Log.Debug("the issuer's keys cannot be fetched", "error", err)
	}
	if key := s.known(id, algorithm); key != nil {
		return key, nil
	}
	if s.stale(s.options.Now()) {
		return nil, ErrIssuerUnavailable
	}
	return nil, fmt.Errorf("the issuer has no key %.100q for %s", id, algorithm)
}

// known finds a key for checking signatures of this algorithm. A token that names none can only mean the only one there is.
func (s *keySource) known(id, algorithm string) *jose.JSONWebKey {
	if s.stale(s.options.Now()) {
		return nil
	}
	set := s.set.Load()
	for i := range set.keys {
		k := &set.keys[i]
		named := k.KeyID == id && id != "" || id == "" && len(set.keys) == 1
		if named && (k.Algorithm == "" || k.Algorithm == algorithm) {
			return k
		}
	}
	return nil
}

// refresh fetches the keys, unless they were asked for within the gap. Of several at once one asks, and the others wait for it.
func (s *keySource) refresh(ctx context.Context, gap time.Duration) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	now := s.options.Now()
	if gap > 0 && !s.asked.IsZero() && now.Sub(s.asked) < gap {
		return nil
	}
	s.asked = now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchWithin) // a client that leaves must not make it fail for others
	defer cancel()
	text, err := s.fetch(ctx)
	if err != nil {
		return err
	}
	before := s.set.Load()
	next := &keySet{text: text, fetched: now}
	if before != nil && before.text == text {
		next.keys = before.keys
		s.set.Store(next)
		return nil
	}
	if next.keys, err = s.parse(text); err != nil {
		return err
	}
	s.set.Store(next)
	s.changed()
	return nil
}

// fetch gives the JSON of the keys.
func (s *keySource) fetch(ctx context.Context) (string, error) {
	if s.options.JWKSPath != "" {
		text, err := os.ReadFile(s.options.JWKSPath)
		return string(text), err
	}
	var found struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	text, err := s.get(ctx, strings.TrimSuffix(s.options.Issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return "", fmt.Errorf("the issuer's configuration cannot be read: %w", err)
	}
	if found.Issuer != s.options.Issuer {
		return "", fmt.Errorf("the configuration found there is that of %.200q", found.Issuer)
	}
	return s.get(ctx, found.Keys)
}

// get asks for a document, over TLS unless it is on this machine.
func (s *keySource) get(ctx context.Context, address string) (string, error) {
	if err := CheckURL(address); err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", address, resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err == nil && len(text) > maxDocument {
		err = fmt.Errorf("%s answers with more than %d bytes", address, maxDocument)
	}
	return string(text), err
}

// CheckURL says what is wrong with the address of an issuer, or of its keys.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%.200q is no URL like https://issuer.example.com", address)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()):
		return nil
	}
	return fmt.Errorf("%.200q must begin with https://: who answers there decides who is let in", address)
}

// parse reads the keys and leaves out those that no token can be checked with.
func (s *keySource) parse(text string) ([]jose.JSONWebKey, error) {
	var document struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return nil, fmt.Errorf("the keys cannot be read: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range document.Keys {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil {
			continue // of a kind that is newer than this build
		}
		if why := unfit(&k); why != "" {
			s.options.Log.Warn("a key of the issuer is not used", "kid", k.KeyID, "why", why)
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("there are no keys among them that signatures can be checked with")
	}
	return keys, nil
}

func unfit(k *jose.JSONWebKey) string {
	switch {
	case !k.IsPublic():
		return "it is not a public key"
	case k.Use != "" && k.Use != "sig":
		return "it is not for signatures"
	}
	if r, ok := k.Key.(*rsa.PublicKey); ok && r.N.BitLen() < leastRSA {
		return fmt.Sprintf("it has %d bits, fewer than %d", r.N.BitLen(), leastRSA)
	}
	return ""
}

// decodePart reads one of the JSON parts of a token strictly: a name that is there twice is an error.
func decodePart(token string, n int, into any) error {
	parts := strings.Split(token, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(parts[n]) // it has three parts, or it could not have been parsed
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
