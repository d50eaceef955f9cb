package contract

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// node is how many events make a full node of level 1.
const node = 1 << es.TreeStride

// Archive runs the contract of ports.Archive. place gives an empty place for one, and how it is opened there: each time anew, as
// another process does it. The suite closes what it opens.
func Archive(t *testing.T, place func(t *testing.T) (open func(t *testing.T) ports.Archive)) {
	for _, c := range append(archiveReading(), archiveAdding()...) {
		t.Run(c.sentence, func(t *testing.T) {
			open := place(t)
			c.run(t, func() ports.Archive {
				a := open(t)
				t.Cleanup(func() {
					if err := a.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				})
				return a
			})
		})
	}
}

// archiveCase is one sentence of the contract; open opens the same place each time.
type archiveCase struct {
	sentence string
	run      func(t *testing.T, open func() ports.Archive)
}

// Sealed gives the first n events of a ledger as a store gives them back. Those of one command, three at a time, share their time.
func Sealed(t testing.TB, n int) []es.Recorded {
	t.Helper()
	next := &ports.Continuation{
		Ends: map[es.StreamID]ports.StreamEnd{},
		End:  func(es.StreamID) (ports.StreamEnd, error) { return ports.StreamEnd{}, nil },
	}
	events := sequence(n, "a", "b", "c", "d", "e")
	for i := range events {
		e := &events[i]
		e.RecordedAt = epoch.Add(time.Duration(i/3) * time.Second)
		if err := next.Take(e); err != nil {
			t.Fatal(err)
		}
		var err error
		if *e, err = es.ParseRecorded(e.JSON()); err != nil {
			t.Fatal(err)
		}
	}
	return events
}

func addEvents(t *testing.T, a ports.Archive, events []es.Recorded) {
	t.Helper()
	if err := a.Add(t.Context(), events); err != nil {
		t.Fatalf("add positions %d to %d: %v", events[0].Position, events[len(events)-1].Position, err)
	}
}

func wantArchiveEnd(t *testing.T, a ports.Archive, want es.Position) {
	t.Helper()
	if got, err := a.End(t.Context()); err != nil || got != want {
		t.Fatalf("the archive ends at %d (%v), want %d", got, err, want)
	}
}

// wantArchived reads events by their positions.
func wantArchived(t *testing.T, a ports.Archive, want []es.Recorded) {
	t.Helper()
	at := make([]es.Position, len(want))
	for i := range want {
		at[i] = want[i].Position
	}
	got, err := a.Read(t.Context(), at)
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %d events of %d: %v", len(got), len(want), err)
	}
	for i := range want {
		if !sameFields(&got[i], &want[i]) {
			t.Fatalf("position %d is\n%+v\n%s\nwant\n%+v\n%s", want[i].Position, got[i], got[i].JSON(), want[i], want[i].JSON())
		}
	}
}

