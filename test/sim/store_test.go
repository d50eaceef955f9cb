package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// database is what happens to the one store that all processes use: who has its write lock, whether it answers, and its clock.
type database struct {
	*world

	unit   *unit // that holds the write lock
	away   int   // nobody gets an answer before this step
	ahead  time.Duration
	leases ports.LocalLeases
	saved  map[string][]es.Position // all that was saved under a name, for a crash to lose
	given  map[grant]bool           // guarded by world.mu
}

// grant is a lease that a process was given, or asked for and may have been given.
type grant struct {
	lease   string
	process *process
	token   ports.Token
}

// checkToken checks that a process writes under a lease with a token that it was given.
func (d *database) checkToken(lease string, p *process, token ports.Token) {
	d.mu.Lock()
	ok := d.given[grant{lease, p, token}]
	d.mu.Unlock()
	if !ok {
		d.wrong("%s writes under the lease %s with the token %d, which it was never given", p.name, lease, token)
	}
}

// store is the store as one process reaches it: calls wait for their turn, fail, are done without a word, or end with the process.
type store struct {
	ports.Store
	*process
}

func (s *store) ask(ctx context.Context, k kind, what string, act func() error) error {
	return s.port(ctx, &call{from: s.process, kind: k, what: what, act: act}, ports.ErrStoreUnavailable)
}

// read is ask for what gives something and changes nothing.
func read[T any](ctx context.Context, s *store, what string, get func() (T, error)) (got T, err error) {
	err = s.ask(ctx, reads, what, func() (err error) {
		got, err = get()
		return err
	})
	return got, err
}

func (s *store) Head(ctx context.Context) (es.Position, error) {
	return read(ctx, s, "head", func() (es.Position, error) { return s.Store.Head(ctx) })
}

func (s *store) ReadStream(ctx context.Context, stream es.StreamID, after es.Version, limit int) ([]es.Recorded, error) {
	return read(ctx, s, fmt.Sprintf("read %s after %d", stream, after), func() ([]es.Recorded, error) { return s.Store.ReadStream(ctx, stream, after, limit) })
}

func (s *store) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	return read(ctx, s, fmt.Sprintf("read after %d", after), func() ([]es.Recorded, error) { return s.Store.ReadFeed(ctx, after, limit) })
}

func (s *store) Archived(ctx context.Context) (es.Position, error) {
	return read(ctx, s, "archived", func() (es.Position, error) { return s.Store.Archived(ctx) })
}

func (s *store) PositionAt(ctx context.Context, t time.Time) (es.Position, error) {
	return read(ctx, s, fmt.Sprint("position at ", t), func() (es.Position, error) { return s.Store.PositionAt(ctx, t) })
}

func (s *store) TreeNodes(ctx context.Context, level int, first uint64, limit int) ([]es.Hash, error) {
	return read(ctx, s, "nodes of the tree", func() ([]es.Hash, error) { return s.Store.TreeNodes(ctx, level, first, limit) })
}

func (s *store) Checkpoints(ctx context.Context) (map[string]es.Position, error) {
	return read(ctx, s, "checkpoints", func() (map[string]es.Position, error) { return s.Store.Checkpoints(ctx) })
}

func (s *store) Forget(ctx context.Context, upTo es.Position) error {
	return s.ask(ctx, changes, fmt.Sprint("forget up to ", upTo), func() error { return s.Store.Forget(context.WithoutCancel(ctx), upTo) })
}

func (s *store) Outcome(ctx context.Context, key string) (*ports.Outcome, error) {
	return read(ctx, s, "outcome "+key, func() (*ports.Outcome, error) { return s.Store.Outcome(ctx, key) })
}

func (s *store) Checkpoint(ctx context.Context, name string) (es.Position, error) {
	return read(ctx, s, "checkpoint "+name, func() (es.Position, error) { return s.Store.Checkpoint(ctx, name) })
}

// Wait has its turn only when there is something, so that it does not keep the scheduler busy.
func (s *store) Wait(ctx context.Context, past es.Position) error {
	return s.port(ctx, &call{
		from: s.process, kind: reads, what: fmt.Sprintf("wait past %d", past), act: func() error { return nil },
		ready: func() bool { return s.head() > past },
	}, ports.ErrStoreUnavailable)
}

