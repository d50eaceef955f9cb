package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// snapshots makes states out of history, from the nearest snapshot on, and keeps snapshots behind those who fold: whatever
// passes by a place for one offers it, and one goroutine writes them. What is offered while too many wait is dropped; the next
// one who comes by there offers it again.
type snapshots struct {
	*Options
	queue chan []es.Folded
	ready chan ports.Snapshot // to be written as they are

	// archived is up to where events were in the archive when this process looked last. A stream that begins there is read from a
	// snapshot on at once, as archives are slow.
	archived es.Watermark

	mu       sync.Mutex
	outdated map[*es.Module]bool // told of once: after an upgrade there may be many
}

const (
	snapshotQueue = 1024 // offers that may wait
	readyQueue    = 256  // as large ones
	snapshotBatch = 1000 // snapshots that are written together, about
	snapshotTries = 3    // snapshots that are looked at before a history is read without

	// snapshotPace is how long offers are gathered. Nobody waits for snapshots, and many at once take less from commands.
	snapshotPace = 100 * time.Millisecond

	archivedEvery = time.Minute // between two looks at what other processes have archived
)

func newSnapshots(o *Options) *snapshots {
	return &snapshots{Options: o, queue: make(chan []es.Folded, snapshotQueue), ready: make(chan ports.Snapshot, readyQueue), outdated: map[*es.Module]bool{}}
}

// due reports whether a stream that went from one version to a later one should get a snapshot there.
func (s *snapshots) due(before, after es.Version) bool {
	every := es.Version(s.SnapshotEvery)
	return every > 0 && before/every != after/every
}

// offer hands over states that no one changes any more. It does not wait.
func (s *snapshots) offer(states []es.Folded) {
	if len(states) == 0 {
		return
	}
	select {
	case s.queue <- states:
	default:
	}
}

// keep hands over what is to be kept as it is. It does not wait.
func (s *snapshots) keep(n ports.Snapshot) {
	if s.SnapshotEvery == 0 {
		return
	}
	select {
	case s.ready <- n:
	default:
	}
}

// run writes what is offered until ctx ends.
func (s *snapshots) run(ctx context.Context) {
	look := time.NewTicker(archivedEvery)
	defer look.Stop()
	err := s.seeArchived(ctx)
	for failures := 0; ctx.Err() == nil; {
		select {
		case <-look.C:
			err = s.seeArchived(ctx)
		case states := <-s.queue:
			pause(ctx, snapshotPace)
			err = s.save(ctx, s.gather(states))
		case n := <-s.ready:
			err = s.Store.SaveSnapshots(ctx, []ports.Snapshot{n})
		case <-ctx.Done():
		}
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			failures++
			s.Observer.Failed("write snapshots", err)
			pause(ctx, backoff(failures))
		}
	}
}

// seeArchived sees how much other processes have archived.
func (s *snapshots) seeArchived(ctx context.Context) error {
	at, err := s.Store.Archived(ctx)
	s.archived.Raise(at)
	return err
}

// gather adds what else waits.
func (s *snapshots) gather(states []es.Folded) []es.Folded {
	for len(states) < snapshotBatch {
		select {
		case more := <-s.queue:
			states = append(slices.Clip(states), more...)
		default:
			return states
		}
	}
	return states
}

func (s *snapshots) save(ctx context.Context, states []es.Folded) error {
	all := make([]ports.Snapshot, 0, len(states))
	for i := range states {
		f := &states[i]
		if !s.Registry.KeepsSnapshots(f.Stream) || f.Hash == (es.Hash{}) { // the latter of an event that is still to be sealed
			continue
		}
		body, err := s.Registry.AppendSnapshot(nil, f)
		if err != nil {
			s.Observer.Failed("make a snapshot", err)
			continue
		}
		all = append(all, ports.Snapshot{Stream: f.Stream, Position: f.Position, Body: body})
	}
	if len(all) == 0 {
		return nil
	}
	// gofail: var beforeSnapshotWrite struct{}
	err := s.Store.SaveSnapshots(ctx, all)
	// gofail: var afterSnapshotWrite struct{}
	return err
}

