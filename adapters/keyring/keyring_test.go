package keyring

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"daybook/adapters/memstore"
	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)} }

func open(t *testing.T, store ports.Store, c *clock) *Ring {
	t.Helper()
	r, err := Open(t.Context(), Options{Store: store, Now: c.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func create(t *testing.T, r *Ring, n access.NewKey) (access.Key, string) {
	t.Helper()
	k, secret, err := r.Create(access.As(t.Context(), access.Local), n)
	if err != nil {
		t.Fatal(err)
	}
	return k, secret
}

func wantRefused(t *testing.T, r *Ring, secret, what string) {
	t.Helper()
	if p, err := r.Authenticate(secret); p != nil || !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("%s: got %v, %v", what, p, err)
	}
}

func wantSubject(t *testing.T, r *Ring, secret, subject string) {
	t.Helper()
	if p, err := r.Authenticate(secret); err != nil || p.Subject != subject {
		t.Errorf("got %v, %v, want %s", p, err, subject)
	}
}

func TestAKeyLetsItsSubjectInAndNothingElseDoes(t *testing.T) {
	r := open(t, memstore.New(), newClock())
	k, secret := create(t, r, access.NewKey{Subject: "till", Roles: []access.Role{access.Teller, access.Customer, access.Teller}})
	if !strings.HasPrefix(secret, access.KeyPrefix+k.Prefix+"_") || len(secret) != len("dbk_12345678_")+52 {
		t.Fatalf("the key is %q", secret)
	}
	p, err := r.Authenticate(secret)
	if err != nil || p.Subject != "till" || len(p.Roles) != 2 || !p.Has(access.Teller) || p.Has(access.Operator) {
		t.Fatalf("got %v, %v", p, err)
	}
	_, other := create(t, r, access.NewKey{Subject: "other", Roles: []access.Role{access.Auditor}})
	_, otherSecret, _ := strings.Cut(strings.TrimPrefix(other, access.KeyPrefix), "_")
	for what, forged := range map[string]string{
		"no text":                    "",
		"the prefix alone":           access.KeyPrefix + k.Prefix,
		"an empty secret":            access.KeyPrefix + k.Prefix + "_",
		"a letter less":              secret[:len(secret)-1],
		"a letter more":              secret + "a",
		"another last letter":        secret[:len(secret)-1] + string('a'+(secret[len(secret)-1]-'a'+1)%26),
		"capitals":                   strings.ToUpper(secret),
		"white space":                secret + " ",
		"another key's secret":       access.KeyPrefix + k.Prefix + "_" + otherSecret,
		"an unknown prefix":          access.KeyPrefix + "aaaaaaaa_" + otherSecret,
		"without the word before it": strings.TrimPrefix(secret, access.KeyPrefix),
		"the hash instead":           access.KeyPrefix + k.Prefix + "_" + strings.Repeat("0", 64),
	} {
		wantRefused(t, r, forged, what)
	}
}

func TestNothingThatIsStoredOrListedHoldsASecret(t *testing.T) {
	store := memstore.New()
	r := open(t, store, newClock())
	k, secret := create(t, r, access.NewKey{Subject: "till", Roles: []access.Role{access.Teller}})
	_, rotated, err := r.Rotate(t.Context(), k.Prefix, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	events, err := store.ReadFeed(t.Context(), 0, 100)
	if err != nil || len(events) != 3 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	for _, s := range []string{secret, rotated} {
		_, hidden, _ := strings.Cut(strings.TrimPrefix(s, access.KeyPrefix), "_")
		for _, e := range events {
			if strings.Contains(string(e.JSON()), hidden) {
				t.Errorf("%s holds the secret: %s", e.Type, e.JSON())
			}
		}
	}
}

func TestAKeyEndsWhenItExpires(t *testing.T) {
	c := newClock()
	r := open(t, memstore.New(), c)
	_, secret := create(t, r, access.NewKey{Subject: "till", Roles: []access.Role{access.Teller}, Expires: c.Now().Add(30 * time.Second).Add(time.Minute)})
	wantSubject(t, r, secret, "till")
	c.add(89 * time.Second)
	catchUp(t, r)
	wantSubject(t, r, secret, "till")
	c.add(time.Second)
	catchUp(t, r)
	wantRefused(t, r, secret, "at its end")
}

// catchUp does what the ring does by itself every few seconds, of which a clock that jumps knows nothing.
func catchUp(t *testing.T, r *Ring) {
	t.Helper()
	if err := r.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestARotatedKeyGoesOnForTheGraceAndTheNewOneAsLongAsTheOldOneWasMadeFor(t *testing.T) {
	c := newClock()
	r := open(t, memstore.New(), c)
	old, oldSecret := create(t, r, access.NewKey{Subject: "till", Roles: []access.Role{access.Teller}, Expires: c.Now().Add(48 * time.Hour)})
	c.add(24 * time.Hour)
	next, nextSecret, err := r.Rotate(t.Context(), old.Prefix, time.Hour)
	if err != nil || next.Replaces != old.Prefix || next.Subject != "till" {
		t.Fatalf("got %+v, %v", next, err)
	}
	if life := next.Expires.Sub(c.Now()); life < 47*time.Hour || life > 48*time.Hour {
		t.Errorf("the new key lives %v", life)
	}
	wantSubject(t, r, oldSecret, "till")
	wantSubject(t, r, nextSecret, "till")
	c.add(time.Hour)
	catchUp(t, r)
	wantRefused(t, r, oldSecret, "after the grace")
	wantSubject(t, r, nextSecret, "till")
	if _, _, err := r.Rotate(t.Context(), old.Prefix, 0); !errors.Is(err, access.ErrKeyEnded) {
		t.Errorf("a key that has ended was rotated: %v", err)
	}
}

func TestARevokedKeyEndsAtOnceAndInOtherProcessesToo(t *testing.T) {
	store, c := memstore.New(), newClock()
	here, there := open(t, store, c), open(t, store, c)
	k, secret := create(t, here, access.NewKey{Subject: "till", Roles: []access.Role{access.Teller}})
	catchUp(t, there)
	wantSubject(t, there, secret, "till")
	if _, err := here.Revoke(t.Context(), k.Prefix); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, here, secret, "here")
	deadline := time.Now().Add(10 * time.Second)
	for { // nobody asks there to look: the store wakes it
		if _, err := there.Authenticate(secret); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the other process still lets it in")
		}
		pause(t.Context(), time.Millisecond)
	}
	if again, err := here.Revoke(t.Context(), k.Prefix); err != nil || again.Revoked.IsZero() {
		t.Errorf("to revoke it again gives %+v, %v", again, err)
	}
	if _, err := here.Revoke(t.Context(), "aaaaaaaa"); !errors.Is(err, access.ErrNoKey) {
		t.Errorf("a key that never was: %v", err)
	}
}

// deaf is a store that stops to answer.
type deaf struct {
	ports.Store
	mu  sync.Mutex
	err error
}

func (d *deaf) fail() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *deaf) ReadStream(ctx context.Context, s es.StreamID, after es.Version, limit int) ([]es.Recorded, error) {
	if err := d.fail(); err != nil {
		return nil, err
	}
	return d.Store.ReadStream(ctx, s, after, limit)
}

func TestKeysAreNotTrustedWhenItIsNotKnownForTooLongWhichWereRevoked(t *testing.T) {
	c, store := newClock(), &deaf{Store: memstore.New()}
	r := open(t, store, c)
	_, secret := create(t, r, access.NewKey{Subject: "till", Roles: []access.Role{access.Teller}})
	store.mu.Lock()
	store.err = ports.ErrStoreUnavailable
	store.mu.Unlock()
	c.add(staleAfter)
	wantSubject(t, r, secret, "till")
	c.add(time.Second)
	if _, err := r.Authenticate(secret); !errors.Is(err, ports.ErrStoreUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestARingThatIsOpenedAgainKnowsTheSame(t *testing.T) {
	store, c := memstore.New(), newClock()
	first := open(t, store, c)
	k, secret := create(t, first, access.NewKey{Subject: "till", Roles: []access.Role{access.Teller}})
	gone, goneSecret := create(t, first, access.NewKey{Subject: "gone", Roles: []access.Role{access.Teller}})
	if _, err := first.Revoke(t.Context(), gone.Prefix); err != nil {
		t.Fatal(err)
	}
	wantSubject(t, first, secret, "till")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, store, c)
	wantSubject(t, second, secret, "till")
	wantRefused(t, second, goneSecret, "a revoked key after a restart")
	all, err := second.List(t.Context())
	if err != nil || len(all) != 2 || all[0].Prefix != k.Prefix || all[1].Revoked.IsZero() {
		t.Fatalf("got %+v, %v", all, err)
	}
	if !all[0].LastUsed.Equal(c.Now().Truncate(time.Hour)) {
		t.Errorf("it was last used at %v", all[0].LastUsed)
	}
}

func TestWhatAKeyCannotBeMadeForIsRefused(t *testing.T) {
	c := newClock()
	store := memstore.New()
	r := open(t, store, c)
	for what, n := range map[string]access.NewKey{
		"no subject":                {Roles: []access.Role{access.Teller}},
		"a subject with a line end": {Subject: "a\nb", Roles: []access.Role{access.Teller}},
		"a subject that is endless": {Subject: strings.Repeat("a", 10_000), Roles: []access.Role{access.Teller}},
		"no role":                   {Subject: "a"},
		"a role that is none":       {Subject: "a", Roles: []access.Role{"root"}},
		"an end in the past":        {Subject: "a", Roles: []access.Role{access.Teller}, Expires: c.Now().Add(-time.Hour)},
	} {
		if _, secret, err := r.Create(t.Context(), n); !errors.Is(err, access.ErrKeyRefused) || secret != "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if head, err := store.Head(t.Context()); head != 0 || err != nil {
		t.Errorf("something was written: %d, %v", head, err)
	}
}

func TestProcessesThatMakeKeysAtOnceAllGetThem(t *testing.T) {
	store, c := memstore.New(), newClock()
	rings := []*Ring{open(t, store, c), open(t, store, c), open(t, store, c)}
	var made sync.WaitGroup
	for _, r := range rings {
		made.Go(func() {
			for range 20 {
				if _, _, err := r.Create(context.Background(), access.NewKey{Subject: "a", Roles: []access.Role{access.Auditor}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	made.Wait()
	if all, err := rings[0].List(t.Context()); len(all) != 60 || err != nil {
		t.Errorf("%d keys, %v", len(all), err)
	}
}

func TestEventsThatAreNoKeysAreDamage(t *testing.T) {
	for name, e := range map[string]es.Recorded{
		"an unknown type":  {Type: "KeyLent", Schema: 1, Data: []byte(`{"prefix":"a"}`), Metadata: []byte(`{}`)},
		"a key of nowhere": {Type: TypeRevoked, Schema: 1, Data: []byte(`{"prefix":"a"}`), Metadata: []byte(`{}`)},
		"a hash too short": {Type: TypeCreated, Schema: 1, Data: []byte(`{"prefix":"a","hash":"AAAA"}`), Metadata: []byte(`{}`)},
	} {
		store, c := memstore.New(), newClock()
		if _, err := ports.Append(t.Context(), store, c.Now(), Stream, 0, e); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Store: store, Now: c.Now, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
