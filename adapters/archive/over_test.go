package archive

import (
	"context"
	"errors"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/adapters/memstore"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
)

// hoard is an archive that takes any number of events, so that a store can forget all but its last one.
type hoard struct {
	mu     sync.Mutex
	events []es.Recorded
}

func (h *hoard) End(context.Context) (es.Position, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return es.Position(len(h.events)), nil
}

func (h *hoard) Add(_ context.Context, events []es.Recorded) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, events...)
	return nil
}

func (h *hoard) Read(_ context.Context, at []es.Position) (events []es.Recorded, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range at {
		events = append(events, h.events[p-1])
	}
	return events, nil
}

func (h *hoard) PositionAt(_ context.Context, t time.Time) (es.Position, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return es.Position(sort.Search(len(h.events), func(i int) bool { return h.events[i].RecordedAt.After(t) })), nil
}

func (h *hoard) Check(context.Context, func(es.Position)) error { return nil }
func (h *hoard) Healthy(context.Context) error                  { return nil }
func (h *hoard) Close() error                                   { return nil }

// forgetful is a store that forgets all but its last event after each commit, and no longer knows when what it forgot was.
type forgetful struct {
	ports.Store
	hoard *hoard
}

func (f *forgetful) Begin(ctx context.Context, needs ports.Needs) (ports.Unit, error) {
	u, err := f.Store.Begin(ctx, needs)
	return &forgetfulUnit{u, f}, err
}

func (f *forgetful) PositionAt(ctx context.Context, t time.Time) (es.Position, error) {
	p, err := f.Store.PositionAt(ctx, t)
	if archived, _ := f.Store.Archived(ctx); p <= archived {
		p = 0
	}
	return p, err
}

type forgetfulUnit struct {
	ports.Unit
	store *forgetful
}

func (u *forgetfulUnit) Commit(ctx context.Context, b ports.Batch) error {
	err := u.Unit.Commit(ctx, b)
	if err != nil || len(b.Events) == 0 {
		return err
	}
	h := u.store.hoard
	h.mu.Lock()
	defer h.mu.Unlock()
	whole := context.WithoutCancel(ctx)
	from, head := es.Position(len(h.events)), b.Events[len(b.Events)-1].Position
	add, err := u.store.ReadFeed(whole, from, max(int(head)-1-int(from), 0))
	if err == nil && len(add) > 0 {
		h.events = append(h.events, add...)
		err = u.store.Forget(whole, es.Position(len(h.events)))
	}
	return err
}

func TestAStoreWithAnArchiveKeepsTheContractOfAStoreThatHasForgottenNothing(t *testing.T) {
	contract.WholeStore(t, func(*testing.T) ports.Store {
		h := &hoard{}
		return unaware{Over(&forgetful{memstore.New(), h}, h)}
	})
}

// unaware is a store that says that it has forgotten nothing.
type unaware struct{ ports.Store }

func (u unaware) Archived(ctx context.Context) (es.Position, error) {
	_, err := u.Store.Archived(ctx)
	return 0, err
}

// ledger is a store with n events, of which an archive holds the first ones, and has forgotten up to a position.
func ledger(t testing.TB, n, kept int, forgotten es.Position) (*memstore.Store, *Archive, []es.Recorded) {
	t.Helper()
	s, a, events := memstore.New(), opened(t, inMemory()), contract.Sealed(t, n)
	u, err := s.Begin(t.Context(), ports.Needs{})
	if err == nil {
		err = u.Commit(t.Context(), ports.Batch{Events: append([]es.Recorded(nil), events...)})
	}
	if err == nil && kept > 0 {
		err = a.Add(t.Context(), events[:kept])
	}
	if err == nil {
		err = s.Forget(t.Context(), forgotten)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s, a, events
}

func TestEventsOnBothSidesOfThePlaceWhereTheStoreBeginsAreReadAsOne(t *testing.T) {
	bare, a, events := ledger(t, 3*node+9, 3*node, es.Position(2*node+5))
	s := Over(bare, a)
	if err := Match(t.Context(), s, a); err != nil {
		t.Error(err)
	}
	got, err := s.ReadFeed(t.Context(), 100, 10*node)
	if err != nil || len(got) != len(events)-100 {
		t.Fatalf("got %d events: %v", len(got), err)
	}
	for i := range got {
		if string(got[i].JSON()) != string(events[100+i].JSON()) {
			t.Fatalf("position %d is %s", 100+i+1, got[i].JSON())
		}
	}
	for i := 0; i < len(events); i += 50 {
		want := es.Position(i/3*3 + 3) // three share a time
		if p, err := s.PositionAt(t.Context(), events[i].RecordedAt); err != nil || p != want {
			t.Errorf("at the time of position %d there is %d: %v", i+1, p, err)
		}
	}
	u, err := s.Begin(t.Context(), ports.Needs{Streams: []ports.StreamNeed{{Stream: "none"}, {Stream: "b", After: 7}, {Stream: "c", After: 1 << 20}}})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Rollback()
	tails := u.Known().Tails
	if len(tails[0]) != 0 || len(tails[2]) != 0 || len(tails[1]) != len(events)/5+1-7 {
		t.Fatalf("the tails have %d, %d and %d events", len(tails[0]), len(tails[1]), len(tails[2]))
	}
	for i := range tails[1] {
		if e := events[(7+i)*5+1]; string(tails[1][i].JSON()) != string(e.JSON()) {
			t.Fatalf("version %d of b is %s", 8+i, tails[1][i].JSON())
		}
	}
}

func TestWithoutAnArchiveAnEventThatIsThereIsReadAndOneThatIsNotSaysWhatToDo(t *testing.T) {
	bare, _, _ := ledger(t, 2*node, 0, 100)
	s := Over(bare, nil)
	missing := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ports.ErrArchiveMissing) || !strings.Contains(err.Error(), "archive.url") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := s.ReadFeed(t.Context(), 100, 10); err != nil || len(got) != 10 {
		t.Errorf("got %d events: %v", len(got), err)
	}
	_, err := s.ReadFeed(t.Context(), 99, 10)
	missing("feed", err)
	_, err = s.ReadStream(t.Context(), "a", 0, 1)
	missing("stream", err)
	_, err = s.Begin(t.Context(), ports.Needs{Streams: []ports.StreamNeed{{Stream: "a"}}})
	missing("begin", err)
	_, err = s.PositionAt(t.Context(), contract.Sealed(t, 1)[0].RecordedAt)
	missing("position at", err)
	missing("forget", s.Forget(t.Context(), 101))
	missing("match", Match(t.Context(), s, nil))
	u, err := s.Begin(t.Context(), ports.Needs{})
	if err != nil {
		t.Fatalf("the write lock was kept by the one that failed: %v", err)
	}
	u.Rollback()
}

