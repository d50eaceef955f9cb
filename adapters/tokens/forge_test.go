package tokens

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // RS512
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"daybook/core/access"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

const (
	issuer   = "https://login.example.com"
	audience = "daybook"
)

// keys are made once: RSA keys take long.
var keys = sync.OnceValue(func() (k struct {
	rsa, other, weak *rsa.PrivateKey
	ec               *ecdsa.PrivateKey
	ed               ed25519.PrivateKey
},
) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var err error
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.other, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.weak, err = rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
})

func now() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }

// jwks is a set of public keys as an issuer publishes it.
func jwks(t testing.TB, all ...jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: all})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func published(id string, key crypto.PublicKey) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: id, Key: key, Use: "sig"}
}

// part is one part of a token.
func part(t testing.TB, v any) string {
	t.Helper()
	text, ok := v.(string)
	if !ok {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text = string(raw)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

type object = map[string]any

// header and claims are those of a token that holds; changes are put over them, and nil takes a member away.
func headerWith(changes object) object {
	return over(object{"alg": "RS256", "typ": "at+jwt", "kid": "rsa"}, changes)
}

func claimsWith(changes object) object {
	return over(object{
		"iss": issuer, "aud": audience, "sub": "alice", "iat": now().Unix(), "exp": now().Add(time.Hour).Unix(), "roles": []string{"customer"}, "jti": "1",
	}, changes)
}

func over(all, changes object) object {
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// sign makes a token whatever its header says.
func sign(t testing.TB, header, claims any, key any, hash crypto.Hash) string {
	t.Helper()
	text := part(t, header) + "." + part(t, claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature(t, text, key, hash))
}

func signature(t testing.TB, text string, key any, hash crypto.Hash) []byte {
	t.Helper()
	var sum []byte
	if hash != 0 {
		h := hash.New()
		h.Write([]byte(text))
		sum = h.Sum(nil)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		s, err := rsa.SignPKCS1v15(rand.Reader, k, hash, sum)
		if err != nil {
			t.Fatal(err)
		}
		return s
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, sum)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out
	case ed25519.PrivateKey:
		return ed25519.Sign(k, []byte(text))
	case []byte: // a shared secret
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	return nil
}

// fromFile opens a verifier of the keys in a file.
func fromFile(t *testing.T, text string, change ...func(*Options)) (*Verifier, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Issuer: issuer, Audience: audience, JWKSPath: path, Now: now, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&o)
	}
	v, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v, path
}

func ours(t *testing.T) string {
	k := keys()
	return jwks(t, published("rsa", k.rsa.Public()), published("ec", k.ec.Public()), published("ed", k.ed.Public()),
		jose.JSONWebKey{KeyID: "enc", Key: k.other.Public(), Use: "enc"}, jose.JSONWebKey{KeyID: "ps", Key: k.other.Public(), Use: "sig", Algorithm: "PS256"})
}

func TestTokensThatHold(t *testing.T) {
	v, _ := fromFile(t, ours(t))
	k := keys()
	for name, token := range map[string]string{
		"RS256":                       sign(t, headerWith(nil), claimsWith(nil), k.rsa, crypto.SHA256),
		"RS512":                       sign(t, headerWith(object{"alg": "RS512"}), claimsWith(nil), k.rsa, crypto.SHA512),
		"ES256":                       sign(t, headerWith(object{"alg": "ES256", "kid": "ec"}), claimsWith(nil), k.ec, crypto.SHA256),
		"EdDSA":                       sign(t, headerWith(object{"alg": "EdDSA", "kid": "ed"}), claimsWith(nil), k.ed, 0),
		"the long name of the type":   sign(t, headerWith(object{"typ": "application/AT+JWT"}), claimsWith(nil), k.rsa, crypto.SHA256),
		"several audiences":           sign(t, headerWith(nil), claimsWith(object{"aud": []string{"other", audience}}), k.rsa, crypto.SHA256),
		"just expired, by the leeway": sign(t, headerWith(nil), claimsWith(object{"exp": now().Add(-Leeway + time.Second).Unix()}), k.rsa, crypto.SHA256),
		"soon valid, by the leeway":   sign(t, headerWith(nil), claimsWith(object{"nbf": now().Add(Leeway).Unix()}), k.rsa, crypto.SHA256),
		"a time with a fraction":      sign(t, headerWith(nil), claimsWith(object{"exp": float64(now().Add(time.Hour).Unix()) + .5}), k.rsa, crypto.SHA256),
		"pointers to keys elsewhere, which nobody follows": sign(t, headerWith(object{"jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}), claimsWith(nil), k.rsa, crypto.SHA256),
	} {
		for range 2 { // the second time from memory
			p, err := v.Authenticate(t.Context(), token)
			if err != nil || p.Subject != "alice" || !p.Has(access.Customer) || len(p.Roles) != 1 {
				t.Errorf("%s: got %v, %v", name, p, err)
			}
		}
	}
}

// Each of these is refused with one and the same answer, which tells a forger nothing; the reason goes into the audit log.
func TestForgedTokensAreInVain(t *testing.T) {
	v, _ := fromFile(t, ours(t))
	k := keys()
	good := sign(t, headerWith(nil), claimsWith(nil), k.rsa, crypto.SHA256)
	goodParts := strings.Split(good, ".")
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(k.rsa.Public()))})
	own, err := json.Marshal(published("rsa", k.other.Public()))
	if err != nil {
		t.Fatal(err)
	}
	rs := func(header, claims any) string { return sign(t, header, claims, k.rsa, crypto.SHA256) }
	by := func(key any) string { return sign(t, headerWith(nil), claimsWith(nil), key, crypto.SHA256) }
	forged := map[string]string{
		"empty":                                    "",
		"no token":                                 "hello",
		"two parts":                                goodParts[0] + "." + goodParts[1],
		"five parts":                               good + ".a.b",
		"longer than any":                          good + strings.Repeat("A", maxToken),
		"JSON instead of the compact form":         `{"payload":"` + goodParts[1] + `","protected":"` + goodParts[0] + `","signature":"` + goodParts[2] + `"}`,
		"alg none":                                 part(t, headerWith(object{"alg": "none"})) + "." + goodParts[1] + ".",
		"alg NONE with a signature":                part(t, headerWith(object{"alg": "NONE"})) + "." + goodParts[1] + "." + goodParts[2],
		"alg missing":                              rs(headerWith(object{"alg": nil}), claimsWith(nil)),
		"alg unknown":                              rs(headerWith(object{"alg": "RS1"}), claimsWith(nil)),
		"HS256 keyed with the public key as PEM":   sign(t, headerWith(object{"alg": "HS256"}), claimsWith(nil), publicPEM, crypto.SHA256),
		"HS256 keyed with the modulus":             sign(t, headerWith(object{"alg": "HS256"}), claimsWith(nil), k.rsa.N.Bytes(), crypto.SHA256),
		"RS256 said, ES256's key named":            rs(headerWith(object{"kid": "ec"}), claimsWith(nil)),
		"ES256 said, RSA's key named":              sign(t, headerWith(object{"alg": "ES256"}), claimsWith(nil), k.ec, crypto.SHA256),
		"ES256 with a signature of zeros":          part(t, headerWith(object{"alg": "ES256", "kid": "ec"})) + "." + goodParts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"signed by another key under our kid":      by(k.other),
		"no signature":                             goodParts[0] + "." + goodParts[1] + ".",
		"a signature cut short":                    good[:len(good)-8],
		"the claims exchanged under the signature": goodParts[0] + "." + part(t, claimsWith(object{"sub": "bob"})) + "." + goodParts[2],
		"the header exchanged under the signature": part(t, headerWith(object{"cty": "x"})) + "." + goodParts[1] + "." + goodParts[2],
		"an own key in the header (jwk)":           sign(t, headerWith(object{"jwk": json.RawMessage(own)}), claimsWith(nil), k.other, crypto.SHA256),
		"an own key in the header, no kid":         sign(t, headerWith(object{"jwk": json.RawMessage(own), "kid": nil}), claimsWith(nil), k.other, crypto.SHA256),
		"an own certificate in the header (x5c)":   sign(t, headerWith(object{"x5c": []string{"AAAA"}}), claimsWith(nil), k.other, crypto.SHA256),
		"keys of an own server (jku)":              sign(t, headerWith(object{"jku": "https://evil.example.com/jwks", "kid": "evil"}), claimsWith(nil), k.other, crypto.SHA256),
		"a kid that is a path":                     sign(t, headerWith(object{"kid": "../../../../dev/null"}), claimsWith(nil), []byte{}, 0),
		"a kid that is SQL":                        by2(t, object{"kid": "' UNION SELECT 'x"}),
		"a kid that nobody has":                    by2(t, object{"kid": "old"}),
		"no kid, though there are several keys":    by2(t, object{"kid": nil}),
		"a kid twice":                              rs(`{"alg":"RS256","typ":"at+jwt","kid":"rsa","kid":"rsa"}`, claimsWith(nil)),
		"a key that is for encryption":             sign(t, headerWith(object{"kid": "enc"}), claimsWith(nil), k.other, crypto.SHA256),
		"a key that is for another algorithm":      sign(t, headerWith(object{"kid": "ps"}), claimsWith(nil), k.other, crypto.SHA256),
		"an extension that must be understood":     rs(headerWith(object{"crit": []string{"exp"}, "exp": 1}), claimsWith(nil)),
		"an unencoded payload (b64)":               rs(headerWith(object{"crit": []string{"b64"}, "b64": false}), claimsWith(nil)),
		"an ID token, by its type":                 rs(headerWith(object{"typ": "JWT"}), claimsWith(nil)),
		"no type":                                  rs(headerWith(object{"typ": nil}), claimsWith(nil)),
		"a type of another use":                    rs(headerWith(object{"typ": "logout+jwt"}), claimsWith(nil)),
		"an ID token in an access token's clothes": rs(headerWith(nil), claimsWith(object{"nonce": "n"})),
		"an ID token of Cognito":                   rs(headerWith(nil), claimsWith(object{"token_use": "id"})),
		"an ID token of Keycloak":                  rs(headerWith(nil), claimsWith(object{"typ": "ID"})),
		"bound to a key of its holder (cnf)":       rs(headerWith(nil), claimsWith(object{"cnf": object{"jkt": "x"}})),
		"another issuer":                           rs(headerWith(nil), claimsWith(object{"iss": "https://evil.example.com"})),
		"the issuer with a slash":                  rs(headerWith(nil), claimsWith(object{"iss": issuer + "/"})),
		"no issuer":                                rs(headerWith(nil), claimsWith(object{"iss": nil})),
		"another audience":                         rs(headerWith(nil), claimsWith(object{"aud": "billing"})),
		"an audience that begins as ours":          rs(headerWith(nil), claimsWith(object{"aud": audience + "-test"})),
		"no audience":                              rs(headerWith(nil), claimsWith(object{"aud": nil})),
		"no audience in a list":                    rs(headerWith(nil), claimsWith(object{"aud": []string{}})),
		"expired":                                  rs(headerWith(nil), claimsWith(object{"exp": now().Add(-Leeway).Unix()})),
		"no end":                                   rs(headerWith(nil), claimsWith(object{"exp": nil})),
		"an end that is a text":                    rs(headerWith(nil), claimsWith(object{"exp": "never"})),
		"an end that is null":                      rs(headerWith(nil), strings.Replace(raw(t, claimsWith(nil)), fmt.Sprint(now().Add(time.Hour).Unix()), "null", 1)),
		"an end beyond all numbers":                rs(headerWith(nil), strings.Replace(raw(t, claimsWith(nil)), fmt.Sprint(now().Add(time.Hour).Unix()), "1e400", 1)),
		"two ends":                                 rs(headerWith(nil), strings.Replace(raw(t, claimsWith(object{"exp": 1})), `"exp":1`, fmt.Sprintf(`"exp":1,"exp":%d`, now().Add(time.Hour).Unix()), 1)),
		"not valid yet":                            rs(headerWith(nil), claimsWith(object{"nbf": now().Add(Leeway + time.Second).Unix()})),
		"issued in times to come":                  rs(headerWith(nil), claimsWith(object{"iat": now().Add(Leeway + time.Second).Unix()})),
		"no subject":                               rs(headerWith(nil), claimsWith(object{"sub": nil})),
		"an empty subject":                         rs(headerWith(nil), claimsWith(object{"sub": ""})),
		"a subject with a zero byte":               rs(headerWith(nil), claimsWith(object{"sub": "alice\x00key"})),
		"claims that are a list":                   rs(headerWith(nil), `[]`),
		"claims that are no JSON":                  rs(headerWith(nil), `x`),
	}
	if len(forged) < 25 {
		t.Fatalf("only %d forged tokens", len(forged))
	}
	for name, token := range forged {
		p, err := v.Authenticate(t.Context(), token)
		if p != nil || !errors.Is(err, access.ErrUnauthenticated) || err.(interface{ Unwrap() error }).Unwrap() == nil {
			t.Errorf("%s: got %v, %v", name, p, err)
		}
	}
	t.Logf("%d forged tokens were refused", len(forged))
}

// by2 makes a token that our own key signs, under another header.
func by2(t *testing.T, changes object) string {
	return sign(t, headerWith(changes), claimsWith(nil), keys().rsa, crypto.SHA256)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func raw(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRolesAreReadFromTheClaimThatIsNamed(t *testing.T) {
	for _, c := range []struct {
		claim  string
		claims object
		want   string
	}{
		{"roles", object{"roles": []string{"teller", "auditor", "teller", "root"}}, "[teller auditor]"},
		{"scope", object{"scope": "openid operator email"}, "[operator]"},
		{"realm_access.roles", object{"realm_access": object{"roles": []string{"customer"}}}, "[customer]"},
		{"realm_access.roles", object{"realm_access": "customer"}, "[]"},
		{"roles", object{"roles": nil}, "[]"},
		{"roles", object{"roles": 7}, "[]"},
		{"roles", object{"roles": []any{"teller", 7}}, "[]"},
	} {
		v, _ := fromFile(t, ours(t), func(o *Options) { o.Roles = c.claim })
		claims := claimsWith(object{"roles": nil})
		p, err := v.Authenticate(t.Context(), sign(t, headerWith(nil), over(claims, c.claims), keys().rsa, crypto.SHA256))
		if err != nil || fmt.Sprint(p.Roles) != c.want {
			t.Errorf("%s of %v: got %v, %v, want %s", c.claim, c.claims, p, err, c.want)
		}
	}
}

func TestKeysThatAreNotFitForSignaturesAreNotUsed(t *testing.T) {
	k := keys()
	for name, text := range map[string]string{
		"a short RSA key":       jwks(t, published("rsa", k.weak.Public())),
		"a private key":         jwks(t, published("rsa", k.rsa)),
		"a shared secret":       `{"keys":[{"kty":"oct","kid":"rsa","k":"c2VjcmV0"}]}`,
		"a key for encryption":  jwks(t, jose.JSONWebKey{KeyID: "rsa", Key: k.rsa.Public(), Use: "enc"}),
		"an unknown kind":       `{"keys":[{"kty":"new","kid":"rsa"}]}`,
		"nothing":               `{"keys":[]}`,
		"something else":        `<html>`,
		"one key in two shapes": `{"keys":[],"keys":[]}`,
	} {
		path := filepath.Join(t.TempDir(), "jwks.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := Open(context.Background(), Options{Issuer: issuer, Audience: audience, JWKSPath: path, Now: now, Log: slog.New(slog.DiscardHandler), Client: http.DefaultClient})
		if err == nil {
			t.Errorf("%s was taken", name)
			_ = v.Close()
		}
	}
}
