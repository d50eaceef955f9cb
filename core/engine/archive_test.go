package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"daybook/adapters/archive"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// cold is a world whose old events can be moved to an archive. What fails there, a test says.
type cold struct {
	*world
	store   *failingStore
	archive *failingArchive
}

// newCold has a ledger of some accounts and so many events, each of a second of its own, that no view and no follower holds back.
func newCold(t *testing.T, events int) *cold {
	t.Helper()
	folder, err := archive.Open(t.Context(), "file://"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	c := &cold{world: newWorld(t), archive: &failingArchive{Archive: folder}}
	c.store = &failingStore{Store: c.world.store}
	c.restart()
	random := rand.New(rand.NewPCG(1, uint64(events)))
	for i := range 7 {
		c.must(c.create(fmt.Sprint("acc-", i)))
	}
	for c.head() < es.Position(events) {
		c.setClock(c.clock().Add(time.Second))
		c.must(c.deposit(fmt.Sprint("acc-", random.IntN(7)), 1+random.IntN(100)))
	}
	c.followersAt(c.head())
	return c
}

// restart makes a new engine, as after a crash, whose views have caught up.
func (c *cold) restart() {
	c.t.Helper()
	c.engine = c.again(func(o *Options) {
		o.Store, o.Archive, o.SnapshotEvery = archive.Over(c.store, c.archive), c.archive, 100
	})
	c.project()
}

func (c *cold) project() {
	c.t.Helper()
	if err := c.engine.projector.catchUp(context.Background()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cold) head() es.Position {
	head, err := c.store.Head(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	return head
}

// followersAt brings the relay, and the views, to a position.
func (c *cold) followersAt(p es.Position) {
	c.t.Helper()
	if err := c.store.SaveCheckpoint(context.Background(), RelayCheckpoint("events"), 0, p); err != nil {
		c.t.Fatal(err)
	}
	c.project()
}

// archiveBefore moves the events before one away and gives how the operation ended.
func (c *cold) archiveBefore(p es.Position, without ...string) Operation {
	c.t.Helper()
	return c.archiveUntil(c.feed()[p-1].RecordedAt, without...)
}

func (c *cold) archiveUntil(before time.Time, without ...string) Operation {
	c.t.Helper()
	op, err := c.engine.Archive(context.Background(), before, without)
	for err == nil && op.State == OperationRunning {
		op, err = c.engine.Operation(context.Background(), op.ID)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return op
}

// everything is what can be asked of a ledger: its feed, and each state that each account ever had.
func (c *cold) everything() string {
	c.t.Helper()
	var all bytes.Buffer
	e := c.engine
	feed, err := e.Store.ReadFeed(context.Background(), 0, 1_000_000)
	if err != nil {
		c.t.Fatal(err)
	}
	for i := range feed {
		all.Write(append(feed[i].JSON(), '\n'))
		at, err := e.StateAt(context.Background(), c.module, string(feed[i].Stream), Until{At: feed[i].RecordedAt})
		if err != nil {
			c.t.Fatal(err)
		}
		fmt.Fprintln(&all, at.Version, at.Position, c.module.Ledger.Balance(at.State))
	}
	return all.String()
}

func TestEverythingIsAnsweredFromTheArchiveAsBefore(t *testing.T) {
	c := newCold(t, 1500)
	before := c.everything()
	if op := c.archiveBefore(1100); op.State != OperationDone || op.Head != 1024 || op.HeldBack != "" {
		t.Fatalf("got %+v", op)
	}
	for range 2 {
		if c.everything() != before {
			t.Error("something is answered differently")
		}
		if err := (&Verification{History: StoreHistory{c.engine.Store}}).Run(t.Context()); err != nil {
			t.Error(err)
		}
		c.restart()
	}
	c.must(c.withdraw("acc-3", 1)) // its state is not in memory, and its beginning is not in the store
}

func TestAStateIsReadFromItsSnapshotAndNotFromTheWholeArchive(t *testing.T) {
	c := newCold(t, 1500)
	c.archiveBefore(1100)
	c.restart()
	if err := c.engine.snapshots.seeArchived(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		c.archive.read = 0
		if _, err := c.engine.StateAt(t.Context(), c.module, fmt.Sprint("acc-", i), Until{}); err != nil || c.archive.read > 1 {
			t.Errorf("%d events were read from the archive, %v", c.archive.read, err)
		}
	}
	c.wantFailures()
}

func TestAnAccountThatWentOnInTheStoreNeedsNoArchive(t *testing.T) {
	c := newCold(t, 1500)
	c.must(c.create("still"))
	c.must(c.deposit("still", 7))
	for c.head() < 2100 {
		c.setClock(c.clock().Add(time.Second))
		c.must(c.deposit(fmt.Sprint("acc-", c.head()%7), 1))
	}
	c.followersAt(c.head())
	c.archiveBefore(1700)
	before := map[string]int64{}
	for i := range 7 {
		id := fmt.Sprint("acc-", i)
		at, err := c.engine.StateAt(t.Context(), c.module, id, Until{})
		if err != nil {
			t.Fatal(err)
		}
		before[id] = c.module.Ledger.Balance(at.State)
	}
	t.Log("given that the archive is out of reach when the program starts again")
	c.restart()
	c.archive.away = true
	for id, balance := range before {
		if at, err := c.engine.StateAt(t.Context(), c.module, id, Until{}); err != nil || c.module.Ledger.Balance(at.State) != balance {
			t.Errorf("the state of %s: %v", id, err)
		}
		c.must(c.deposit(id, 1))
	}
	t.Log("one of which all events lie in the archive waits for it, and holds up nobody")
	results := c.step(c.deposit("still", 1), c.deposit("acc-1", 1))
	wantErr(t, results[0].Err, ports.ErrArchiveUnavailable)
	wantErr(t, results[1].Err, nil)
	c.archive.away = false
	c.must(c.deposit("still", 1))
	c.wantFailures()
}

// Wherever it is killed, and whatever of the store or the archive fails meanwhile: nothing is lost or there twice, and the next
// archival goes on.
func TestAnArchivalThatIsBrokenOffAnywhereLosesNothing(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Memory)
	for step, done := 0, false; !done; step++ {
		c := newCold(t, 530)
		before, until := c.everything(), c.feed()[520].RecordedAt
		asked := 0
		fail := func() error {
			if asked++; asked == step+1 {
				return ports.ErrStoreUnavailable
			}
			return nil
		}
		c.store.fail, c.archive.fail = fail, fail
		done = c.archiveUntil(until).State == OperationDone
		c.store.fail, c.archive.fail = nil, nil
		c.restart()
		if c.everything() != before {
			t.Fatalf("broken off at step %d, something is answered differently", step)
		}
		if op := c.archiveUntil(until); op.State != OperationDone || op.Head != 512 || c.everything() != before {
			t.Fatalf("broken off at step %d, the next one ends with %+v", step, op)
		}
		if err := archive.Match(t.Context(), c.store, c.archive.Archive.(*archive.Archive)); err != nil {
			t.Fatalf("broken off at step %d: %v", step, err)
		}
		if done && step != 8 { // before and after the read, the snapshots, the copy and the forgetting
			t.Errorf("done at step %d", step)
		}
	}
}

func TestWhatAFollowerHasNotTakenStays(t *testing.T) {
	c := newCold(t, 1100)
	save := func(name string, p es.Position) {
		if err := c.store.SaveCheckpoint(t.Context(), name, 0, p); err != nil {
			t.Fatal(err)
		}
	}
	save("reactor:mail", 300)
	save("relay:old", 700)
	save("views rebuild asked", 1) // is no follower
	for _, want := range []struct {
		without  []string
		head     es.Position
		heldBack string
	}{
		{nil, 256, "reactor:mail has come to position 300"},
		{[]string{"reactor:mail"}, 512, "relay:old has come to position 700"},
		{[]string{"reactor:mail", "relay:old"}, 1024, ""},
	} {
		op := c.archiveBefore(1099, want.without...)
		if op.State != OperationDone || op.Head != want.head || op.HeldBack != want.heldBack {
			t.Errorf("without %v: %+v", want.without, op)
		}
	}
}

func TestTheLastEventStaysHoweverOldItIs(t *testing.T) {
	c := newCold(t, 512)
	if op := c.archiveUntil(c.clock().Add(time.Hour)); op.Head != 256 || op.HeldBack != "the last events always do" {
		t.Errorf("got %+v", op)
	}
}

func TestNothingIsArchivedThatWasAlteredInTheStore(t *testing.T) {
	c := newCold(t, 600)
	c.store.alter = 40
	op := c.archiveBefore(590)
	if archived, err := c.store.Archived(t.Context()); op.State != OperationFailed || !strings.Contains(op.Error, "position 1 to 256") || archived != 0 || err != nil {
		t.Errorf("got %+v, and %d are archived, %v", op, archived, err)
	}
}

func TestAnArchivalNeedsAnArchiveAndSnapshots(t *testing.T) {
	w := newWorld(t)
	_, err := w.engine.Archive(t.Context(), w.clock(), nil)
	wantErr(t, err, ErrNoArchive)
	_, err = w.again(func(o *Options) { o.Archive = &failingArchive{} }).Archive(t.Context(), w.clock(), nil)
	wantErr(t, err, ErrArchiveUnbacked)
}

func TestOneArchivalRunsInAllProcesses(t *testing.T) {
	c := newCold(t, 300)
	if _, err := c.store.Lease(t.Context(), archiveLease, "another process", time.Hour); err != nil {
		t.Fatal(err)
	}
	if op := c.archiveBefore(290); op.State != OperationFailed || op.Error != ErrArchiveRunning.Error() {
		t.Errorf("got %+v", op)
	}
}

// failingStore fails where a test says: fail is asked before a call that an archival makes, and after it.
type failingStore struct {
	ports.Store
	fail  func() error
	alter es.Position // the event whose hash is another
}

func around(fail func() error, do func() error) error {
	if fail == nil {
		return do()
	}
	if err := fail(); err != nil {
		return err
	}
	return errors.Join(do(), fail())
}

func (s *failingStore) ReadFeed(ctx context.Context, after es.Position, limit int) (page []es.Recorded, err error) {
	err = around(s.fail, func() error { page, err = s.Store.ReadFeed(ctx, after, limit); return err })
	for i := range page {
		if page[i].Position == s.alter {
			page[i].Hash[0] ^= 1
		}
	}
	return page, err
}

func (s *failingStore) SaveSnapshots(ctx context.Context, all []ports.Snapshot) error {
	return around(s.fail, func() error { return s.Store.SaveSnapshots(ctx, all) })
}

func (s *failingStore) Forget(ctx context.Context, upTo es.Position) error {
	return around(s.fail, func() error { return s.Store.Forget(ctx, upTo) })
}

// failingArchive is the same of an archive.
type failingArchive struct {
	ports.Archive
	fail func() error
	read int // events
	away bool
}

func (a *failingArchive) Read(ctx context.Context, at []es.Position) ([]es.Recorded, error) {
	a.read += len(at)
	if a.away {
		return nil, ports.ErrArchiveUnavailable
	}
	return a.Archive.Read(ctx, at)
}

func (a *failingArchive) Add(ctx context.Context, events []es.Recorded) error {
	return around(a.fail, func() error { return a.Archive.Add(ctx, events) })
}
