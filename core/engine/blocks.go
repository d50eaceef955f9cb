package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/core/recent"
)

// blocks are the movements of long streams, cut by version into blocks that are each sorted by effective time. They are made of
// the events once, kept in the store behind whoever asks, and of late in memory. Summaries of neighbouring blocks are kept
// together: most blocks need not be looked into. All methods may be called concurrently.
type blocks struct {
	*snapshots
	reading ports.Turn // one stream is read at a time, one block after another: several who ask for it share the work

	mu        sync.Mutex
	summaries *recent.Map[es.StreamID, []es.Summary] // of the first blocks of a stream, without gap; only added to
	used      *recent.Map[blockID, *es.Block]
}

// blockID names a full block of a stream by its number, from 0.
type blockID struct {
	stream es.StreamID
	number int
}

const (
	chapter          = 16   // blocks whose summaries are kept together
	blocksInMemory   = 1024 // of BlockSize movements, 24 bytes each
	streamsSummaries = 1024 // streams whose summaries are in memory
)

// What is kept of a stream beside its states has names that no stream has. Its number is the last version it covers.
const (
	blocksName    = "/blocks"
	summariesName = "/summaries"
)

func newBlocks(s *snapshots) *blocks {
	return &blocks{
		snapshots: s, reading: ports.NewTurn(context.Background()),
		summaries: recent.New[es.StreamID, []es.Summary](streamsSummaries), used: recent.New[blockID, *es.Block](blocksInMemory),
	}
}

// first is the first version in a block.
func (x *blocks) first(number int) es.Version { return es.Version(number*x.BlockSize) + 1 }

// upTo gives the summaries of the first n blocks of a stream, which has them all.
func (x *blocks) upTo(ctx context.Context, m *es.Module, stream es.StreamID, n int) ([]es.Summary, error) {
	known := func() []es.Summary {
		x.mu.Lock()
		defer x.mu.Unlock()
		all, _ := x.summaries.Get(stream)
		return all
	}
	for {
		if all := known(); len(all) >= n {
			return all[:n:n], nil
		}
		if err := x.reading.Take(ctx); err != nil {
			return nil, err
		}
		err := func() error {
			defer x.reading.End()
			all := known()
			if len(all) >= n {
				return nil
			}
			all, err := x.extend(ctx, m, stream, all, n)
			if err != nil {
				return err
			}
			x.mu.Lock()
			defer x.mu.Unlock()
			x.summaries.Put(stream, all)
			return nil
		}()
		if err != nil {
			return nil, err
		}
	}
}

// extend adds the summaries of the next chapter, if it is kept, or else of the next block.
func (x *blocks) extend(ctx context.Context, m *es.Module, stream es.StreamID, all []es.Summary, n int) ([]es.Summary, error) {
	number := len(all)
	if number%chapter == 0 && number+chapter <= n {
		if next := x.keptSummaries(ctx, stream, number); next != nil {
			return append(all, next...), nil
		}
	}
	b, err := x.block(ctx, m, stream, number, nil)
	if err != nil {
		return nil, err
	}
	all = append(all, b.Summary)
	if len(all)%chapter == 0 {
		begin := len(all) - chapter
		x.keep(ports.Snapshot{
			Stream: stream + summariesName, Position: es.Position(x.first(len(all)) - 1),
			Body: x.Registry.AppendSummaries(nil, stream, x.first(begin), all[begin:]),
		})
	}
	return all, nil
}

