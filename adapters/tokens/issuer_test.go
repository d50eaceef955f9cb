package tokens

import (
	"crypto"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"daybook/core/access"
)

// fakeIssuer is an issuer that changes its keys, goes away, and counts what it is asked.
type fakeIssuer struct {
	*httptest.Server
	mu     sync.Mutex
	keys   string
	named  string // as the issuer in its configuration; "": rightly
	keysAt string // "": where they are
	down   bool
	moved  bool
	asked  int // for its keys
}

func newIssuer(t *testing.T, keys string) *fakeIssuer {
	t.Helper()
	f := &fakeIssuer{keys: keys}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeIssuer) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.down:
		w.WriteHeader(http.StatusBadGateway)
	case r.URL.Path == "/.well-known/openid-configuration":
		named, at := f.named, f.keysAt
		if named == "" {
			named = f.URL
		}
		if at == "" {
			at = f.URL + "/keys"
		}
		_, _ = io.WriteString(w, `{"issuer":"`+named+`","jwks_uri":"`+at+`","token_endpoint":"x"}`)
	case f.moved:
		http.Redirect(w, r, "http://127.0.0.1:1/keys", http.StatusFound)
	default:
		f.asked++
		_, _ = io.WriteString(w, f.keys)
	}
}

func (f *fakeIssuer) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *fakeIssuer) timesAsked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func fromIssuer(t *testing.T, f *fakeIssuer, c *clock) *Verifier {
	t.Helper()
	v, err := Open(t.Context(), Options{Issuer: f.URL, Audience: audience, Now: c.now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// issued is a token that holds for a day.
func issued(t *testing.T, f *fakeIssuer, kid string, key any) string {
	t.Helper()
	return sign(t, headerWith(object{"kid": kid}), claimsWith(object{"iss": f.URL, "exp": now().Add(100 * time.Hour).Unix()}), key, crypto.SHA256)
}

func wantIn(t *testing.T, v *Verifier, token, when string) {
	t.Helper()
	if p, err := v.Authenticate(t.Context(), token); err != nil || p.Subject != "alice" {
		t.Errorf("%s: got %v, %v", when, p, err)
	}
}

func wantOut(t *testing.T, v *Verifier, token, when string, want error) {
	t.Helper()
	if p, err := v.Authenticate(t.Context(), token); p != nil || !errors.Is(err, want) {
		t.Errorf("%s: got %v, %v", when, p, err)
	}
}

func TestAKeyThatIsNewIsFoundAndOneThatWasTakenBackEndsWithoutARestart(t *testing.T) {
	k, c := keys(), &clock{at: now()}
	f := newIssuer(t, jwks(t, published("one", k.rsa.Public())))
	v := fromIssuer(t, f, c)
	first, second := issued(t, f, "one", k.rsa), issued(t, f, "two", k.other)
	wantIn(t, v, first, "the first key")
	f.change(func() { f.keys = jwks(t, published("two", k.other.Public())) })
	c.add(retryEvery)
	wantIn(t, v, second, "the new key")
	wantOut(t, v, first, "the key that was taken back, though its token was known", access.ErrUnauthenticated)
}

func TestTokensOfUnknownKeysDoNotHammerTheIssuer(t *testing.T) {
	k, c := keys(), &clock{at: now()}
	f := newIssuer(t, jwks(t, published("one", k.rsa.Public())))
	v := fromIssuer(t, f, c)
	c.add(time.Hour)
	before := f.timesAsked()
	var flood sync.WaitGroup
	for range 8 {
		flood.Go(func() {
			for range 50 {
				wantOut(t, v, issued(t, f, "none", k.other), "a key that nobody has", access.ErrUnauthenticated)
			}
		})
	}
	flood.Wait()
	if asked := f.timesAsked() - before; asked != 1 {
		t.Errorf("400 tokens made it ask %d times", asked)
	}
}

func TestAnIssuerThatIsDownLeavesTheKeysThatAreKnownForADay(t *testing.T) {
	k, c := keys(), &clock{at: now()}
	f := newIssuer(t, jwks(t, published("one", k.rsa.Public())))
	v := fromIssuer(t, f, c)
	token := issued(t, f, "one", k.rsa)
	f.change(func() { f.down = true })
	c.add(staleAfter)
	wantIn(t, v, token, "within a day")
	wantOut(t, v, issued(t, f, "two", k.other), "a key that is not known", access.ErrUnauthenticated)
	c.add(time.Second)
	wantOut(t, v, token, "after a day", ErrIssuerUnavailable)
	f.change(func() { f.down = false })
	c.add(retryEvery)
	wantIn(t, v, token, "when it is back")
}

func TestAProcessStartsWithoutItsIssuerAndSaysThatNothingCanBeChecked(t *testing.T) {
	k, c := keys(), &clock{at: now()}
	f := newIssuer(t, jwks(t, published("one", k.rsa.Public())))
	f.change(func() { f.down = true })
	v := fromIssuer(t, f, c)
	token := issued(t, f, "one", k.rsa)
	wantOut(t, v, token, "at first", ErrIssuerUnavailable)
	f.change(func() { f.down = false })
	c.add(retryEvery)
	wantIn(t, v, token, "when it is there")
}

func TestAnIssuerThatIsNotTheOneIsNotBelieved(t *testing.T) {
	k := keys()
	for name, change := range map[string]func(f *fakeIssuer){
		"its configuration is of another issuer": func(f *fakeIssuer) { f.named = "https://evil.example.com" },
		"its keys are fetched in the clear":      func(f *fakeIssuer) { f.keysAt = "http://192.0.2.1/keys" },
		"its keys are in a file":                 func(f *fakeIssuer) { f.keysAt = "file:///etc/passwd" },
		"its keys have moved":                    func(f *fakeIssuer) { f.moved = true },
		"its keys are a page":                    func(f *fakeIssuer) { f.keys = "<html>" },
		"its keys are endless":                   func(f *fakeIssuer) { f.keys = string(make([]byte, maxDocument+1)) },
	} {
		f := newIssuer(t, jwks(t, published("one", k.rsa.Public())))
		f.change(func() { change(f) })
		wantOut(t, fromIssuer(t, f, &clock{at: now()}), issued(t, f, "one", k.rsa), name, ErrIssuerUnavailable)
	}
}

func TestKeysThatCannotBeReadAnyMoreLeaveThoseBefore(t *testing.T) {
	k := keys()
	v, path := fromFile(t, jwks(t, published("rsa", k.rsa.Public())))
	for _, text := range []string{"<html>", `{"keys":[]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := v.keys.refresh(t.Context(), 0); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	wantIn(t, v, sign(t, headerWith(nil), claimsWith(nil), k.rsa, crypto.SHA256), "the key before")
	if err := os.WriteFile(path, []byte(jwks(t, published("rsa", k.other.Public()))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := v.keys.refresh(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	wantIn(t, v, sign(t, headerWith(nil), claimsWith(nil), k.other, crypto.SHA256), "the key of the new file")
}

func TestATokenThatIsRememberedEndsWhenItExpires(t *testing.T) {
	k, c := keys(), &clock{at: now()}
	f := newIssuer(t, jwks(t, published("one", k.rsa.Public())))
	v := fromIssuer(t, f, c)
	token := sign(t, headerWith(object{"kid": "one"}), claimsWith(object{"iss": f.URL, "exp": now().Add(time.Minute).Unix()}), k.rsa, crypto.SHA256)
	wantIn(t, v, token, "fresh")
	c.add(time.Minute + Leeway - time.Second)
	wantIn(t, v, token, "within the leeway")
	c.add(time.Second)
	wantOut(t, v, token, "after it", access.ErrUnauthenticated)
}

func TestAddressesOfIssuers(t *testing.T) {
	for address, good := range map[string]bool{
		"https://login.example.com": true, "https://login.example.com/realms/a": true, "http://127.0.0.1:8081": true, "http://localhost": true, "http://[::1]:1": true,
		"http://login.example.com": false, "ftp://x": false, "": false, "login.example.com": false, "https://user:password@x": false, "https://": false,
		"http://169.254.169.254/latest": false, "http://127.0.0.1.example.com": false,
	} {
		if err := CheckURL(address); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		}
	}
}
