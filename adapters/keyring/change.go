package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/ports"
)

// Limits of what a key can be made for.
const (
	leastLife = time.Minute
	mostGrace = 30 * 24 * time.Hour
)

// Create implements access.Keyring.
func (r *Ring) Create(ctx context.Context, n access.NewKey) (access.Key, string, error) {
	if err := r.check(n); err != nil {
		return access.Key{}, "", err
	}
	n.Roles = slices.Compact(slices.Sorted(slices.Values(n.Roles)))
	var prefix, secret string
	err := r.change(ctx, func(keys map[string]*entry) ([]es.Recorded, error) {
		for prefix, secret = newSecret(); keys[prefix] != nil; prefix, secret = newSecret() {
		}
		return []es.Recorded{draft(ctx, TypeCreated, created(prefix, secret, n, ""))}, nil
	})
	return r.made(prefix, secret, err)
}

// Rotate implements access.Keyring.
func (r *Ring) Rotate(ctx context.Context, old string, grace time.Duration) (access.Key, string, error) {
	if grace < 0 || grace > mostGrace {
		return access.Key{}, "", access.ErrKeyRefused.Say("The grace must be from 0 to %s.", mostGrace)
	}
	var prefix, secret string
	err := r.change(ctx, func(keys map[string]*entry) ([]es.Recorded, error) {
		now := r.options.Now().UTC().Truncate(time.Microsecond)
		e, err := running(keys, old, now)
		if err != nil {
			return nil, err
		}
		n := access.NewKey{Subject: e.key.Subject, Roles: e.key.Roles}
		if !e.key.Expires.IsZero() {
			n.Expires = now.Add(e.key.Expires.Sub(e.key.Created))
		}
		for prefix, secret = newSecret(); keys[prefix] != nil; prefix, secret = newSecret() {
		}
		ends := now.Add(grace)
		if !e.key.Expires.IsZero() && e.key.Expires.Before(ends) {
			ends = e.key.Expires
		}
		return []es.Recorded{
			draft(ctx, TypeCreated, created(prefix, secret, n, old)),
			draft(ctx, TypeEnding, event{Prefix: old, Expires: &ends}),
		}, nil
	})
	return r.made(prefix, secret, err)
}

// Revoke implements access.Keyring.
func (r *Ring) Revoke(ctx context.Context, prefix string) (access.Key, error) {
	err := r.change(ctx, func(keys map[string]*entry) ([]es.Recorded, error) {
		e := keys[prefix]
		if e == nil {
			return nil, access.ErrNoKey
		}
		if !e.key.Revoked.IsZero() {
			return nil, nil
		}
		return []es.Recorded{draft(ctx, TypeRevoked, event{Prefix: prefix})}, nil
	})
	k, _, err := r.made(prefix, "", err)
	return k, err
}

// check says what is wrong with what a key is to be made for.
func (r *Ring) check(n access.NewKey) error {
	text := es.Spec{Kind: es.KindText}
	if problem := text.CheckString(n.Subject); problem != "" {
		return access.ErrKeyRefused.Say("The subject %s.", problem).At("/subject", problem)
	}
	if len(n.Roles) == 0 {
		return access.ErrKeyRefused.Say("A key needs at least one role: customer, teller, auditor or operator.").At("/roles", "must name at least one")
	}
	for _, role := range n.Roles {
		if _, ok := access.ParseRole(string(role)); !ok {
			return access.ErrKeyRefused.Say("There is no such role; there are customer, teller, auditor and operator.").At("/roles", "must be of customer, teller, auditor, operator")
		}
	}
	if !n.Expires.IsZero() && n.Expires.Sub(r.options.Now()) < leastLife {
		return access.ErrKeyRefused.Say("The key would expire at %s, which is not a minute from now.", n.Expires.Format(time.RFC3339)).At("/expires", "must lie in the future")
	}
	return nil
}

// running finds a key that still lets somebody in.
func running(keys map[string]*entry, prefix string, now time.Time) (*entry, error) {
	switch e := keys[prefix]; {
	case e == nil:
		return nil, access.ErrNoKey
	case e.key.Ended(now):
		return nil, access.ErrKeyEnded
	default:
		return e, nil
	}
}

func created(prefix, secret string, n access.NewKey, replaces string) event {
	hash := sha256.Sum256([]byte(secret))
	e := event{Prefix: prefix, Subject: n.Subject, Roles: n.Roles, Hash: hash[:], Replaces: replaces}
	if !n.Expires.IsZero() {
		expires := n.Expires.UTC().Truncate(time.Microsecond)
		e.Expires = &expires
	}
	return e
}

// draft makes an event that says who asked for it.
func draft(ctx context.Context, name string, data event) es.Recorded {
	data.Reason = access.Reason(ctx)
	body, _ := json.Marshal(data) // texts, times and bytes: it cannot fail
	who := es.Metadata{RequestID: access.RequestID(ctx)}
	if p := access.Of(ctx); p != nil {
		who.Principal = p.Subject
	}
	return es.Recorded{Type: name, Schema: 1, Data: body, Metadata: who.AppendJSON(nil)}
}

// change decides on all keys there are and writes what was decided, again from the start if another process was faster.
func (r *Ring) change(ctx context.Context, decide func(keys map[string]*entry) ([]es.Recorded, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if err := r.catchUp(ctx); err != nil {
			return err
		}
		drafts, err := decide(*r.keys.Load())
		if err != nil || len(drafts) == 0 {
			return err
		}
		_, err = ports.Append(ctx, r.options.Store, r.options.Now(), Stream, r.version, drafts...)
		if errors.Is(err, ports.ErrVersionConflict) {
			continue
		}
		if err != nil {
			return err
		}
		return r.catchUp(ctx)
	}
}

// made gives the key as it is now.
func (r *Ring) made(prefix, secret string, err error) (access.Key, string, error) {
	if err != nil {
		return access.Key{}, "", err
	}
	return (*r.keys.Load())[prefix].shown(), secret, nil
}