func TestNothingIsForgottenThatTheArchiveDoesNotHold(t *testing.T) {
	bare, a, _ := ledger(t, 2*node, node, 0)
	s := Over(bare, a)
	if err := s.Forget(t.Context(), es.Position(node+1)); !errors.Is(err, ports.ErrArchiveMissing) {
		t.Error(err)
	}
	if err := s.Forget(t.Context(), es.Position(node)); err != nil {
		t.Error(err)
	}
	if p, err := s.Archived(t.Context()); err != nil || int(p) != node {
		t.Errorf("%d events are forgotten: %v", p, err)
	}
}

// watched is an archive that sees when it is read.
type watched struct {
	ports.Archive
	read func()
}

func (w *watched) Read(ctx context.Context, at []es.Position) ([]es.Recorded, error) {
	w.read()
	return w.Archive.Read(ctx, at)
}

func TestAnArchiveIsNotReadUnderTheWriteLock(t *testing.T) {
	bare, a, _ := ledger(t, 2*node, node, es.Position(node))
	reads := 0
	s := Over(bare, &watched{a, func() {
		reads++
		u, err := bare.Begin(t.Context(), ports.Needs{})
		if err != nil {
			t.Fatal(err)
		}
		u.Rollback()
	}})
	u, err := s.Begin(t.Context(), ports.Needs{Streams: []ports.StreamNeed{{Stream: "a"}, {Stream: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	u.Rollback()
	if reads != 2 {
		t.Errorf("it was read %d times", reads)
	}
}

func TestAnEventThatIsNotThatOfItsPlaceIsNotGiven(t *testing.T) {
	bare, _, events := ledger(t, 4, 0, 3)
	for what, wrong := range map[string]es.Recorded{"another position": events[1], "another stream": {Stream: "x", Version: 1, Position: 1}, "other bytes": {Stream: "a", Version: 1, Position: 1, Hash: es.Hash{1}}} {
		wrong.Data = []byte("{}")
		s := Over(bare, &hoard{events: []es.Recorded{wrong}})
		if _, err := s.ReadFeed(t.Context(), 0, 1); !errors.Is(err, ports.ErrArchiveDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnArchiveThatIsNotThatOfTheStoreIsFoundWhenTheyAreOpened(t *testing.T) {
	for n := 1; n <= 12; n++ { // roots of many forms
		s, a, _ := ledger(t, n*node+1, n*node, es.Position(n*node))
		if err := Match(t.Context(), s, a); err != nil {
			t.Errorf("%d nodes: %v", n, err)
		}
	}
	s, _, _ := ledger(t, 3*node, 0, es.Position(2*node))
	_, short, _ := ledger(t, node, node, 0)
	_, long, _ := ledger(t, 4*node, 4*node, 0)
	other := opened(t, inMemory())
	events := contract.Sealed(t, 2*node)
	events[7] = events[7+30]
	events[7].Position, events[7].Version = 8, 2
	events[7].Seal(nil, events[2].Hash)
	if err := other.Add(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	for words, a := range map[string]*Archive{
		"up to position 512 lie in an archive, and mem:// ends at position 256":   short,
		"up to position 1024, and this ledger ends at position 768":               long,
		"is not that of this ledger: its events up to position 512 have the hash": other,
		"Set archive.url": nil,
	} {
		err := Match(t.Context(), s, a)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("want %q, got: %v", words, err)
		}
	}
	if err := Match(t.Context(), memstore.New(), nil); err != nil {
		t.Errorf("a store that has forgotten nothing: %v", err)
	}
}

// copying is a store that can copy itself.
type copying struct{ ports.Store }

func (copying) Backup(context.Context, string) (ports.Backup, error) {
	return ports.Backup{Position: 7}, nil
}

func TestAStoreThatCanCopyItselfStillCan(t *testing.T) {
	if _, ok := Over(memstore.New(), nil).(ports.BackupStore); ok {
		t.Error("a store that cannot seems to be able to")
	}
	s, ok := Over(copying{memstore.New()}, nil).(ports.BackupStore)
	if !ok {
		t.Fatal("it cannot")
	}
	if b, err := s.Backup(t.Context(), ""); err != nil || b.Position != 7 {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestReadsThatNeedNoArchiveTakeNoMoreMemory(t *testing.T) {
	bare, a, _ := ledger(t, 2*node, node, es.Position(node))
	s := Over(bare, a)
	count := func(s ports.Store) float64 {
		return testing.AllocsPerRun(20, func() {
			if _, err := s.ReadFeed(t.Context(), es.Position(node), node); err != nil {
				t.Fatal(err)
			}
		})
	}
	if got, want := count(s), count(bare); got != want {
		t.Errorf("%v allocations, and %v without", got, want)
	}
}
