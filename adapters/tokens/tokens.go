// Package tokens checks access tokens: JWTs (RFC 9068) signed by the issuer that the configuration names, with the keys that this issuer
// publishes, or that lie in a file, and with no others, whatever a token says about itself. The cryptography is go-jose's.
package tokens

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/recent"
)

// Options say which tokens are taken. Issuer, Audience, Now and Log are required.
type Options struct {
	Issuer   string   // who makes the tokens, as their iss says
	Audience string   // whom they are made for, as their aud says
	JWKSPath string   // a file with the issuer's keys; "": they are found by OpenID discovery
	Roles    string   // the claim with the roles; dots lead into objects; default: roles
	Types    []string // what the header typ may be; default: at+jwt
	Now      func() time.Time
	Log      *slog.Logger
	Client   *http.Client // asks the issuer; default: one that follows no redirects and gives up after 10 s
}

// Bounds of what is taken.
const (
	Leeway    = 60 * time.Second // by which clocks may differ
	maxToken  = 8 << 10
	cacheRoom = 10_000          // verified tokens of one generation
	cacheFor  = 5 * time.Minute // at the most, and never beyond the token's end
)

// algorithms are those with which a token may be signed: public keys alone, so that nobody who can check a token can make one.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// Verifier checks tokens. Open makes one; its methods may be called concurrently.
type Verifier struct {
	options  Options
	keys     *keySource
	verified *recent.Shared[[sha256.Size]byte, verified]
	running  sync.WaitGroup
	end      context.CancelFunc
}

// verified is a token that was checked before.
type verified struct {
	principal *access.Principal
	until     time.Time
}

// Open makes a verifier and fetches the keys. An issuer that cannot be reached is no error: it is asked again, and until then tokens are
// refused as ErrIssuerUnavailable. A file that cannot be read is one.
func Open(ctx context.Context, o Options) (*Verifier, error) {
	if o.Roles == "" {
		o.Roles = "roles"
	}
	if len(o.Types) == 0 {
		o.Types = []string{"at+jwt"}
	}
	v := &Verifier{options: o, verified: recent.NewShared[[sha256.Size]byte, verified](2 * cacheRoom)}
	v.keys = newKeySource(o, v.verified.Clear)
	if err := v.keys.refresh(ctx, 0); err != nil {
		if o.JWKSPath != "" {
			return nil, err
		}
		o.Log.Warn("the issuer's keys cannot be fetched; it is asked again", "issuer", o.Issuer, "error", err)
	}
	life, end := context.WithCancel(context.Background())
	v.end = end
	v.running.Go(func() { v.keys.keepFresh(life) })
	return v, nil
}

// Close ends the fetching of keys.
func (v *Verifier) Close() error {
	v.end()
	v.running.Wait()
	return nil
}

// Authenticate says whose token it is: access.ErrUnauthenticated with the reason as its cause, or ErrIssuerUnavailable.
func (v *Verifier) Authenticate(ctx context.Context, token string) (*access.Principal, error) {
	now := v.options.Now()
	sum := sha256.Sum256([]byte(token))
	if known, ok := v.verified.Get(sum); ok && now.Before(known.until) && !v.keys.stale(now) {
		return known.principal, nil
	}
	c, err := v.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := v.check(c, now); err != nil {
		return nil, access.ErrUnauthenticated.Because(err)
	}
	p := &access.Principal{Subject: c.Subject, Roles: v.roles(c)}
	until := now.Add(cacheFor)
	if expires := c.Expiry.Time(); expires.Before(until) {
		until = expires
	}
	v.verified.Put(sum, verified{p, until})
	return p, nil
}

// claims are what a token says.
type claims struct {
	jwt.Claims
	all map[string]jsontext.Value
}

// header is what is looked at in a token's header. Places where a key could be fetched from (jku, x5u, jwk, x5c) are not.
type header struct {
	Algorithm string         `json:"alg"`
	Type      string         `json:"typ"`
	KeyID     string         `json:"kid"`
	Critical  jsontext.Value `json:"crit"`
}