// Snapshot may find that it is gone, or damaged.
func (s *store) Snapshot(ctx context.Context, stream es.StreamID, upTo es.Position) (*ports.Snapshot, error) {
	return read(ctx, s, fmt.Sprintf("snapshot of %s up to %d", stream, upTo), func() (*ports.Snapshot, error) {
		kept, err := s.Store.Snapshot(ctx, stream, upTo)
		switch {
		case err != nil || kept == nil || !s.storm:
		case s.random.Float64() < s.luck.forgotten:
			return nil, nil
		case s.random.Float64() < s.luck.damaged:
			kept.Body = bytes.Clone(kept.Body)
			kept.Body[s.random.IntN(len(kept.Body))] ^= 1 << s.random.IntN(8)
		}
		return kept, err
	})
}

func (s *store) SaveSnapshots(ctx context.Context, all []ports.Snapshot) error {
	return s.ask(ctx, changes, fmt.Sprintf("save %d snapshots", len(all)), func() error { return s.Store.SaveSnapshots(context.WithoutCancel(ctx), all) })
}

func (s *store) SaveCheckpoint(ctx context.Context, name string, token ports.Token, p es.Position) error {
	if token != 0 { // a rebuild needs none
		s.database.checkToken(name, s.process, token)
	}
	return s.ask(ctx, changes, fmt.Sprintf("save %s at %d", name, p), func() error {
		if err := s.database.leases.Check(name, token); err != nil {
			return err
		}
		s.database.saved[name] = append(s.database.saved[name], p)
		return s.Store.SaveCheckpoint(context.WithoutCancel(ctx), name, token, p)
	})
}

func (s *store) Lease(ctx context.Context, name, holder string, ttl time.Duration) (token ports.Token, err error) {
	err = s.ask(ctx, changes, "lease "+name, func() (err error) {
		token, err = s.database.leases.Lease(name, holder, time.Now().Add(s.database.ahead), ttl)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.database.given[grant{name, s.process, token}] = err == nil
		return err
	})
	return token, err
}

func (s *store) Release(ctx context.Context, name string, token ports.Token) error {
	return s.ask(ctx, changes, "release "+name, func() error {
		s.database.leases.Release(name, token)
		return nil
	})
}

// Begin waits for the write lock.
func (s *store) Begin(ctx context.Context, needs ports.Needs) (ports.Unit, error) {
	u := &unit{store: s, needs: needs}
	err := s.port(ctx, &call{
		from: s.process, kind: reads, what: fmt.Sprintf("begin %d keys, %d streams", len(needs.Keys), len(needs.Streams)),
		ready: func() bool { return s.database.unit == nil },
		act: func() (err error) {
			if u.Unit, err = s.Store.Begin(context.WithoutCancel(ctx), needs); err == nil {
				s.database.unit = u
			}
			return err
		},
	}, ports.ErrStoreUnavailable)
	if err != nil {
		return nil, err
	}
	return u, nil
}

// unit is one that a process has begun.
type unit struct {
	ports.Unit
	store *store
	needs ports.Needs
	ended bool // for its process
}

// Known leaves out what the process says that it knows, as a store may.
func (u *unit) Known() ports.Known {
	known := u.Unit.Known()
	for i, n := range u.needs.Streams {
		known.Tails[i] = slices.DeleteFunc(known.Tails[i], func(e es.Recorded) bool { return e.Position <= n.At })
	}
	return known
}

// Commit may end in doubt: then the write lock may be kept until the commit is done after all.
func (u *unit) Commit(ctx context.Context, b ports.Batch) error {
	s := u.store
	if u.ended {
		return errors.New("sim: the unit was ended before")
	}
	u.ended = true
	durable := context.WithoutCancel(ctx)
	c := &call{from: s.process, kind: commits, what: fmt.Sprintf("commit %d events, %d outcomes", len(b.Events), len(b.Outcomes))}
	c.undo = u.free
	c.act = func() error {
		if s.database.unit != u { // it was thrown out
			return ports.ErrStoreUnavailable
		}
		s.database.unit = nil
		return u.Unit.Commit(durable, b)
	}
	f, err := s.await(durable, c)
	switch {
	case err != nil:
		return err
	case f == good:
		return c.act()
	case f == inDoubtDone:
		err = c.act()
	case f == inDoubtLater:
		s.goOn(c)
	case f == dead:
		return ports.ErrStoreClosed
	default:
		u.free()
	}
	if f == refused || err != nil {
		return ports.ErrStoreUnavailable
	}
	return ports.ErrOutcomeUnknown
}

// goOn leaves a call on its way.
func (w *world) goOn(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	again := *c
	again.left, again.born = true, w.steps
	w.calls = append(w.calls, &again)
}

// Rollback implements ports.Unit.
func (u *unit) Rollback() {
	if !u.ended {
		u.ended = true
		u.free()
	}
}

// free gives the write lock back and writes nothing.
func (u *unit) free() {
	if u.store.database.unit == u {
		u.store.database.unit = nil
		u.Unit.Rollback()
	}
}
