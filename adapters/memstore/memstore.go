// Package memstore is the store in memory: everything is gone when the process ends. It keeps the whole contract of
// ports.Store, so it serves demonstrations and is the store of all tests that are not about a database. Events are held
// as the JSON they would have on disk and as its parse, so that no store gives other bytes than this one. Nothing
// that touches a disk or a network may live here.
package memstore

import (
	"context"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// Store is a ports.Store in memory. New makes one.
type Store struct {
	turn ports.Turn // of units of work: the write lock
	head es.Watermark
	life context.Context // ends when the store is closed
	end  context.CancelFunc

	leases ports.LocalLeases

	mu          sync.RWMutex  // guards what follows
	events      []es.Recorded // up to archived they are places, with the time and the hash that they had
	archived    es.Position
	tree        es.Tree           // over events
	nodes       map[int][]es.Hash // of it, by level
	streams     map[es.StreamID][]es.Position
	outcomes    map[string]*ports.Outcome
	refusals    []*ports.Outcome // in the order they were kept
	newest      time.Time        // the latest recorded time seen, of events and outcomes
	checkpoints map[string]es.Position
	snapshots   map[es.StreamID][]ports.Snapshot // by position
}

// New gives an empty store.
func New() *Store {
	s := &Store{
		nodes:       map[int][]es.Hash{},
		streams:     map[es.StreamID][]es.Position{},
		outcomes:    map[string]*ports.Outcome{},
		checkpoints: map[string]es.Position{},
		snapshots:   map[es.StreamID][]ports.Snapshot{},
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.turn = ports.NewTurn(s.life)
	return s
}

// usable gives the reason why a call cannot go on: the store is closed or the caller's context has ended.
func (s *Store) usable(ctx context.Context) error {
	if s.life.Err() != nil {
		return ports.ErrStoreClosed
	}
	return ctx.Err()
}

// Head implements ports.Store.
func (s *Store) Head(ctx context.Context) (es.Position, error) {
	return s.head.At(), s.usable(ctx)
}

// ReadStream implements ports.Store.
func (s *Store) ReadStream(ctx context.Context, stream es.StreamID, after es.Version, limit int) ([]es.Recorded, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tail(stream, after, limit), nil
}

// tail gives events of a stream after the version; mu is held. A limit below zero means all.
func (s *Store) tail(stream es.StreamID, after es.Version, limit int) []es.Recorded {
	positions := s.streams[stream]
	if after >= es.Version(len(positions)) || limit == 0 {
		return nil
	}
	positions = positions[after:]
	if limit > 0 && limit < len(positions) {
		positions = positions[:limit]
	}
	events := make([]es.Recorded, len(positions))
	for i, p := range positions {
		events[i] = s.events[p-1]
	}
	return events
}

// ReadFeed implements ports.Store.
func (s *Store) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	head := es.Position(len(s.events))
	if after >= head || limit <= 0 {
		return nil, nil
	}
	return append([]es.Recorded(nil), s.events[after:after+min(head-after, es.Position(limit))]...), nil
}

// PositionAt implements ports.Store.
func (s *Store) PositionAt(ctx context.Context, t time.Time) (es.Position, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return es.Position(sort.Search(len(s.events), func(i int) bool { return s.events[i].RecordedAt.After(t) })), nil
}

// Archived implements ports.Store.
func (s *Store) Archived(ctx context.Context) (es.Position, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.archived, nil
}

// Forget implements ports.Store.
func (s *Store) Forget(ctx context.Context, upTo es.Position) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if upTo > 0 && upTo >= es.Position(len(s.events)) {
		return ports.ErrBatchRefused.Say("The last event of the store, at position %d, cannot be forgotten; nothing was.", len(s.events))
	}
	for ; s.archived < upTo; s.archived++ {
		e := &s.events[s.archived]
		*e = es.Recorded{Stream: e.Stream, Version: e.Version, Position: e.Position, RecordedAt: e.RecordedAt, Hash: e.Hash}
	}
	return nil
}

// Tree implements ports.Store.
func (s *Store) Tree(ctx context.Context) (es.Tree, error) {
	if err := s.usable(ctx); err != nil {
		return es.Tree{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tree.Clone(), nil
}

// TreeNodes implements ports.Store.
func (s *Store) TreeNodes(ctx context.Context, level int, first uint64, limit int) ([]es.Hash, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	nodes := s.nodes[level]
	nodes = nodes[min(first, uint64(len(nodes))):]
	return slices.Clone(nodes[:min(len(nodes), max(limit, 0))]), nil
}

// Outcome implements ports.Store.
func (s *Store) Outcome(ctx context.Context, key string) (*ports.Outcome, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.outcomes[key], nil
}

// Wait implements ports.Store.
func (s *Store) Wait(ctx context.Context, past es.Position) error {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.life, stop)()
	err := s.head.Wait(waiting, past+1)
	if s.life.Err() != nil {
		return ports.ErrStoreClosed
	}
	return err
}

// Checkpoint implements ports.Store.
func (s *Store) Checkpoint(ctx context.Context, name string) (es.Position, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.checkpoints[name], nil
}

// Checkpoints implements ports.Store.
func (s *Store) Checkpoints(ctx context.Context) (map[string]es.Position, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.checkpoints), nil
}

// SaveCheckpoint implements ports.Store.
func (s *Store) SaveCheckpoint(ctx context.Context, name string, token ports.Token, p es.Position) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.leases.Check(name, token); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checkpoints[name] = p
	return nil
}

// Lease implements ports.Store.
func (s *Store) Lease(ctx context.Context, name, holder string, ttl time.Duration) (ports.Token, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	return s.leases.Lease(name, holder, time.Now(), ttl)
}

// Release implements ports.Store.
func (s *Store) Release(ctx context.Context, name string, token ports.Token) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.leases.Release(name, token)
	return nil
}

// Close implements ports.Store.
func (s *Store) Close() error {
	s.mu.Lock() // a commit is before the close or refused, never in between
	defer s.mu.Unlock()
	s.end()
	return nil
}
