package keyring

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// A key is dbk_, its prefix, _ and its secret, in the letters of base 32.
const (
	prefixBytes = 5  // 8 letters
	secretBytes = 32 // 256 bits, so a plain hash is enough: nobody can try them all
)

// letters writes bytes in lower case, without padding.
func letters(b []byte) string {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding).EncodeToString(b)
}

// errDamaged: what is stored are no keys' events.
var errDamaged = fault.New(fault.Internal, "store_damaged", "The access ledger is damaged: its keys cannot be read.")

// newSecret makes the prefix of a key and the whole key.
func newSecret() (prefix, secret string) {
	var random [prefixBytes + secretBytes]byte
	_, _ = rand.Read(random[:]) // never fails
	prefix = letters(random[:prefixBytes])
	return prefix, access.KeyPrefix + prefix + "_" + letters(random[prefixBytes:])
}

// Authenticate says whose key it is. It is access.ErrUnauthenticated, with the reason as its cause, for one that is unknown, has been
// changed or has ended; ports.ErrStoreUnavailable when it has not been known for too long which keys there are.
func (r *Ring) Authenticate(secret string) (*access.Principal, error) {
	now := r.options.Now()
	if now.Sub(time.Unix(0, r.known.Load())) > staleAfter {
		return nil, ports.ErrStoreUnavailable.Say("The access ledger cannot be reached, so nobody knows which keys still hold. Try again shortly.")
	}
	prefix, _, ok := strings.Cut(strings.TrimPrefix(secret, access.KeyPrefix), "_")
	if !ok {
		return nil, refuse("this is no key")
	}
	e := (*r.keys.Load())[prefix]
	if e == nil {
		return nil, refuse("there is no such key")
	}
	hash := sha256.Sum256([]byte(secret))
	switch {
	case subtle.ConstantTimeCompare(hash[:], e.hash[:]) != 1:
		return nil, refuse("the secret of the key " + prefix + " is wrong")
	case !e.key.Revoked.IsZero():
		return nil, refuse("the key " + prefix + " was revoked")
	case e.key.Ended(now):
		return nil, refuse("the key " + prefix + " has expired")
	}
	if hour := now.Truncate(usedEvery).Unix(); e.used.Load() < hour {
		e.used.Store(hour)
	}
	return &access.Principal{Subject: e.key.Subject, Roles: e.key.Roles}, nil
}

func refuse(why string) error { return access.ErrUnauthenticated.Because(errors.New(why)) }

// usedCheckpoint is the name under which it is kept when a key was last used. It may be lost in a crash, which is no harm.
func usedCheckpoint(prefix string) string { return "used:" + prefix }

func (r *Ring) readUses(ctx context.Context) error {
	uses, err := r.options.Store.Checkpoints(ctx)
	if err != nil {
		return err
	}
	for prefix, e := range *r.keys.Load() {
		if hour := int64(uses[usedCheckpoint(prefix)]); hour > 0 {
			e.used.Store(hour)
			e.saved.Store(hour)
		}
	}
	return nil
}

// saveUses writes now and then, and at the end, when keys were last used.
func (r *Ring) saveUses() {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-r.life.Done():
			ended = true
		}
		r.saveNow()
	}
}

func (r *Ring) saveNow() {
	ctx, cancel := context.WithTimeout(context.Background(), pollEvery)
	defer cancel()
	for prefix, e := range *r.keys.Load() {
		hour := e.used.Load()
		if hour == e.saved.Load() {
			continue
		}
		if err := r.options.Store.SaveCheckpoint(ctx, usedCheckpoint(prefix), 0, es.Position(hour)); err != nil {
			return // the next time
		}
		e.saved.Store(hour)
	}
}
