package wire

import (
	"time"

	"daybook/core/access"
)

// Key is an API key as clients see it.
type Key struct {
	Prefix   string        `json:"prefix"`
	Subject  string        `json:"subject"`
	Roles    []access.Role `json:"roles"`
	Created  time.Time     `json:"created"`
	Expires  time.Time     `json:"expires,omitzero"`
	Revoked  time.Time     `json:"revoked,omitzero"`
	Replaces string        `json:"replaces,omitempty"`
	LastUsed time.Time     `json:"lastUsed,omitzero"`
	Secret   string        `json:"key,omitempty"` // the whole key, in the one answer that gives it
}

// KeyOf gives a key the form that clients see. secret is "" but where it is given.
func KeyOf(k access.Key, secret string) Key {
	return Key{k.Prefix, k.Subject, k.Roles, k.Created, k.Expires, k.Revoked, k.Replaces, k.LastUsed, secret}
}

// Key is KeyOf undone, without the secret.
func (k *Key) Key() access.Key {
	return access.Key{
		Prefix: k.Prefix, Subject: k.Subject, Roles: k.Roles, Created: k.Created, Expires: k.Expires, Revoked: k.Revoked, Replaces: k.Replaces, LastUsed: k.LastUsed,
	}
}