// unfoldable is the error for an event that cannot be folded into its stream's state.
type unfoldable struct {
	rec *es.Recorded
	err error
}

func (u *unfoldable) Error() string { return u.err.Error() }
func (u *unfoldable) Unwrap() error { return u.err }

// fold folds into f those events of its stream that it lacks, up to a position. An event that cannot be folded is
// ErrStreamUnreadable or ErrLaterBuild because of an unfoldable, and f is the state before it.
func (s *snapshots) fold(ctx context.Context, f *es.Folded, upTo es.Position) error {
	_, err := s.foldPast(ctx, f, upTo)
	return err
}

// foldPast is fold, and gives what was read of the stream beyond the position.
func (s *snapshots) foldPast(ctx context.Context, f *es.Folded, upTo es.Position) (since, error) {
	p := passage{snapshots: s, f: f, upTo: upTo}
	err := p.run(ctx)
	s.offer(p.made)
	return p.since, err
}

// since is how a stream went on after some position, as far as it was read.
type since struct {
	events []es.Recorded
	all    bool // there was nothing more
}

// foldNow folds f, which was folded up to where the events begin, on to the end of its stream.
func (s *snapshots) foldNow(ctx context.Context, f *es.Folded, read since) error {
	for i := range read.events {
		if err := s.add(f, &read.events[i]); err != nil {
			return unreadable(&unfoldable{&read.events[i], err})
		}
	}
	if read.all {
		return nil
	}
	return s.fold(ctx, f, toHead)
}

// add is the registry's Fold with a panic of a module turned into an error.
func (s *snapshots) add(f *es.Folded, rec *es.Recorded) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("engine: %s panicked when applied: %v\n%s", rec.Position.EventID(), r, debug.Stack())
		}
	}()
	return s.Registry.Fold(f, rec)
}

// passage is one fold on its way through a stream.
type passage struct {
	*snapshots
	f      *es.Folded
	upTo   es.Position
	stride int         // events that are read at first, and behind a snapshot
	made   []es.Folded // to be kept
	since  since
	broken []es.Position // where a snapshot has to be made again
}

// run reads as many events as lie between two snapshots first: mostly a stream is no longer than that, and nothing else need
// be looked at. Of a longer one, and of one that begins in the archive, it goes on at the nearest snapshot.
func (p *passage) run(ctx context.Context) error {
	look := p.SnapshotEvery > 0 && p.Registry.KeepsSnapshots(p.f.Stream)
	p.stride = pageSize
	if look {
		p.stride = min(pageSize, p.SnapshotEvery)
	}
	for limit := p.stride; ; limit = min(2*limit, pageSize) {
		if !look || p.f.Position >= p.archived.At() {
			page, err := p.Store.ReadStream(ctx, p.f.Stream, p.f.Version, limit)
			switch {
			case look && (errors.Is(err, ports.ErrArchiveUnavailable) || errors.Is(err, ports.ErrArchiveMissing)):
				if err := p.seeArchived(ctx); err != nil { // more lies there than this process knew of: a snapshot may do
					return err
				}
			case err != nil:
				return err
			default:
				last := len(page) < limit
				if done, err := p.take(page); err != nil || done || last {
					p.since.all = last && err == nil
					return err
				}
			}
		}
		if look {
			look = false
			page, found, err := p.nearest(ctx)
			if err != nil {
				return err
			}
			if found {
				p.made = p.made[:0] // lies before the snapshot
			}
			last := found && len(page) < p.stride
			if done, err := p.take(page); err != nil || done || last {
				p.since.all = last && err == nil
				return err
			}
		}
	}
}

