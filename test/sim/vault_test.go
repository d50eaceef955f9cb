package sim

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// vault is an archive that all processes use.
type vault struct {
	mu     sync.Mutex
	events []es.Recorded
}

var _ ports.Archive = (*vault)(nil)

// End implements ports.Archive.
func (v *vault) End(context.Context) (es.Position, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return es.Position(len(v.events)), nil
}

// Add implements ports.Archive.
func (v *vault) Add(_ context.Context, events []es.Recorded) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(events) == 0 || len(events)%(1<<es.TreeStride) != 0 {
		return ports.ErrBatchRefused
	}
	for i := range events {
		if events[i].Forgotten() || events[i].Position != es.Position(len(v.events)+i+1) {
			return ports.ErrBatchRefused.Say("position %d does not come next", events[i].Position)
		}
	}
	v.events = append(v.events, slices.Clone(events)...)
	return nil
}

// Read implements ports.Archive.
func (v *vault) Read(_ context.Context, at []es.Position) ([]es.Recorded, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	events := make([]es.Recorded, len(at))
	for i, p := range at {
		if p < 1 || p > es.Position(len(v.events)) {
			return nil, ports.ErrArchiveMissing
		}
		events[i] = v.events[p-1]
	}
	return events, nil
}

// PositionAt implements ports.Archive.
func (v *vault) PositionAt(_ context.Context, t time.Time) (es.Position, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return es.Position(sort.Search(len(v.events), func(i int) bool { return v.events[i].RecordedAt.After(t) })), nil
}

// Check implements ports.Archive.
func (v *vault) Check(context.Context, func(es.Position)) error { return nil }

// Healthy implements ports.Archive.
func (v *vault) Healthy(context.Context) error { return nil }

// Close implements ports.Archive.
func (v *vault) Close() error { return nil }

// shelf is the vault as one process reaches it: as the store, it fails, does without a word what it is asked, or does it too late.
type shelf struct {
	*vault
	*process
}

var _ ports.Archive = (*shelf)(nil)

func (s *shelf) ask(ctx context.Context, k kind, what string, act func() error) error {
	return s.port(ctx, &call{from: s.process, kind: k, what: what, act: act}, ports.ErrArchiveUnavailable)
}

// End implements ports.Archive.
func (s *shelf) End(ctx context.Context) (end es.Position, err error) {
	err = s.ask(ctx, reads, "end of the archive", func() error {
		end, err = s.vault.End(ctx)
		return err
	})
	return end, err
}

// Add implements ports.Archive.
func (s *shelf) Add(ctx context.Context, events []es.Recorded) error {
	what := fmt.Sprintf("archive %d to %d", events[0].Position, events[len(events)-1].Position)
	return s.ask(ctx, changes, what, func() error { return s.vault.Add(ctx, events) })
}

// Read implements ports.Archive.
func (s *shelf) Read(ctx context.Context, at []es.Position) (events []es.Recorded, err error) {
	err = s.ask(ctx, reads, fmt.Sprintf("read %d events from %d on in the archive", len(at), at[0]), func() error {
		events, err = s.vault.Read(ctx, at)
		return err
	})
	return events, err
}

// PositionAt implements ports.Archive.
func (s *shelf) PositionAt(ctx context.Context, t time.Time) (p es.Position, err error) {
	err = s.ask(ctx, reads, fmt.Sprint("position in the archive at ", t), func() error {
		p, err = s.vault.PositionAt(ctx, t)
		return err
	})
	return p, err
}
