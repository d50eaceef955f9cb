package engine

import (
	"cmp"
	"context"
	"errors"
	"time"

	"daybook/core/access"
	"daybook/core/es"
)

// Until says up to where the history of a stream is looked at; the zero Until is all of it. At most one field is set.
type Until struct {
	At       time.Time // recorded time, included
	Version  es.Version
	Position es.Position // of the store, included
}

// bound turns an Until into the last position and version to look at.
func (e *Engine) bound(ctx context.Context, u Until) (p es.Position, v es.Version, err error) {
	p, v = 1<<63, 1<<63
	switch {
	case !u.At.IsZero():
		p, err = e.Store.PositionAt(ctx, u.At)
	case u.Version > 0:
		v = u.Version
	case u.Position > 0:
		p = u.Position
		err = e.reached(ctx, p)
	}
	return p, v, err
}

// StateAt is the state of an aggregate at a moment of its history, folded from the nearest snapshot before. It is NotFound if the aggregate did not exist yet, and ErrNoVersion
// for a version it never had.
func (e *Engine) StateAt(ctx context.Context, m *es.Module, id string, u Until) (es.Folded, error) {
	f := es.Folded{Stream: m.Stream(id)}
	grant, err := e.may(ctx, access.Read)
	if err != nil {
		return f, err
	}
	position, _, err := e.bound(ctx, u)
	if err == nil && u.Version > 0 {
		var at []es.Recorded
		if at, err = e.Store.ReadStream(ctx, f.Stream, u.Version-1, 1); len(at) > 0 {
			position = at[0].Position
		}
	}
	if err == nil {
		var read since
		if read, err = e.snapshots.foldPast(ctx, &f, position); !unasked(err) {
			err = cmp.Or(e.covers(ctx, m, grant, f, read), err)
		}
	}
	switch {
	case err != nil:
		return f, err
	case f.Version == 0:
		return f, notFound(m)
	case f.Version < u.Version:
		return f, ErrNoVersion.Say("The %s has %d versions so far; it never had version %d.", m.Noun, f.Version, u.Version)
	}
	return f, nil
}

// unreadable is the fault of a stream one of whose events could not be read or folded. Of an event that only a later build can
// read, it is another one, and says which build that is.
func unreadable(err error) error {
	var later *es.UnreadableError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &later):
		return ErrLaterBuild.Say("An event of this account was written by a later build of Daybook than this process runs; nothing was done: %s.", later).Because(err)
	}
	return ErrStreamUnreadable.Because(err)
}

// Stream gives up to limit events of an aggregate after a version, and whether there are more.
func (e *Engine) Stream(ctx context.Context, m *es.Module, id string, after es.Version, limit int) (events []es.Recorded, more bool, err error) {
	if err = e.mayRead(ctx, m, id); err != nil {
		return nil, false, err
	}
	events, err = e.Store.ReadStream(ctx, m.Stream(id), after, limit+1)
	if err == nil && len(events) == 0 {
		var first []es.Recorded
		if first, err = e.Store.ReadStream(ctx, m.Stream(id), 0, 1); err == nil && len(first) == 0 {
			err = notFound(m)
		}
	}
	if len(events) > limit {
		return events[:limit], true, err
	}
	return events, false, err
}

// feedScan is how many events one request for events of one type looks through at the most.
const feedScan = 100_000

// Feed gives up to limit events after a position, of one type or, with "", of all. next is where to go on: the position of
// the last event looked at; at the head, more is false.
func (e *Engine) Feed(ctx context.Context, after es.Position, limit int, eventType string) (events []es.Recorded, next es.Position, more bool, err error) {
	if _, err := e.may(ctx, access.Feed); err != nil {
		return nil, 0, false, err
	}
	next = after
	size := pageSize
	if eventType == "" {
		size = min(limit+1, pageSize)
	}
	for scanned := 0; ; {
		page, err := e.Store.ReadFeed(ctx, next, size)
		if err != nil {
			return nil, 0, false, err
		}
		for _, r := range page {
			if eventType == "" || r.Type == eventType {
				if len(events) == limit {
					return events, next, true, nil
				}
				events = append(events, r)
			}
			next = r.Position
		}
		scanned += len(page)
		if len(page) < size {
			return events, next, false, nil
		}
		if scanned >= feedScan {
			return events, next, true, nil
		}
	}
}

// Event gives one event.
func (e *Engine) Event(ctx context.Context, p es.Position) (es.Recorded, error) {
	if _, err := e.may(ctx, access.Read); err != nil {
		return es.Recorded{}, err
	}
	page, err := e.Store.ReadFeed(ctx, p-1, 1)
	switch {
	case err != nil:
		return es.Recorded{}, err
	case len(page) == 0:
		return es.Recorded{}, ErrNoEvent
	}
	if err := e.mayReadEvent(ctx, &page[0]); err != nil {
		return es.Recorded{}, err
	}
	return page[0], nil
}

// MayFollow sees, before Follow, that whoever asks may, and that the store has got to the position.
func (e *Engine) MayFollow(ctx context.Context, after es.Position) error {
	if _, err := e.may(ctx, access.Feed); err != nil {
		return err
	}
	return e.reached(ctx, after)
}

// Follow calls f with each event after a position, in order, those to come included, until ctx ends or f fails.
func (e *Engine) Follow(ctx context.Context, after es.Position, f func([]es.Recorded) error) error {
	if _, err := e.may(ctx, access.Feed); err != nil {
		return err
	}
	for {
		if err := e.Store.Wait(ctx, after); err != nil {
			return err
		}
		page, err := e.Store.ReadFeed(ctx, after, pageSize)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			continue
		}
		if err := f(page); err != nil {
			return err
		}
		after = page[len(page)-1].Position
	}
}