// verify checks form, type and signature.
func (v *Verifier) verify(ctx context.Context, token string) (*claims, error) {
	refuse := func(format string, args ...any) error {
		return access.ErrUnauthenticated.Because(fmt.Errorf("token: "+format, args...))
	}
	if len(token) > maxToken {
		return nil, refuse("longer than %d bytes", maxToken)
	}
	signed, err := jwt.ParseSigned(token, algorithms())
	if err != nil {
		return nil, refuse("%w", err)
	}
	var h header
	if err := decodePart(token, 0, &h); err != nil {
		return nil, refuse("header: %w", err)
	}
	if h.Critical != nil {
		return nil, refuse("the header asks for extensions (crit)")
	}
	if typ := strings.TrimPrefix(strings.ToLower(h.Type), "application/"); !slices.ContainsFunc(v.options.Types, func(t string) bool { return strings.EqualFold(t, typ) }) {
		return nil, refuse("typ is %q, not %s", h.Type, strings.Join(v.options.Types, " or "))
	}
	key, err := v.keys.find(ctx, h.KeyID, h.Algorithm)
	if errors.Is(err, ErrIssuerUnavailable) {
		return nil, err
	}
	if err != nil {
		return nil, refuse("%w", err)
	}
	c := &claims{}
	if err := signed.Claims(key.Key, &c.Claims); err != nil {
		return nil, refuse("%w", err)
	}
	if err := decodePart(token, 1, &c.all); err != nil {
		return nil, refuse("claims: %w", err)
	}
	return c, nil
}

// check looks at what the token says about itself.
func (v *Verifier) check(c *claims, now time.Time) error {
	text := es.Spec{Kind: es.KindText}
	switch {
	case c.Issuer != v.options.Issuer:
		return fmt.Errorf("token: iss is %q", c.Issuer)
	case !c.Audience.Contains(v.options.Audience):
		return fmt.Errorf("token: aud is %q", []string(c.Audience))
	case c.Expiry == nil:
		return errors.New("token: it has no exp")
	case !now.Before(c.Expiry.Time().Add(Leeway)):
		return fmt.Errorf("token: it expired at %s", c.Expiry.Time().UTC().Format(time.RFC3339))
	case c.NotBefore != nil && now.Add(Leeway).Before(c.NotBefore.Time()):
		return fmt.Errorf("token: it is not valid before %s", c.NotBefore.Time().UTC().Format(time.RFC3339))
	case c.IssuedAt != nil && now.Add(Leeway).Before(c.IssuedAt.Time()):
		return fmt.Errorf("token: it was issued at %s, which is to come", c.IssuedAt.Time().UTC().Format(time.RFC3339))
	case text.CheckString(c.Subject) != "":
		return fmt.Errorf("token: sub %s", text.CheckString(c.Subject))
	case c.has("cnf"):
		return errors.New("token: it is bound to a key of its holder (cnf), so it is no bearer token")
	case c.idToken():
		return errors.New("token: it is an ID token, which tells a client who logged in and lets nobody in here")
	}
	return nil
}

func (c *claims) has(name string) bool {
	_, ok := c.all[name]
	return ok
}

// idToken knows an ID token by what only those have, for issuers that give both kinds one type.
func (c *claims) idToken() bool {
	for _, name := range [...]string{"nonce", "at_hash", "c_hash", "s_hash"} {
		if c.has(name) {
			return true
		}
	}
	return c.word("typ") == "ID" || c.word("token_use") == "id"
}

func (c *claims) word(name string) string {
	var s string
	_ = json.Unmarshal(c.all[name], &s) // what is no text is none of the words
	return s
}

// roles reads the roles: a list of words, or words with spaces between. Those that are not ours are left out.
func (v *Verifier) roles(c *claims) []access.Role {
	at := c.all
	path := strings.Split(v.options.Roles, ".")
	for _, name := range path[:len(path)-1] {
		var inner map[string]jsontext.Value
		if json.Unmarshal(at[name], &inner) != nil {
			return nil
		}
		at = inner
	}
	var names []string
	value := at[path[len(path)-1]]
	if json.Unmarshal(value, &names) != nil {
		var words string
		_ = json.Unmarshal(value, &words) // neither a list nor a text names no role
		names = strings.Fields(words)
	}
	var roles []access.Role
	for _, name := range names {
		if r, ok := access.ParseRole(name); ok && !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles
}
