package auditlog

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"daybook/adapters/keyring"
	"daybook/adapters/memstore"
	"daybook/adapters/pebblestore"
	"daybook/core/access"
	"daybook/core/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, store ports.Store) *Log {
	t.Helper()
	l := Open(Options{Store: store, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func entries(t *testing.T, l *Log) []access.Entry {
	t.Helper()
	all, err := l.Entries(t.Context(), 0, time.Time{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatIsRecordedIsThereWhenItReturns(t *testing.T) {
	l := open(t, memstore.New())
	given := access.Entry{
		Subject: "ops", Action: "POST /v1/admin/rebuild", Target: "/v1/admin/rebuild", Outcome: access.Begun, RequestID: "r-1", Address: "192.0.2.1", Detail: `"<why>"`,
		Reason: "case 17",
	}
	if err := l.Record(t.Context(), given); err != nil {
		t.Fatal(err)
	}
	got := entries(t, l)
	if len(got) != 1 || got[0].Position != 1 || got[0].At.IsZero() {
		t.Fatalf("got %+v", got)
	}
	got[0].Position, got[0].At = 0, time.Time{}
	if got[0] != given {
		t.Errorf("got %+v, want %+v", got[0], given)
	}
}

func TestWhatIsNotedIsWrittenBeforeTheLogIsClosed(t *testing.T) {
	store := memstore.New()
	l := open(t, store)
	for range 600 {
		l.Note(access.Entry{Subject: "a", Action: "GET", Outcome: "forbidden"})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Note(access.Entry{}) // too late, and no harm
	if got := entries(t, l); len(got) != 600 {
		t.Errorf("%d entries", len(got))
	}
}

func TestSeveralProcessesWriteOneLogInTheOrderOfTheLedger(t *testing.T) {
	store := memstore.New()
	var all sync.WaitGroup
	for range 4 {
		l := open(t, store)
		all.Go(func() {
			for range 25 {
				if err := l.Record(context.Background(), access.Entry{Action: "x", Outcome: access.Done}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for i, e := range entries(t, open(t, store)) {
		if e.Position != uint64(i+1) {
			t.Fatalf("entry %d is at position %d", i, e.Position)
		}
	}
}

// broken is a store that takes nothing, while err says so.
type broken struct {
	ports.Store
	mu    sync.Mutex
	err   error
	units int           // that were begun
	begun chan struct{} // is told of each; nil: nobody is
	held  chan struct{} // units wait for it to be closed; nil: they do not
}

func (b *broken) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *broken) Begin(ctx context.Context, n ports.Needs) (ports.Unit, error) {
	if b.begun != nil {
		b.begun <- struct{}{}
	}
	if b.held != nil {
		<-b.held
	}
	b.mu.Lock()
	err := b.err
	b.units++
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return b.Store.Begin(ctx, n)
}

func TestARecordThatCannotBeWrittenIsAnErrorAndTheNextOneIsNot(t *testing.T) {
	store := &broken{Store: memstore.New()}
	l := open(t, store)
	store.set(ports.ErrOutcomeUnknown)
	if err := l.Record(t.Context(), access.Entry{Action: "x"}); !errors.Is(err, ErrUnwritten) {
		t.Fatalf("got %v", err)
	}
	store.set(nil)
	if err := l.Record(t.Context(), access.Entry{Action: "y"}); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, l); len(got) != 1 || got[0].Action != "y" {
		t.Errorf("got %+v", got)
	}
}

func TestNotesNeverWaitAndThoseThatAreLostAreCountedInTheLog(t *testing.T) {
	store := &broken{Store: memstore.New(), held: make(chan struct{})}
	l := open(t, store)
	for range waiting + batch + 100 { // the store takes nothing, and yet this ends
		l.Note(access.Entry{Action: "x", Outcome: "forbidden"})
	}
	if l.Dropped() == 0 {
		t.Fatal("nothing was dropped")
	}
	close(store.held)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	told := false
	for _, e := range entries(t, l) {
		told = told || e.Outcome == "dropped" && strings.Contains(e.Detail, "could not be written")
	}
	if !told {
		t.Error("the log does not say that entries are missing")
	}
}

func TestWhatAClientSendsIsCutShort(t *testing.T) {
	l := open(t, memstore.New())
	if err := l.Record(t.Context(), access.Entry{Action: "GET", Target: strings.Repeat("ä", 5000), Detail: "a\xffb\x1b]0;"}); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, l)[0]; len(got.Target) > maxText || got.Detail != "ab\x1b]0;" {
		t.Errorf("got %d bytes, %q", len(got.Target), got.Detail)
	}
}

func TestWhatIsDoneWithKeysIsInTheLogWithoutTheirHashes(t *testing.T) {
	store := memstore.New()
	l := open(t, store)
	ring, err := keyring.Open(t.Context(), keyring.Options{Store: store, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	ctx := access.WithRequest(access.As(t.Context(), &access.Principal{Subject: "ops"}), "r-1")
	k, _, err := ring.Create(ctx, access.NewKey{Subject: "till", Roles: []access.Role{access.Teller}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Revoke(ctx, k.Prefix); err != nil {
		t.Fatal(err)
	}
	got := entries(t, l)
	if len(got) != 2 || got[0].Subject != "ops" || got[0].RequestID != "r-1" || got[0].Target != k.Prefix || got[0].Detail != "for till as teller" ||
		got[1].Action != keyring.TypeRevoked || got[1].Outcome != access.Done {
		t.Errorf("got %+v", got)
	}
}

func TestSinceLeavesOutWhatWasWrittenBefore(t *testing.T) {
	store := memstore.New()
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	l := Open(Options{Store: store, Now: func() time.Time { at = at.Add(time.Hour); return at }, Log: slog.New(slog.DiscardHandler)})
	defer l.Close()
	for _, action := range []string{"a", "b", "c"} { // at 13, 14 and 15 o'clock
		if err := l.Record(t.Context(), access.Entry{Action: action}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.Entries(t.Context(), 0, time.Date(2026, 1, 31, 14, 0, 0, 0, time.UTC), 10)
	if err != nil || len(got) != 2 || got[0].Action != "b" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestThoseWhoWaitAreWrittenTogether(t *testing.T) {
	const many = 50
	store := &broken{Store: memstore.New(), begun: make(chan struct{}, many), held: make(chan struct{})}
	l := open(t, store)
	var all sync.WaitGroup
	record := func() {
		if err := l.Record(context.Background(), access.Entry{Action: "GET", Outcome: access.Looked}); err != nil {
			t.Error(err)
		}
	}
	all.Go(record)
	<-store.begun // the first one is being written
	for range many {
		all.Go(record)
	}
	for len(l.queue) < many { // nobody takes them
		runtime.Gosched()
	}
	close(store.held)
	all.Wait()
	if got := entries(t, l); len(got) != many+1 || store.units != 2 {
		t.Errorf("%d entries in %d writes", len(got), store.units)
	}
}

func TestARecordThatCannotBeWrittenInTimeIsAnErrorForWhoWaits(t *testing.T) {
	store := &broken{Store: memstore.New(), held: make(chan struct{})}
	l := open(t, store)
	defer close(store.held)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if err := l.Record(ctx, access.Entry{Action: "x"}); !errors.Is(err, ErrUnwritten) {
		t.Errorf("got %v", err)
	}
}

// BenchmarkRecord is what a reading of an auditor waits for, on the embedded store.
func BenchmarkRecord(b *testing.B) {
	for _, at := range []int{1, 16} {
		b.Run(map[int]string{1: "one at a time", 16: "16 at once"}[at], func(b *testing.B) {
			store, err := pebblestore.Open(pebblestore.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			l := Open(Options{Store: store, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			defer l.Close()
			b.SetParallelism(max(at/runtime.GOMAXPROCS(0), 1))
			record := func() {
				if err := l.Record(b.Context(), access.Entry{Subject: "otto", Action: "GET /v1/accounts/{id}", Target: "/v1/accounts/acc-1", Outcome: access.Looked}); err != nil {
					b.Error(err)
				}
			}
			if at == 1 {
				for b.Loop() {
					record()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					record()
				}
			})
		})
	}
}
