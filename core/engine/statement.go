package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"daybook/core/es"
)

// Entry is one movement of a balance.
type Entry struct {
	Recorded *es.Recorded
	Event    es.Event // in its Go type
	Amount   int64    // by how much it moved the balance
	Balance  int64    // after it, in the order of the statement
}

// Place is where the entry stands in its statement.
func (e *Entry) Place() es.Place {
	return es.Place{At: e.Recorded.EffectiveAt.UnixMicro(), Version: e.Recorded.Version}
}

// Period is what a statement is asked for: the effective times [From, To), of which the zero leaves that side open, as known at a moment.
type Period struct {
	From, To time.Time
	Known    Until
	After    *es.Place // only the entries after this one; nil: all
}

// Statement is what moved an aggregate's balance over a period, as known at one version of it. One goroutine uses it.
type Statement struct {
	Currency         string
	Opening, Closing int64     // of the period, whichever entries are asked for
	Known            es.Folded // the aggregate as it was known

	entries *merge
	balance int64       // after the last entry given
	ahead   es.Movement // the one after that
	more    bool
}

// Statement begins a statement. It holds the effective times and amounts of the blocks that it has come to and not left behind, and no
// more: its entries are read as they are asked for.
func (e *Engine) Statement(ctx context.Context, m *es.Module, id string, p Period) (*Statement, error) {
	line, err := e.timeline(ctx, m, id, p.Known)
	if err != nil {
		return nil, err
	}
	s := &Statement{Currency: m.Ledger.Currency(line.known.State), Known: line.known}
	from, to := es.Earliest(), es.Latest()
	if !p.From.IsZero() {
		from = place(p.From)
	}
	if !p.To.IsZero() {
		to = place(p.To)
	}
	if s.Opening, err = line.before(ctx, from); err != nil {
		return nil, err
	}
	if s.Closing, err = line.before(ctx, to); err != nil {
		return nil, err
	}
	s.balance = s.Opening
	if p.After != nil && p.After.Compare(from) >= 0 {
		from = es.Place{At: p.After.At, Version: p.After.Version + 1}
		if s.balance, err = line.before(ctx, from); err != nil {
			return nil, err
		}
	}
	s.entries = line.merge(from, to)
	return s, s.advance(ctx)
}

func (s *Statement) advance(ctx context.Context) (err error) {
	s.ahead, s.more, err = s.entries.next(ctx)
	return err
}

// More reports whether there are entries that Next has not given.
func (s *Statement) More() bool { return s.more }

// Next gives up to limit entries, by effective time; entries of one time in the order they were recorded. None: that was all.
func (s *Statement) Next(ctx context.Context, limit int) ([]Entry, error) {
	var movements []es.Movement
	for s.more && len(movements) < limit {
		movements = append(movements, s.ahead)
		if err := s.advance(ctx); err != nil {
			return nil, err
		}
	}
	entries, err := s.read(ctx, movements)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		s.balance += entries[i].Amount
		entries[i].Balance = s.balance
	}
	return entries, nil
}

// entryGap is how many events between two entries are rather read along than jumped over.
const entryGap = 64

// read reads the events of movements, those of neighbouring versions together.
func (s *Statement) read(ctx context.Context, movements []es.Movement) ([]Entry, error) {
	entries := make([]Entry, len(movements))
	order := make([]int, len(movements))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(movements[a].Version, movements[b].Version) })
	version := func(i int) es.Version { return movements[order[i]].Version }
	for i := 0; i < len(order); {
		first, end := version(i), i+1
		for end < len(order) && version(end)-version(end-1) <= entryGap && version(end)-first < pageSize {
			end++
		}
		page, err := s.entries.Store.ReadStream(ctx, s.Known.Stream, first-1, int(version(end-1)-first)+1)
		if err != nil {
			return nil, err
		}
		for ; i < end; i++ {
			at := int(version(i) - first)
			if at >= len(page) {
				return nil, errMoved(s.Known.Stream)
			}
			if entries[order[i]], err = s.entry(&page[at], &movements[order[i]]); err != nil {
				return nil, err
			}
		}
	}
	return entries, nil
}

// entry makes an entry of an event, which must say what the movement says.
func (s *Statement) entry(r *es.Recorded, m *es.Movement) (Entry, error) {
	ev, err := s.entries.Registry.Decode(r)
	if err != nil {
		return Entry{}, unreadable(err)
	}
	recorded := *r // the page may go
	e := Entry{Recorded: &recorded, Event: ev}
	e.Amount, _ = s.entries.m.Ledger.Amount(ev)
	if e.Amount != m.Amount || e.Place() != m.Place {
		return e, fmt.Errorf("%w: %s moves the balance by %d", errMoved(r.Stream), r.Position.EventID(), e.Amount)
	}
	return e, nil
}
