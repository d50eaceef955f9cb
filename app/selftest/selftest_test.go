package selftest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"daybook/adapters/memstore"
	"daybook/adapters/pebblestore"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func place(t *testing.T, open func() (ports.Store, error), forgets bool) Place {
	t.Helper()
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		t.Fatal(err)
	}
	return Place{Registry: registry, Open: open, Forgets: forgets}
}

func inMemory() (ports.Store, error) { return memstore.New(), nil }

func TestEveryGuaranteeHoldsInMemoryAndOnTheEmbeddedStore(t *testing.T) {
	dir := t.TempDir()
	for name, p := range map[string]Place{
		"memory": place(t, inMemory, true),
		"pebble": place(t, func() (ports.Store, error) { return pebblestore.Open(pebblestore.Options{Dir: dir}) }, false),
	} {
		results, err := Run(t.Context(), p)
		if err != nil || len(results) != len(proofs()) {
			t.Fatalf("%s: %d results, %v", name, len(results), err)
		}
		for _, r := range results {
			if !r.OK || r.Skipped != (p.Forgets && r.Guarantee == "what is stored outlives the process") || r.Result == "" {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
}

// broken is a store that breaks a promise.
type broken struct {
	ports.Store
	amnesia bool                              // forgets the outcomes of commands
	events  func([]es.Recorded) []es.Recorded // what reads of the feed show instead

}

type brokenUnit struct {
	ports.Unit
	store *broken
}

func (b *broken) Begin(ctx context.Context, n ports.Needs) (ports.Unit, error) {
	u, err := b.Store.Begin(ctx, n)
	if err != nil {
		return nil, err
	}
	return brokenUnit{u, b}, nil
}

func (u brokenUnit) Known() ports.Known {
	k := u.Unit.Known()
	if u.store.amnesia {
		k.Outcomes = make([]*ports.Outcome, len(k.Outcomes))
	}
	return k
}

func (u brokenUnit) Commit(ctx context.Context, b ports.Batch) error {
	if u.store.amnesia {
		b.Outcomes = nil
	}
	return u.Unit.Commit(ctx, b)
}

func (b *broken) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	page, err := b.Store.ReadFeed(ctx, after, limit)
	if b.events != nil {
		page = b.events(page)
	}
	return page, err
}

func (b *broken) ReadStream(ctx context.Context, s es.StreamID, after es.Version, limit int) ([]es.Recorded, error) {
	page, err := b.Store.ReadStream(ctx, s, after, limit)
	if b.events != nil {
		page = b.events(page)
	}
	return page, err
}

// without shows events without the one at a position, or that one changed.
func shown(change func(e *es.Recorded) (keep bool)) func([]es.Recorded) []es.Recorded {
	return func(page []es.Recorded) []es.Recorded {
		var out []es.Recorded
		for _, e := range page {
			if change(&e) {
				out = append(out, e)
			}
		}
		return out
	}
}

func TestABrokenPromiseIsAFailureOfItsProof(t *testing.T) {
	for _, c := range []struct {
		what, guarantee, says string
		plant                 func(b *broken)
	}{
		{
			"the outcomes of commands are forgotten", "one effect and one answer per key", "", func(b *broken) { b.amnesia = true },
		},
		{
			"an amount that was written is another when it is read", "concurrent commands are as one after another", "",
			func(b *broken) {
				b.events = shown(func(e *es.Recorded) bool {
					if e.Type == "MoneyDeposited" && e.Stream == "hot-1" && e.Version == 2 {
						*e = es.Recorded{Stream: e.Stream, Version: e.Version, Position: e.Position, Type: e.Type, Schema: 1, EffectiveAt: e.EffectiveAt, RecordedAt: e.RecordedAt,
							Data: []byte(`{"amount":51}`), Metadata: e.Metadata, Hash: e.Hash}
					}
					return true
				})
			},
		},
		{
			"an event that was edited is shown", "what was written is not changed unnoticed", "position",
			func(b *broken) {
				b.events = shown(func(e *es.Recorded) bool {
					if e.Position == 5 {
						*e = later(e)
					}
					return true
				})
			},
		},
		{
			"a time goes back", "the order is one order", "recorded before",
			func(b *broken) {
				b.events = shown(func(e *es.Recorded) bool {
					if e.Position == 9 {
						e.RecordedAt = e.RecordedAt.AddDate(-1, 0, 0)
					}
					return true
				})
			},
		},
	} {
		results, err := Run(t.Context(), place(t, func() (ports.Store, error) {
			b := &broken{Store: memstore.New()}
			c.plant(b)
			return b, nil
		}, true))
		if err != nil {
			t.Fatal(err)
		}
		red := map[string]string{}
		for _, r := range results {
			if !r.OK {
				red[r.Guarantee] = r.Result
			}
		}
		if got, failed := red[c.guarantee]; !failed || !strings.Contains(got, c.says) {
			t.Errorf("%s: the proof %q says %q; all that failed: %v", c.what, c.guarantee, got, red)
		}
	}
}

func TestALedgerThatCannotBeOpenedIsAnError(t *testing.T) {
	refused := fmt.Errorf("no disk")
	if results, err := Run(t.Context(), place(t, func() (ports.Store, error) { return nil, refused }, false)); err == nil || results != nil {
		t.Errorf("got %v, %v", results, err)
	}
}

func TestAPanicOfAProofIsAFailureOfIt(t *testing.T) {
	l := &lab{Place: place(t, inMemory, true)}
	if err := l.start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.end() }()
	if _, err := l.attempt(t.Context(), proof{"g", "t", func(context.Context, *lab) (string, error) { panic("oh") }}); err == nil || !strings.Contains(err.Error(), "oh") {
		t.Errorf("got %v", err)
	}
}
