package archive

import (
	"context"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// Over gives the store with the archive behind it: a read gives the events that the store has forgotten as if it had not, from the
// archive, once each was compared with what the store still knows of it. All else is the store's own; it can copy itself
// (ports.BackupStore) if the store can. Without an archive, nil, reads that need a forgotten event fail with ErrArchiveMissing.
// It forgets only what the archive holds. Match says whether the two belong together. Closing it closes the store alone.
func Over(store ports.Store, a ports.Archive) ports.Store {
	o := &over{Store: store, archive: a}
	if copying, ok := store.(ports.BackupStore); ok {
		return &copyingOver{o, copying}
	}
	return o
}

type over struct {
	ports.Store
	archive ports.Archive
}

// copyingOver is an over whose store can copy itself.
type copyingOver struct {
	*over
	copying ports.BackupStore
}

// Backup implements ports.BackupStore. What the store has forgotten is not in the copy.
func (o *copyingOver) Backup(ctx context.Context, dir string) (ports.Backup, error) {
	return o.copying.Backup(ctx, dir)
}

// ReadFeed implements ports.Store.
func (o *over) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	events, err := o.Store.ReadFeed(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	return o.whole(ctx, events)
}

// ReadStream implements ports.Store.
func (o *over) ReadStream(ctx context.Context, stream es.StreamID, after es.Version, limit int) ([]es.Recorded, error) {
	events, err := o.Store.ReadStream(ctx, stream, after, limit)
	if err != nil {
		return nil, err
	}
	return o.whole(ctx, events)
}

// PositionAt implements ports.Store. The store's answer comes first: what it forgets after that, the archive knows.
func (o *over) PositionAt(ctx context.Context, t time.Time) (es.Position, error) {
	p, err := o.Store.PositionAt(ctx, t)
	if err != nil {
		return 0, err
	}
	archived, err := o.Archived(ctx)
	if err != nil || archived == 0 || p > archived {
		return p, err
	}
	if o.archive == nil {
		return 0, notAtHand(archived)
	}
	return o.archive.PositionAt(ctx, t)
}

// Forget implements ports.Store.
func (o *over) Forget(ctx context.Context, upTo es.Position) error {
	archived, err := o.Archived(ctx)
	if err != nil {
		return err
	}
	if upTo <= archived {
		return o.Store.Forget(ctx, upTo)
	}
	if o.archive == nil {
		return ports.ErrArchiveMissing.Say("The events up to position %d cannot be forgotten: no archive holds them. Set archive.url.", upTo)
	}
	end, err := o.archive.End(ctx)
	if err != nil {
		return err
	}
	if upTo > end {
		return ports.ErrArchiveMissing.Say("The events up to position %d cannot be forgotten: the archive ends at position %d. Nothing was done.", upTo, end)
	}
	return o.Store.Forget(ctx, upTo)
}

// Begin implements ports.Store. An archive may be slow, so it is read before the write lock is taken again.
func (o *over) Begin(ctx context.Context, needs ports.Needs) (ports.Unit, error) {
	var read map[es.Position]es.Recorded
	for {
		u, err := o.Store.Begin(ctx, needs)
		if err != nil {
			return nil, err
		}
		known := u.Known()
		filled, missing := fill(known.Tails, read)
		if len(missing) == 0 {
			if filled != nil {
				known.Tails = filled
				u = &unit{u, known}
			}
			return u, nil
		}
		u.Rollback()
		if read == nil {
			read = map[es.Position]es.Recorded{}
		}
		for _, places := range missing {
			events, err := o.whole(ctx, places)
			if err != nil {
				return nil, err
			}
			for i := range events {
				read[events[i].Position] = events[i]
			}
		}
	}
}

// unit is a unit of work that knows whole events.
type unit struct {
	ports.Unit
	known ports.Known
}

// Known implements ports.Unit.
func (u *unit) Known() ports.Known { return u.known }

// fill puts events that were read in the stead of places. It gives the tails with them, nil if there are no places, and by tail
// the places that were not read.
func fill(tails [][]es.Recorded, read map[es.Position]es.Recorded) (filled, missing [][]es.Recorded) {
	for t, tail := range tails {
		n := places(tail)
		if n == 0 {
			continue
		}
		if filled == nil {
			filled = append(filled, tails...)
		}
		whole := append([]es.Recorded(nil), tail...)
		var unread []es.Recorded
		for i := range whole {
			if !whole[i].Forgotten() {
				continue
			}
			if e, ok := read[whole[i].Position]; ok {
				whole[i] = e
			} else {
				unread = append(unread, whole[i])
			}
		}
		filled[t] = whole
		if len(unread) > 0 {
			missing = append(missing, unread)
		}
	}
	return filled, missing
}

// places is how many of the events the store has forgotten.
func places(events []es.Recorded) (n int) {
	for i := range events {
		if events[i].Forgotten() {
			n++
		}
	}
	return n
}

// whole gives the events with those that the store has forgotten from the archive. What the store gave is not written to.
func (o *over) whole(ctx context.Context, events []es.Recorded) ([]es.Recorded, error) {
	n := places(events)
	if n == 0 {
		return events, nil
	}
	at := make([]es.Position, 0, n)
	for i := range events {
		if events[i].Forgotten() {
			at = append(at, events[i].Position)
		}
	}
	if o.archive == nil {
		return nil, notAtHand(at[len(at)-1])
	}
	read, err := o.archive.Read(ctx, at)
	if err != nil {
		return nil, err
	}
	all := append([]es.Recorded(nil), events...)
	for i := range all {
		if !all[i].Forgotten() {
			continue
		}
		if err := isEventOf(&all[i], &read[0]); err != nil {
			return nil, err
		}
		all[i], read = read[0], read[1:]
	}
	return all, nil
}

// isEventOf checks an event of the archive against all that the store knows of its place.
func isEventOf(place, e *es.Recorded) error {
	switch {
	case e.Position != place.Position:
	case place.Stream != "" && (e.Stream != place.Stream || e.Version != place.Version):
	case place.Hash != es.Hash{} && e.Hash != place.Hash:
	default:
		return nil
	}
	return ports.ErrArchiveDamaged.Say("The archive is not that of this ledger, or was changed: the ledger has version %d of %s with the hash %s at position %d, and it has version %d of %s with the hash %s there.",
		place.Version, place.Stream, place.Hash, place.Position, e.Version, e.Stream, e.Hash)
}

func notAtHand(p es.Position) error {
	return ports.ErrArchiveMissing.Say("The event at position %d was moved to an archive, and this process was given none. Set archive.url to where it lies.", p)
}
