package engine

import (
	"context"
	"errors"
	"slices"
	"time"

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
		var head es.Position
		if head, err = e.Store.Head(ctx); err == nil && p > head {
			err = ErrPositionAhead.Say("The store's last event has position %d; there is no position %d yet.", head, p)
		}
	}
	return p, v, err
}

// walk calls f for each event of a stream up to the bound, oldest first.
func (e *Engine) walk(ctx context.Context, id es.StreamID, u Until, f func(*es.Recorded) error) error {
	position, version, err := e.bound(ctx, u)
	if err != nil {
		return err
	}
	for after := es.Version(0); ; {
		page, err := e.Store.ReadStream(ctx, id, after, pageSize)
		if err != nil {
			return err
		}
		for i := range page {
			if page[i].Position > position || page[i].Version > version {
				return nil
			}
			if err := f(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < pageSize {
			return nil
		}
		after = page[len(page)-1].Version
	}
}

// StateAt is the state of an aggregate at a moment of its history, folded from the nearest snapshot before. It is NotFound if the aggregate did not exist yet, and ErrNoVersion
// for a version it never had.
func (e *Engine) StateAt(ctx context.Context, m *es.Module, id string, u Until) (es.Folded, error) {
	f := es.Folded{Stream: m.Stream(id)}
	position, _, err := e.bound(ctx, u)
	if err == nil && u.Version > 0 {
		var at []es.Recorded
		if at, err = e.Store.ReadStream(ctx, f.Stream, u.Version-1, 1); len(at) > 0 {
			position = at[0].Position
		}
	}
	if err == nil {
		err = e.snapshots.fold(ctx, &f, position)
	}
	switch {
	case err != nil:
		return f, err
	case f.Version == 0:
		return f, e.notFound(m)
	case f.Version < u.Version:
		return f, ErrNoVersion.Say("The %s has %d versions so far; it never had version %d.", m.Noun, f.Version, u.Version)
	}
	return f, nil
}

// unreadable is the fault of a stream one of whose events could not be read or folded. Of an event that only a later build can
// read, it says which one that is.
func unreadable(err error) error {
	var later *es.UnreadableError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &later):
		return ErrStreamUnreadable.Say("An event of this account cannot be read by this build of Daybook, so nothing was decided on it: %s.", later).Because(err)
	}
	return ErrStreamUnreadable.Because(err)
}

// Entry is one movement of a balance.
type Entry struct {
	Recorded *es.Recorded
	Amount   int64 // by how much it moved the balance
	Balance  int64 // after it, in the order of the statement
}

// Statement is what moved an aggregate's balance over a period [From, To) of effective time, as known at a moment.
type Statement struct {
	Currency string
	Opening  int64
	Entries  []Entry // by effective time; entries of one time in the order they were recorded
	Closing  int64
}

// Statement makes the statement of a period; a zero from or to leaves that side open.
func (e *Engine) Statement(ctx context.Context, m *es.Module, id string, from, to time.Time, known Until) (Statement, error) {
	var s Statement
	entries, currency, err := e.entries(ctx, m, id, known)
	if err != nil {
		return s, err
	}
	s.Currency = currency
	for _, en := range entries {
		at := en.Recorded.EffectiveAt
		if !to.IsZero() && !at.Before(to) {
			continue
		}
		s.Closing += en.Amount
		if at.Before(from) {
			s.Opening += en.Amount
			continue
		}
		s.Entries = append(s.Entries, en)
	}
	slices.SortStableFunc(s.Entries, func(a, b Entry) int { return a.Recorded.EffectiveAt.Compare(b.Recorded.EffectiveAt) })
	balance := s.Opening
	for i := range s.Entries {
		balance += s.Entries[i].Amount
		s.Entries[i].Balance = balance
	}
	return s, nil
}

// BalanceEffective is the sum of what had happened in the world by t (included), as known at a moment.
func (e *Engine) BalanceEffective(ctx context.Context, m *es.Module, id string, t time.Time, known Until) (balance int64, currency string, err error) {
	entries, currency, err := e.entries(ctx, m, id, known)
	for _, en := range entries {
		if !en.Recorded.EffectiveAt.After(t) {
			balance += en.Amount
		}
	}
	return balance, currency, err
}

// entries gives all movements of a balance that were recorded up to a moment, in the order they were recorded.
func (e *Engine) entries(ctx context.Context, m *es.Module, id string, u Until) (entries []Entry, currency string, err error) {
	f := es.Folded{Stream: m.Stream(id)}
	err = e.walk(ctx, f.Stream, u, func(r *es.Recorded) error {
		ev, err := e.Registry.Decode(r)
		if err != nil {
			return unreadable(err)
		}
		if change, moves := m.Ledger.Amount(ev); moves {
			entries = append(entries, Entry{Recorded: r, Amount: change})
		}
		return unreadable(e.Registry.FoldDecoded(&f, r, ev))
	})
	if err == nil && f.Version == 0 {
		err = e.notFound(m)
	}
	return entries, m.Ledger.Currency(f.State), err
}

// Stream gives up to limit events of an aggregate after a version, and whether there are more.
func (e *Engine) Stream(ctx context.Context, m *es.Module, id string, after es.Version, limit int) (events []es.Recorded, more bool, err error) {
	events, err = e.Store.ReadStream(ctx, m.Stream(id), after, limit+1)
	if err == nil && len(events) == 0 {
		var first []es.Recorded
		if first, err = e.Store.ReadStream(ctx, m.Stream(id), 0, 1); err == nil && len(first) == 0 {
			err = e.notFound(m)
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
	page, err := e.Store.ReadFeed(ctx, p-1, 1)
	switch {
	case err != nil:
		return es.Recorded{}, err
	case len(page) == 0:
		return es.Recorded{}, ErrNoEvent
	}
	return page[0], nil
}

// Follow calls f with each event after a position, in order, those to come included, until ctx ends or f fails.
func (e *Engine) Follow(ctx context.Context, after es.Position, f func([]es.Recorded) error) error {
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
