// Package keyring keeps API keys as events in a store of their own, the access ledger: created, ending, revoked. The state is folded in
// memory and follows the store, so that a key that another process revokes ends here too. Of a secret it keeps a hash alone. What a
// principal may do is not its business.
package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/ports"
)

// Stream is the stream of the keys' events.
const Stream es.StreamID = "keys"

// Types of the keys' events.
const (
	TypeCreated = "KeyCreated"
	TypeEnding  = "KeyEnding"
	TypeRevoked = "KeyRevoked"
)

// event is the data of all of them; each uses what it needs.
type event struct {
	Prefix   string        `json:"prefix"`
	Subject  string        `json:"subject,omitempty"`
	Roles    []access.Role `json:"roles,omitempty"`
	Hash     []byte        `json:"hash,omitempty"` // SHA-256 of the whole key
	Expires  *time.Time    `json:"expires,omitempty"`
	Replaces string        `json:"replaces,omitempty"`
	Reason   string        `json:"reason,omitempty"` // in the words of who asked; for the audit log alone
}

// Times of following. Together they are how long a key that another process revokes may still be taken here: it is usually gone in
// milliseconds, at the latest after pollEvery while the store answers, and after staleAfter if it does not.
const (
	pollEvery  = 5 * time.Second
	staleAfter = time.Minute
	usedEvery  = time.Hour   // how exactly it is known when a key was last used
	saveEvery  = time.Minute // how often that is written
	page       = 1000
)

// Options say what a ring is made of; all are required.
type Options struct {
	Store ports.Store
	Now   func() time.Time
	Log   *slog.Logger
}

// Ring is access.Keyring over a store. Open makes one.
type Ring struct {
	options Options
	life    context.Context
	end     context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex // held while events are read or written
	version es.Version // of the stream, up to which keys were folded
	order   []string   // prefixes in the order in which they were made
	keys    atomic.Pointer[map[string]*entry]
	known   atomic.Int64 // when the keys were last known to be all there are; Unix nanoseconds
}

// entry is a key as it is held; only used changes once it is in the map.
type entry struct {
	key   access.Key
	hash  [sha256.Size]byte
	used  *atomic.Int64 // hour of the last use, in Unix seconds; shared by all entries of one key
	saved *atomic.Int64
}

// Open reads the keys and follows the store until Close.
func Open(ctx context.Context, o Options) (*Ring, error) {
	r := &Ring{options: o}
	r.keys.Store(&map[string]*entry{})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.catchUp(ctx); err != nil {
		return nil, err
	}
	if err := r.readUses(ctx); err != nil {
		return nil, err
	}
	r.life, r.end = context.WithCancel(context.Background())
	r.running.Go(r.follow)
	r.running.Go(r.saveUses)
	return r, nil
}

// Close ends the following and writes when keys were last used. The store stays open.
func (r *Ring) Close() error {
	r.end()
	r.running.Wait()
	return nil
}

// follow takes up what other processes write.
func (r *Ring) follow() {
	for r.life.Err() == nil {
		head, err := r.options.Store.Head(r.life)
		if err == nil {
			err = r.refresh(r.life)
		}
		if err == nil {
			wait, cancel := context.WithTimeout(r.life, pollEvery)
			if err = r.options.Store.Wait(wait, head); errors.Is(err, context.DeadlineExceeded) {
				err = nil
			}
			cancel()
		}
		if err != nil && r.life.Err() == nil {
			r.options.Log.Warn("keys cannot be read; those that are known go on for a while", "error", err)
			pause(r.life, time.Second)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (r *Ring) refresh(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.catchUp(ctx)
}

// catchUp folds the events that are new. mu is held.
func (r *Ring) catchUp(ctx context.Context) error {
	began := r.options.Now()
	for {
		events, err := r.options.Store.ReadStream(ctx, Stream, r.version, page)
		if err != nil {
			return err
		}
		if err := r.fold(events); err != nil {
			return err
		}
		if len(events) < page {
			r.known.Store(began.UnixNano())
			return nil
		}
	}
}

// fold makes a new map out of the one before and the events. mu is held.
func (r *Ring) fold(events []es.Recorded) error {
	if len(events) == 0 {
		return nil
	}
	keys, order, version := maps.Clone(*r.keys.Load()), r.order, r.version
	for i := range events {
		e := &events[i]
		var d event
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return errDamaged.Because(err)
		}
		if e.Type == TypeCreated {
			if len(d.Hash) != sha256.Size {
				return errDamaged
			}
			order = append(order, d.Prefix)
			keys[d.Prefix] = &entry{
				key:  access.Key{Prefix: d.Prefix, Subject: d.Subject, Roles: d.Roles, Created: e.RecordedAt, Expires: moment(d.Expires), Replaces: d.Replaces},
				hash: [sha256.Size]byte(d.Hash), used: new(atomic.Int64), saved: new(atomic.Int64),
			}
			version = e.Version
			continue
		}
		before := keys[d.Prefix]
		if before == nil {
			return errDamaged
		}
		next := *before
		switch e.Type {
		case TypeEnding:
			next.key.Expires = moment(d.Expires)
		case TypeRevoked:
			next.key.Revoked = e.RecordedAt
		default:
			return errDamaged.Say("The access ledger has events of the type %q, which this build does not know: use the one that wrote them.", e.Type)
		}
		keys[d.Prefix], version = &next, e.Version
	}
	r.order, r.version = order, version
	r.keys.Store(&keys)
	return nil
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// List implements access.Keyring.
func (r *Ring) List(ctx context.Context) ([]access.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.catchUp(ctx); err != nil {
		return nil, err
	}
	keys := *r.keys.Load()
	list := make([]access.Key, 0, len(r.order))
	for _, prefix := range r.order {
		list = append(list, keys[prefix].shown())
	}
	return list, nil
}

// shown is the key as it may be shown.
func (e *entry) shown() access.Key {
	k := e.key
	k.Roles = slices.Clone(k.Roles)
	if used := e.used.Load(); used > 0 {
		k.LastUsed = time.Unix(used, 0).UTC()
	}
	return k
}
