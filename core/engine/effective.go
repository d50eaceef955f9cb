package engine

import (
	"container/heap"
	"context"
	"time"

	"daybook/core/es"
)

// timeline is what moved the balance of a stream, as known at one version of it, in effective order.
type timeline struct {
	*blocks
	m         *es.Module
	known     es.Folded
	summaries []es.Summary // of its blocks by version; the last one may not be full
	rest      *es.Block    // that one; else nil
}

func (e *Engine) timeline(ctx context.Context, m *es.Module, id string, known Until) (*timeline, error) {
	f, err := e.StateAt(ctx, m, id, known)
	if err != nil {
		return nil, err
	}
	t := &timeline{blocks: e.blocks, m: m, known: f}
	full := int(f.Version) / e.BlockSize
	if t.summaries, err = e.blocks.upTo(ctx, m, f.Stream, full); err != nil {
		return nil, err
	}
	if first := e.blocks.first(full); first <= f.Version {
		if t.rest, err = e.blocks.read(ctx, m, f.Stream, first, f.Version); err != nil {
			return nil, err
		}
		t.summaries = append(t.summaries, t.rest.Summary)
	}
	return t, nil
}

func (t *timeline) at(ctx context.Context, number int) (*es.Block, error) {
	if t.rest != nil && number == len(t.summaries)-1 {
		return t.rest, nil
	}
	return t.block(ctx, t.m, t.known.Stream, number, &t.summaries[number])
}

// before is the balance before a place.
func (t *timeline) before(ctx context.Context, p es.Place) (sum int64, err error) {
	for i := range t.summaries {
		switch s := &t.summaries[i]; {
		case s.Last.Compare(p) < 0:
			sum += s.Total
		case s.First.Compare(p) < 0:
			b, err := t.at(ctx, i)
			if err != nil {
				return 0, err
			}
			sum += b.Sum(p)
		}
	}
	return sum, nil
}

// place is the first place at a moment, or later if it lies between two microseconds.
func place(t time.Time) es.Place {
	at := t.UnixMicro()
	if t.Nanosecond()%1000 > 0 {
		at++
	}
	return es.Place{At: at}
}

// Effective is a balance on both axes of time.
type Effective struct {
	Balance  int64
	Currency string
	Known    es.Folded // the aggregate as it was known
	KnownAt  time.Time // when it was known so
}

// BalanceEffective is the sum of what had happened in the world by t (included), as known at a moment. It takes about the same time
// for streams of any length and with any order of effective times, once it has been asked for.
func (e *Engine) BalanceEffective(ctx context.Context, m *es.Module, id string, t time.Time, known Until) (Effective, error) {
	line, err := e.timeline(ctx, m, id, known)
	if err != nil {
		return Effective{}, err
	}
	balance, err := line.before(ctx, es.Place{At: t.UnixMicro() + 1})
	if err != nil {
		return Effective{}, err
	}
	at, err := e.knownAt(ctx, &line.known, known)
	return Effective{balance, m.Ledger.Currency(line.known.State), line.known, at}, err
}

// knownAt is the recorded time that is meant by how much of a history is looked at.
func (e *Engine) knownAt(ctx context.Context, f *es.Folded, known Until) (time.Time, error) {
	switch {
	case known.Version > 0:
		return f.UpdatedAt, nil
	case known.Position > 0:
		page, err := e.Store.ReadFeed(ctx, known.Position-1, 1)
		if err == nil && len(page) == 0 {
			err = ErrPositionAhead
		}
		if err != nil {
			return time.Time{}, err
		}
		return page[0].RecordedAt, nil
	case known.At.IsZero():
		return e.Now(), nil
	}
	return known.At, nil
}

// merge gives the movements of a timeline from one place to another, not included, in effective order. It looks into a block when it
// comes to where that begins.
type merge struct {
	*timeline
	from, to es.Place
	sources  sources
}

// source is a block whose movements are not all given yet.
type source struct {
	next   es.Place // of its next movement, or before that while it has not been looked into
	number int
	block  *es.Block
	i      int
}

func (t *timeline) merge(from, to es.Place) *merge {
	g := &merge{timeline: t, from: from, to: to}
	for i := range t.summaries {
		if s := &t.summaries[i]; s.Last.Compare(from) >= 0 && s.First.Compare(to) < 0 {
			g.sources = append(g.sources, source{next: s.First, number: i})
		}
	}
	heap.Init(&g.sources)
	return g
}

// next gives the next movement; false: there are no more.
func (g *merge) next(ctx context.Context) (m es.Movement, ok bool, err error) {
	for len(g.sources) > 0 {
		s := &g.sources[0]
		if s.block == nil {
			if s.block, err = g.at(ctx, s.number); err != nil {
				return m, false, err
			}
			s.i = s.block.Before(g.from)
		} else if ok = s.next.Compare(g.to) < 0; !ok {
			return m, false, nil
		} else {
			m = s.block.At(s.i)
			s.i++
		}
		if s.i == s.block.Len() {
			heap.Pop(&g.sources)
		} else {
			s.next = s.block.At(s.i).Place
			heap.Fix(&g.sources, 0)
		}
		if ok {
			return m, true, nil
		}
	}
	return m, false, nil
}

// sources is a heap of them by their next movement.
type sources []source

func (s sources) Len() int           { return len(s) }
func (s sources) Less(i, j int) bool { return s[i].next.Compare(s[j].next) < 0 }
func (s sources) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *sources) Push(v any)        { *s = append(*s, v.(source)) }
func (s *sources) Pop() any {
	last := len(*s) - 1
	v := (*s)[last]
	(*s)[last] = source{} // its block may go
	*s = (*s)[:last]
	return v
}
