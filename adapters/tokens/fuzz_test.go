package tokens

import (
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"daybook/core/access"
)

// FuzzToken sends any token, and any header and claims that the issuer itself has signed: nobody is let in whom the issuer has not
// named for this audience, and the only error is a refusal.
func FuzzToken(f *testing.F) {
	key := keys().ed
	file := filepath.Join(f.TempDir(), "jwks.json")
	if err := os.WriteFile(file, []byte(jwks(f, published("ed", key.Public()))), 0o600); err != nil {
		f.Fatal(err)
	}
	v, err := Open(f.Context(), Options{Issuer: issuer, Audience: audience, JWKSPath: file, Now: now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = v.Close() })
	header, _ := json.Marshal(headerWith(object{"alg": "EdDSA", "kid": "ed"})) // plain values: it cannot fail
	claims, _ := json.Marshal(claimsWith(nil))
	good := sign(f, string(header), string(claims), key, 0)
	f.Add(good, string(header), string(claims))
	f.Add(strings.Replace(good, ".", "..", 1), `{"alg":"none","typ":"at+jwt"}`, `{"iss":"x","aud":["daybook","x"],"exp":1e400,"sub":"","roles":"teller operator"}`)
	f.Fuzz(func(t *testing.T, token, header, claims string) {
		p, err := v.Authenticate(t.Context(), token)
		if signed := good[:strings.LastIndexByte(good, '.')+1]; err == nil && !strings.HasPrefix(token, signed) {
			t.Errorf("%q lets %+v in", token, p)
		}
		wantRefusal(t, p, err)
		p, err = v.Authenticate(t.Context(), sign(t, header, claims, key, 0))
		wantRefusal(t, p, err)
		if err == nil {
			wantClaims(t, header, claims, p)
		}
	})
}

func wantRefusal(t *testing.T, p *access.Principal, err error) {
	t.Helper()
	if err != nil && (p != nil || !errors.Is(err, access.ErrUnauthenticated)) {
		t.Errorf("got %+v, %v", p, err)
	}
}

// wantClaims reads what let somebody in as another program would.
func wantClaims(t *testing.T, header, claims string, p *access.Principal) {
	t.Helper()
	var h struct {
		Algorithm string `json:"alg"`
	}
	var c struct {
		Issuer   string  `json:"iss"`
		Subject  string  `json:"sub"`
		Audience any     `json:"aud"`
		Expires  float64 `json:"exp"`
	}
	if err := errors.Join(json.Unmarshal([]byte(header), &h), json.Unmarshal([]byte(claims), &c)); err != nil {
		t.Errorf("%s %s: %v", header, claims, err)
	}
	for _, r := range p.Roles {
		if !slices.Contains(access.Roles, r) {
			t.Errorf("the role %q", r)
		}
	}
	if h.Algorithm != "EdDSA" || c.Issuer != issuer || c.Subject != p.Subject || p.Subject == "" || c.Expires <= float64(now().Add(-Leeway).Unix()) || c.Audience == nil {
		t.Errorf("%s %s lets %+v in", header, claims, p)
	}
}

// Of whatever an issuer publishes, only public keys for signatures are used, and of RSA keys only long ones.
func FuzzPublishedKeys(f *testing.F) {
	k := keys()
	f.Add(jwks(f, published("rsa", k.rsa.Public()), published("ec", k.ec.Public()), published("ed", k.ed.Public()), published("weak", k.weak.Public())))
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"OKP","crv":"Ed25519","x":"","d":"AA"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`)
	s := newKeySource(Options{Log: slog.New(slog.DiscardHandler), Now: now}, func() {})
	f.Fuzz(func(t *testing.T, text string) {
		all, err := s.parse(text)
		if err == nil && len(all) == 0 {
			t.Error("there are no keys, and no error")
		}
		for i := range all {
			if _, private := all[i].Key.(ed25519.PrivateKey); private || !all[i].IsPublic() || !all[i].Valid() || all[i].Use != "" && all[i].Use != "sig" {
				t.Errorf("the key %+v is used", all[i])
			}
		}
	})
}
