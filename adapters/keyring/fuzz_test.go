package keyring

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
)

// FuzzKeys lets anything be stored as an event of keys, and anything be shown as a key: damage changes nothing and is said to be
// damage, and nobody is let in but who shows a key of which the hash is known.
func FuzzKeys(f *testing.F) {
	const secret = "dbk_abcdefgh_secret"
	hash := sha256.Sum256([]byte(secret))
	created, err := json.Marshal(event{Prefix: "abcdefgh", Subject: "till", Roles: []access.Role{access.Teller}, Hash: hash[:]})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(TypeCreated, created, secret)
	f.Add(TypeEnding, []byte(`{"prefix":"abcdefgh","expires":"2020-01-01T00:00:00Z"}`), "dbk_abcdefgh_")
	f.Add(TypeRevoked, []byte(`{"prefix":"abcdefgh"}`), "abcdefgh_secret")
	f.Add("KeyLent", []byte(`{"prefix":"abcdefgh","roles":[""],"hash":"AA=="}`), "dbk__")
	f.Fuzz(func(t *testing.T, kind string, data []byte, shown string) {
		c := newClock()
		r := &Ring{options: Options{Now: c.Now}}
		r.keys.Store(&map[string]*entry{})
		r.known.Store(c.Now().UnixNano())
		if err := r.fold([]es.Recorded{{Type: TypeCreated, Version: 1, Data: created}}); err != nil {
			t.Fatal(err)
		}
		before := *r.keys.Load()
		if p, err := r.Authenticate(shown); err == nil && (shown != secret || p.Subject != "till") {
			t.Errorf("%q lets %+v in", shown, p)
		} else if err != nil && !errors.Is(err, access.ErrUnauthenticated) {
			t.Error(err)
		}
		if err := r.fold([]es.Recorded{{Type: kind, Version: 2, Data: data}}); err != nil {
			if fault.KindOf(err) != fault.Internal || !maps.Equal(before, *r.keys.Load()) || r.version != 1 {
				t.Errorf("%s %s: %v, at version %d", kind, data, err, r.version)
			}
			return
		}
		if e := (*r.keys.Load())["abcdefgh"]; e.hash != hash && kind != TypeCreated || r.version != 2 {
			t.Errorf("%s %s made the key %+v, at version %d", kind, data, e, r.version)
		}
		for prefix, e := range *r.keys.Load() {
			if p, err := r.Authenticate(access.KeyPrefix + prefix + "_"); err == nil && sha256.Sum256([]byte(access.KeyPrefix+prefix+"_")) != e.hash {
				t.Errorf("no secret lets %+v in", p)
			}
		}
	})
}