func archiveReading() []archiveCase {
	return []archiveCase{
		{"one that can be used is healthy, be it empty or not", func(t *testing.T, open func() ports.Archive) {
			a := open()
			empty := a.Healthy(t.Context())
			addEvents(t, a, Sealed(t, node))
			if err := errors.Join(empty, a.Healthy(t.Context()), open().Healthy(t.Context())); err != nil {
				t.Error(err)
			}
		}},
		{"an empty archive ends at zero, holds no event, has none at any time, and is whole", func(t *testing.T, open func() ports.Archive) {
			a := open()
			wantArchiveEnd(t, a, 0)
			wantArchived(t, a, nil)
			for _, p := range []es.Position{0, 1, 1 << 40} {
				if _, err := a.Read(t.Context(), []es.Position{p}); !errors.Is(err, ports.ErrArchiveMissing) {
					t.Errorf("position %d: %v", p, err)
				}
			}
			if p, err := a.PositionAt(t.Context(), epoch); p != 0 || err != nil {
				t.Errorf("at a time there is position %d, %v", p, err)
			}
			if err := a.Check(t.Context(), func(p es.Position) { t.Errorf("told of position %d", p) }); err != nil {
				t.Error(err)
			}
		}},
		{"the events at any positions that rise are given, byte for byte as they were stored, and no others", func(t *testing.T, open func() ports.Archive) {
			a, events := open(), Sealed(t, 6*node)
			addEvents(t, a, events[:2*node])
			addEvents(t, a, events[2*node:3*node])
			addEvents(t, a, events[3*node:])
			for _, reader := range []ports.Archive{a, open()} {
				for _, step := range []int{1000, 1, 7, node - 1, node, node + 1, 3 * node} {
					for _, start := range []int{0, 1, node - 1, node, 6*node - 1} {
						var want []es.Recorded
						for i := start; i < len(events); i += step {
							want = append(want, events[i])
						}
						wantArchived(t, reader, want)
					}
				}
				for _, at := range [][]es.Position{{0}, {6*node + 1}, {1, 6*node + 1}} {
					if got, err := reader.Read(t.Context(), at); !errors.Is(err, ports.ErrArchiveMissing) || len(got) > 0 {
						t.Errorf("positions %d: got %d events, %v", at, len(got), err)
					}
				}
			}
		}},
		{"the position at a time is that of the last event recorded at or before it", func(t *testing.T, open func() ports.Archive) {
			a, events := open(), Sealed(t, 4*node)
			addEvents(t, a, events[:2*node])
			addEvents(t, a, events[2*node:3*node])
			addEvents(t, a, events[3*node:])
			for _, reader := range []ports.Archive{a, open()} {
				for i := range events {
					for _, off := range []time.Duration{-time.Microsecond, 0, time.Microsecond} {
						when, want := events[i].RecordedAt.Add(off), es.Position(0)
						for j := max(0, i-4); j < len(events) && !events[j].RecordedAt.After(when); j++ {
							want = events[j].Position
						}
						if got, err := reader.PositionAt(t.Context(), when); err != nil || got != want {
							t.Fatalf("at %s there is position %d (%v), want %d", when, got, err, want)
						}
					}
				}
			}
		}},
		{"a check tells the positions that it has got to", func(t *testing.T, open func() ports.Archive) {
			a, events := open(), Sealed(t, 3*node)
			addEvents(t, a, events[:node])
			addEvents(t, a, events[node:])
			last := es.Position(0)
			err := a.Check(t.Context(), func(p es.Position) {
				if p <= last {
					t.Errorf("position %d after %d", p, last)
				}
				last = p
			})
			if err != nil || last != 3*node {
				t.Errorf("it got to %d: %v", last, err)
			}
		}},
		{"what another process adds is there for all", func(t *testing.T, open func() ports.Archive) {
			a, b, events := open(), open(), Sealed(t, 3*node)
			for n := 0; n < len(events); n += node {
				addEvents(t, a, events[n:n+node])
				if p, err := b.PositionAt(t.Context(), events[n+node-1].RecordedAt); err != nil || p != es.Position(n+node) {
					t.Errorf("at the last time there is position %d: %v", p, err)
				}
				wantArchived(t, b, events[:n+node])
				wantArchiveEnd(t, b, es.Position(n+node))
				a, b = b, a
			}
		}},
		{"all methods may be called concurrently", archiveAtOnce},
		{"closing ends all use, and closing twice is no error", func(t *testing.T, open func() ports.Archive) {
			a, events := open(), Sealed(t, node)
			addEvents(t, a, events)
			wantArchived(t, a, events)
			if err := errors.Join(a.Close(), a.Close()); err != nil {
				t.Error(err)
			}
			ctx := t.Context()
			_, ended := a.End(ctx)
			_, read := a.Read(ctx, []es.Position{1})
			_, at := a.PositionAt(ctx, epoch)
			for what, err := range map[string]error{
				"end": ended, "read": read, "position at": at, "add": a.Add(ctx, events), "check": a.Check(ctx, func(es.Position) {}), "healthy": a.Healthy(ctx),
			} {
				if !errors.Is(err, ports.ErrArchiveUnavailable) {
					t.Errorf("%s after close: %v", what, err)
				}
			}
		}},
		{"a context that ends makes a call return its error, and nothing is added", func(t *testing.T, open func() ports.Archive) {
			a, events := open(), Sealed(t, 2*node)
			addEvents(t, a, events[:node])
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if err := a.Add(ctx, events[node:]); !errors.Is(err, context.Canceled) {
				t.Errorf("add: %v", err)
			}
			if _, err := a.Read(ctx, []es.Position{1}); !errors.Is(err, context.Canceled) {
				t.Errorf("read: %v", err)
			}
			wantArchiveEnd(t, a, node)
		}},
	}
}