// block gives a full block of a stream. want is its summary, or nil if that is not known yet.
func (x *blocks) block(ctx context.Context, m *es.Module, stream es.StreamID, number int, want *es.Summary) (*es.Block, error) {
	id := blockID{stream, number}
	x.mu.Lock()
	b, ok := x.used.Get(id)
	x.mu.Unlock()
	if ok && (want == nil || b.Summary == *want) {
		return b, nil
	}
	b = x.keptBlock(ctx, stream, number, want)
	if b == nil {
		var err error
		if b, err = x.read(ctx, m, stream, x.first(number), x.first(number+1)-1); err != nil {
			return nil, err
		}
		if want != nil && b.Summary != *want {
			return nil, errMoved(stream)
		}
		x.keep(ports.Snapshot{
			Stream: stream + blocksName, Position: es.Position(x.first(number+1) - 1),
			Body: x.Registry.AppendBlock(nil, stream, x.first(number), b),
		})
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.used.Put(id, b)
	return b, nil
}

// errMoved: the store does not hold what it held before, which is damage or a store that was put back behind this process.
func errMoved(stream es.StreamID) error {
	return fmt.Errorf("engine: the events of %s are not what they were when they were last read", stream)
}

// read makes a block of the events of some versions of a stream, which has them all.
func (x *blocks) read(ctx context.Context, m *es.Module, stream es.StreamID, first, last es.Version) (*es.Block, error) {
	var movements []es.Movement
	for after := first - 1; ; {
		page, err := x.Store.ReadStream(ctx, stream, after, min(pageSize, int(last-after)))
		if err != nil {
			return nil, err
		}
		for i := range page {
			ev, err := x.Registry.Decode(&page[i])
			if err != nil {
				return nil, unreadable(err)
			}
			if amount, moves := m.Ledger.Amount(ev); moves {
				place := es.Place{At: page[i].EffectiveAt.UnixMicro(), Version: page[i].Version}
				movements = append(movements, es.Movement{Place: place, Amount: amount})
			}
		}
		after += es.Version(len(page))
		switch {
		case len(page) == 0:
			return nil, errMoved(stream)
		case after == last:
			return es.NewBlock(movements, &page[len(page)-1]), nil
		}
	}
}

// keptBlock is a block as it is kept, or nil. Against a summary that is known it need not be held against the events.
func (x *blocks) keptBlock(ctx context.Context, stream es.StreamID, number int, want *es.Summary) (b *es.Block) {
	last := x.first(number+1) - 1
	x.use(ctx, stream+blocksName, last, func(body []byte) (err error) {
		if b, err = x.Registry.ParseBlock(stream, x.first(number), body); err != nil {
			return err
		}
		if want == nil {
			err = x.holds(ctx, stream, last, &b.Summary)
		} else if b.Summary != *want {
			err = errors.New("engine: it does not sum up to what is known of it")
		}
		if err != nil {
			b = nil
		}
		return err
	})
	return b
}

// keptSummaries are those of a chapter as they are kept, or nil.
func (x *blocks) keptSummaries(ctx context.Context, stream es.StreamID, number int) (all []es.Summary) {
	last := x.first(number+chapter) - 1
	x.use(ctx, stream+summariesName, last, func(body []byte) (err error) {
		if all, err = x.Registry.ParseSummaries(stream, x.first(number), chapter, body); err != nil {
			return err
		}
		if err = x.holds(ctx, stream, last, &all[chapter-1]); err != nil {
			all = nil
		}
		return err
	})
	return all
}

// use calls f with what is kept under a name, if there is anything, and passes over what f says is of no use.
func (x *blocks) use(ctx context.Context, name es.StreamID, last es.Version, f func(body []byte) error) {
	if x.SnapshotEvery == 0 {
		return
	}
	kept, err := x.Store.Snapshot(ctx, name, es.Position(last))
	switch {
	case err != nil && ctx.Err() == nil:
		x.Observer.Failed("use a snapshot", err)
	case err != nil || kept == nil || kept.Position != es.Position(last):
	default:
		if err := f(kept.Body); err != nil && ctx.Err() == nil {
			x.ignore(name, kept.Position, err)
		}
	}
}

// holds reports whether the store has the event that is the last of what is summed up.
func (x *blocks) holds(ctx context.Context, stream es.StreamID, last es.Version, s *es.Summary) error {
	page, err := x.Store.ReadStream(ctx, stream, last-1, 1)
	if err != nil {
		return err
	}
	if len(page) == 0 || page[0].Position != s.Position || page[0].Hash != s.Hash {
		return fmt.Errorf("engine: it was made of version %d at position %d, where the store has no such event", last, s.Position)
	}
	return nil
}