// take folds a page, and reports whether that was all.
func (p *passage) take(page []es.Recorded) (done bool, err error) {
	for i := range page {
		rec, before := &page[i], p.f.Version
		if rec.Position > p.upTo {
			p.since.events = page[i:]
			return true, nil
		}
		if err := p.add(p.f, rec); err != nil {
			return true, unreadable(&unfoldable{rec, err})
		}
		if p.due(before, rec.Version) || slices.Contains(p.broken, rec.Position) {
			p.made = append(p.made, *p.f)
			if len(p.made) >= snapshotBatch {
				p.offer(p.made)
				p.made = nil
			}
		}
	}
	return p.f.Position >= p.upTo, nil
}

// nearest moves the state to the last snapshot that is of use, if one is ahead of it, and gives the events that follow, up to
// where the next snapshot should be.
func (p *passage) nearest(ctx context.Context) (after []es.Recorded, found bool, err error) {
	upTo := p.upTo
	for range snapshotTries {
		kept, err := p.Store.Snapshot(ctx, p.f.Stream, upTo)
		if err != nil {
			if ctx.Err() == nil {
				p.Observer.Failed("use a snapshot", err)
			}
			return nil, false, ctx.Err()
		}
		if kept == nil || kept.Position <= p.f.Position {
			return nil, false, nil
		}
		f, unfit := p.parse(kept, upTo)
		if unfit == nil {
			page, fits, err := p.following(ctx, &f)
			if err != nil {
				return nil, false, err
			}
			if fits {
				*p.f = f
				return page, true, nil
			}
			unfit = fmt.Errorf("engine: it was made after version %d at position %d, where the store has no such event", f.Version, f.Position)
		}
		p.ignore(p.f.Stream, kept.Position, unfit)
		p.broken = append(p.broken, kept.Position)
		upTo = min(upTo, kept.Position) - 1
	}
	return nil, false, nil
}

// following gives the events that follow a snapshot, and whether the event that it was made after is that of the store. Where that one
// lies in the archive, the next one tells, as its hash is made with the one before: an archive is slow, and may be away.
func (p *passage) following(ctx context.Context, f *es.Folded) (page []es.Recorded, fits bool, err error) {
	if f.Position <= p.archived.At() {
		page, err = p.Store.ReadStream(ctx, p.f.Stream, f.Version, p.stride)
		if err != nil || len(page) > 0 {
			return page, err == nil && page[0].Hash == page[0].HashAfter(f.Hash), err
		}
	}
	page, err = p.Store.ReadStream(ctx, p.f.Stream, f.Version-1, p.stride+1)
	if err != nil || len(page) == 0 {
		return nil, false, err
	}
	return page[1:], page[0].Position == f.Position && page[0].Hash == f.Hash && page[0].RecordedAt.Equal(f.UpdatedAt), nil
}

// parse reads a snapshot and holds it against what it was asked for and what is known of the stream.
func (p *passage) parse(kept *ports.Snapshot, upTo es.Position) (es.Folded, error) {
	f, err := p.Registry.ParseSnapshot(p.f.Stream, kept.Body)
	switch {
	case err != nil:
		return f, err
	case f.Position != kept.Position || f.Position > upTo || f.Version <= p.f.Version, p.f.Version > 0 && !f.CreatedAt.Equal(p.f.CreatedAt):
		return f, fmt.Errorf("engine: it is of version %d at position %d of a stream that began at %v", f.Version, f.Position, f.CreatedAt)
	}
	return f, nil
}

// ignore tells that a snapshot is passed over.
func (s *snapshots) ignore(stream es.StreamID, at es.Position, why error) {
	about := fmt.Sprintf("the snapshot of %s at position %d is passed over and made again from the events; no figure is wrong", stream, at)
	if errors.Is(why, es.ErrSnapshotShape) {
		m := s.Registry.ModuleOf(stream)
		s.mu.Lock()
		told := s.outdated[m]
		s.outdated[m] = true
		s.mu.Unlock()
		if told {
			return
		}
		about = fmt.Sprintf("snapshots of %s are of another build's shape: they are passed over, and made again as streams are read", m.Name)
	}
	s.Observer.Failed("use a snapshot", fmt.Errorf("engine: %s: %w", about, why))
}