func archiveAtOnce(t *testing.T, open func() ports.Archive) {
	const nodes = 6
	writer, events := open(), Sealed(t, nodes*node)
	readers := []ports.Archive{writer, open()}
	added := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range 4 {
		a := readers[i%2]
		wg.Go(func() {
			for whole := false; !whole; {
				select {
				case <-added:
					whole = true
				default:
				}
				end, err := a.End(t.Context())
				if err != nil || whole && end != nodes*node {
					t.Errorf("it ends at %d: %v", end, err)
					return
				}
				for p := es.Position(1 + i); p <= end; p += 100 {
					got, err := a.Read(t.Context(), []es.Position{p})
					if err != nil || string(got[0].JSON()) != string(events[p-1].JSON()) {
						t.Errorf("position %d: %v", p, err)
						return
					}
				}
				if _, err := a.PositionAt(t.Context(), epoch.Add(time.Hour)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := 0; n < len(events); n += node {
		addEvents(t, writer, events[n:n+node])
	}
	close(added)
}

func archiveAdding() []archiveCase {
	return []archiveCase{
		{"it takes as many events as one segment holds, and no more", func(t *testing.T, open func() ports.Archive) {
			a, events := open(), Sealed(t, ports.ArchiveSegment+node)
			refuseEvents(t, a, "too many", events)
			addEvents(t, a, events[:ports.ArchiveSegment])
			addEvents(t, a, events[ports.ArchiveSegment:])
			wantArchived(t, open(), append(events[:node:node], events[ports.ArchiveSegment-node:]...))
		}},
		{"it refuses events that do not follow its end or do not make full nodes, and stays as it was", func(t *testing.T, open func() ports.Archive) {
			a, events := open(), Sealed(t, 4*node)
			refuseEvents(t, a, "none", nil)
			refuseEvents(t, a, "one", events[:1])
			refuseEvents(t, a, "later ones", events[node:2*node])
			addEvents(t, a, events[:node])
			for what, wrong := range map[string][]es.Recorded{
				"the same again":             events[:node],
				"a part again":               events[node/2 : node/2+node],
				"later ones":                 events[2*node : 3*node],
				"too few for a node":         events[node : 2*node-1],
				"more than a node":           events[node : 2*node+1],
				"two in the place of others": append(append([]es.Recorded{}, events[node:2*node-1]...), events[node]),
			} {
				refuseEvents(t, a, what, wrong)
			}
			place := append([]es.Recorded{}, events[node:2*node]...)
			place[17] = es.Recorded{Stream: place[17].Stream, Version: place[17].Version, Position: place[17].Position}
			refuseEvents(t, a, "a place, of which nothing is known", place)
			wantArchiveEnd(t, a, node)
			addEvents(t, a, events[node:])
			wantArchived(t, a, events)
		}},
		{"it keeps the bytes of an event, whatever else the caller says of it", func(t *testing.T, open func() ports.Archive) {
			a, events := open(), Sealed(t, node)
			bare := make([]es.Recorded, len(events))
			for i := range events {
				bare[i] = events[i]
				bare[i].Type, bare[i].Version, bare[i].Hash = "other", 99, es.Hash{99}
			}
			addEvents(t, a, bare)
			wantArchived(t, a, events)
		}},
	}
}

func refuseEvents(t *testing.T, a ports.Archive, what string, events []es.Recorded) {
	t.Helper()
	before, err := a.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Add(t.Context(), events); !errors.Is(err, ports.ErrBatchRefused) {
		t.Errorf("%s: %v", what, err)
	}
	wantArchiveEnd(t, a, before)
}
