package archive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"daybook/adapters/memstore"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
)

// attachedTo is the archive of a store that lies in a storage which a test may change, or take away with nil.
func attachedTo(t *testing.T, s ports.Store, where *storage) *Attached {
	a := attach(s, func(context.Context) (*Archive, error) {
		if *where == nil {
			return nil, ports.ErrArchiveUnavailable
		}
		return opened(t, *where), nil
	})
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func TestContractOnceItIsAttached(t *testing.T) {
	contract.Archive(t, func(*testing.T) func(*testing.T) ports.Archive {
		m := inMemory()
		return func(t *testing.T) ports.Archive {
			a := Attach(nil, "")
			a.stand.Store(&stand{archive: opened(t, m)}) // the contract knows of no store
			return a
		}
	})
}

// uses is whatever can be asked of an archive, and of a store for which it is needed. No event of the store must be forgotten by it.
func uses(t *testing.T, s ports.Store, a ports.Archive, events []es.Recorded) map[string]error {
	t.Helper()
	all := map[string]error{}
	_, all["end"] = a.End(t.Context())
	_, all["read"] = a.Read(t.Context(), []es.Position{1})
	_, all["position at"] = a.PositionAt(t.Context(), events[0].RecordedAt)
	all["check"] = a.Check(t.Context(), func(es.Position) {})
	all["healthy"] = a.Healthy(t.Context())
	all["add"] = a.Add(t.Context(), events[2*node:3*node])
	_, all["the feed"] = s.ReadFeed(t.Context(), 0, 10)
	_, all["a stream"] = s.ReadStream(t.Context(), "a", 0, 10)
	_, all["the position at a time"] = s.PositionAt(t.Context(), events[0].RecordedAt)
	all["forgetting"] = s.Forget(t.Context(), 2*frameEvents)
	u, err := s.Begin(t.Context(), ports.Needs{Streams: []ports.StreamNeed{{Stream: "a"}}})
	if all["a unit of work"] = err; err == nil {
		u.Rollback()
	}
	return all
}

// hot sees that what needs no archive is there.
func hot(t *testing.T, s ports.Store, events []es.Recorded) {
	t.Helper()
	got, err := s.ReadFeed(t.Context(), frameEvents, len(events))
	if err != nil || len(got) != len(events)-node {
		t.Errorf("%d events are read: %v", len(got), err)
	}
	last := events[len(events)-1]
	if p, err := s.PositionAt(t.Context(), last.RecordedAt); err != nil || p != last.Position {
		t.Errorf("the last position is %d: %v", p, err)
	}
	u, err := s.Begin(t.Context(), ports.Needs{Streams: []ports.StreamNeed{{Stream: "new"}}})
	if err != nil {
		t.Fatal(err)
	}
	u.Rollback()
}

func TestAnArchiveThatIsOutOfReachAtFirstIsUsedOnceItIsThere(t *testing.T) {
	faulttable.Covers(t, "F65", faulttable.Archive)
	t.Log("given a store whose first events lie in an archive that cannot be reached")
	bare, there, events := ledger(t, 3*node+9, 2*node, frameEvents)
	var where storage
	a := attachedTo(t, bare, &where)
	s := Over(bare, a)
	for _, when := range []string{"before it was tried", "after it was tried in vain"} {
		t.Log(when + ", all that needs it fails, can be tried again, and changes nothing")
		for what, err := range uses(t, s, a, events) {
			if !errors.Is(err, ports.ErrArchiveUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
		}
		hot(t, s, events)
		if err := a.Try(t.Context()); !errors.Is(err, ports.ErrArchiveUnavailable) {
			t.Errorf("trying: %v", err)
		}
	}
	t.Log("when it is there and was tried again, everything is answered")
	where = there.storage
	if err := a.Try(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, err := range uses(t, s, a, events) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	got, err := s.ReadFeed(t.Context(), 0, len(events))
	if err != nil || len(got) != len(events) {
		t.Fatalf("%d events are read: %v", len(got), err)
	}
	for i := range got {
		if string(got[i].JSON()) != string(events[i].JSON()) {
			t.Fatalf("position %d is %s", i+1, got[i].JSON())
		}
	}
	t.Log("and it is not tried anew")
	where = nil
	if err := a.Try(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnArchiveThatTurnsOutToBeTheWrongOneIsNeitherReadNorAddedTo(t *testing.T) {
	faulttable.Covers(t, "F65", faulttable.Archive)
	for what, wrong := range map[string]struct {
		with func(m shared, events []es.Recorded)
		try  error // what trying says
		use  error // what those who would use it are told
	}{
		"another ledger's": {func(m shared, events []es.Recorded) {
			events[7] = events[7+30]
			events[7].Position, events[7].Version = 8, 2
			events[7].Seal(nil, events[2].Hash)
			add(t, m, events[:2*node])
		}, ErrForeign, ports.ErrArchiveMissing},
		"one that knows more than the store": {func(m shared, _ []es.Recorded) { add(t, m, contract.Sealed(t, 4*node)) }, ErrForeign, ports.ErrArchiveMissing},
		"one that holds less than was moved": {func(m shared, events []es.Recorded) { add(t, m, events[:node]) }, ports.ErrArchiveMissing, ports.ErrArchiveMissing},
		"an empty one":                       {func(shared, []es.Recorded) {}, ports.ErrArchiveMissing, ports.ErrArchiveMissing},
		"one with a damaged manifest": {func(m shared, events []es.Recorded) {
			add(t, m, events[:2*node])
			text := m.object(t, manifestName)
			text[len(text)/2] ^= 1
			m.with(t, manifestName, text)
		}, ports.ErrArchiveDamaged, ports.ErrArchiveDamaged},
		"one without its manifest": {func(m shared, events []es.Recorded) {
			add(t, m, events[:2*node])
			if err := m.remove(t.Context(), manifestName); err != nil {
				t.Fatal(err)
			}
		}, ports.ErrArchiveDamaged, ports.ErrArchiveDamaged},
	} {
		t.Run(what, func(t *testing.T) {
			t.Log("given a store whose first events lie in an archive that could not be reached")
			bare, right, events := ledger(t, 3*node+9, 2*node, frameEvents+5)
			var where storage
			a := attachedTo(t, bare, &where)
			s := Over(bare, a)
			_ = a.Try(t.Context())

			t.Log("when another one is there")
			m := inMemory()
			wrong.with(m, contract.Sealed(t, 3*node))
			where = m
			before := m.everything(t)

			t.Log("then it is found, nothing is read from it, and it stays as it is")
			if err := a.Try(t.Context()); !errors.Is(err, wrong.try) || errors.Is(err, ports.ErrArchiveUnavailable) {
				t.Errorf("trying: %v", err)
			}
			for what, err := range uses(t, s, a, events) {
				if !errors.Is(err, wrong.use) || !errors.Is(err, wrong.try) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if m.everything(t) != before {
				t.Error("it was changed")
			}
			if _, err := s.ReadFeed(t.Context(), 2*frameEvents, len(events)); err != nil {
				t.Errorf("what needs no archive: %v", err)
			}
			t.Log("and the right one is taken when it is put in its place")
			where = right.storage
			if err := a.Try(t.Context()); err != nil {
				t.Error(err)
			}
			if got, err := s.ReadFeed(t.Context(), 0, len(events)); err != nil || len(got) != len(events) {
				t.Errorf("%d events are read: %v", len(got), err)
			}
		})
	}
}

func add(t *testing.T, m shared, events []es.Recorded) {
	t.Helper()
	if err := opened(t, m).Add(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}

// everything is all that lies in a storage.
func (s shared) everything(t *testing.T) string {
	t.Helper()
	names, err := s.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		all.WriteString(name + "\n" + string(s.object(t, name)) + "\n")
	}
	return all.String()
}

func TestAFolderThatIsMissingOrEmptyIsADiskThatIsNotMountedIfEventsWereMovedThere(t *testing.T) {
	faulttable.Covers(t, "F65", faulttable.Archive)
	mount := filepath.Join(t.TempDir(), "mount")
	for what, unmount := range map[string]func() error{
		"missing": func() error { return os.Rename(mount, mount+".away") },
		"empty":   func() error { return errors.Join(os.Rename(mount, mount+".away"), os.Mkdir(mount, 0o700)) },
	} {
		t.Run(what, func(t *testing.T) {
			bare, _, events := ledger(t, 2*node+9, 0, 0)
			one := Attach(bare, "file://"+mount+"?create_dir=true")
			s := Over(bare, one)
			err := errors.Join(one.Try(t.Context()), one.Add(t.Context(), events[:node]), s.Forget(t.Context(), frameEvents), one.Close())
			if err == nil {
				err = unmount()
			}
			if err != nil {
				t.Fatal(err)
			}
			a := Attach(bare, "file://"+mount)
			defer a.Close()
			if err := a.Try(t.Context()); !errors.Is(err, ports.ErrArchiveUnavailable) || !strings.Contains(err.Error(), "is its disk mounted?") {
				t.Errorf("unmounted: %v", err)
			}
			if err := a.Healthy(t.Context()); !errors.Is(err, ports.ErrArchiveUnavailable) {
				t.Errorf("unmounted, it is used: %v", err)
			}
			if err := errors.Join(os.RemoveAll(mount), os.Rename(mount+".away", mount)); err != nil {
				t.Fatal(err)
			}
			if err := a.Try(t.Context()); err != nil {
				t.Errorf("mounted: %v", err)
			}
			if got, err := Over(bare, a).ReadFeed(t.Context(), 0, 10); err != nil || len(got) != 10 {
				t.Errorf("%d events are read: %v", len(got), err)
			}
			if err := os.RemoveAll(mount); err != nil {
				t.Fatal(err)
			}
		})
	}
	a := Attach(memstore.New(), "file://"+mount)
	if err := a.Try(t.Context()); !errors.Is(err, ErrPlace) || !strings.Contains(err.Error(), "does not exist. Make it") {
		t.Errorf("nothing was ever moved there: %v", err)
	}
}

func TestAnArchiveThatDoesNotAnswerIsOutOfReach(t *testing.T) {
	a := attach(memstore.New(), func(ctx context.Context) (*Archive, error) {
		<-ctx.Done()
		return nil, ErrPlace.Say("what was asked was cut off: %v", ctx.Err())
	})
	ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if err := a.Try(ctx); !errors.Is(err, ports.ErrArchiveUnavailable) {
		t.Error(err)
	}
}

// quiet is a storage that may fall silent.
type quiet struct {
	storage
	silent bool
	asked  int // while it is
}

func (q *quiet) get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if q.silent {
		q.asked++
		return nil, errStill
	}
	return q.storage.get(ctx, name, offset, length)
}

func TestAnArchiveThatIsLostIsAskedOnceAndUsedAgainOnceItIsThere(t *testing.T) {
	t.Log("given an archive that is in use, and falls silent")
	bare, there, events := ledger(t, 3*node+9, 2*node, frameEvents)
	q := &quiet{storage: there.storage}
	var where storage = q
	a := attachedTo(t, bare, &where)
	s := Over(bare, a)
	if err := a.Try(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.silent = true

	t.Log("then one call finds that out, and all others fail without asking")
	for what, err := range uses(t, s, a, events) {
		if !errors.Is(err, ports.ErrArchiveUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	hot(t, s, events)
	if q.asked != 1 || len(a.Lost()) != 1 {
		t.Errorf("it was asked %d times, and told of %d times", q.asked, len(a.Lost()))
	}
	if err := <-a.Lost(); !errors.Is(err, ports.ErrArchiveUnavailable) {
		t.Errorf("it was lost because of %v", err)
	}

	t.Log("and when it is there and was tried again, everything is answered")
	if err := a.Try(t.Context()); !errors.Is(err, ports.ErrArchiveUnavailable) {
		t.Errorf("silent, it is used: %v", err)
	}
	q.silent = false
	if err := a.Try(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, err := range uses(t, s, a, events) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	t.Log("and one whose caller has left is not lost")
	left, leave := context.WithCancel(t.Context())
	leave()
	if _, err := a.End(left); !errors.Is(err, context.Canceled) {
		t.Errorf("it gives %v", err)
	}
	if err := a.Healthy(t.Context()); err != nil || len(a.Lost()) > 0 {
		t.Errorf("it was lost: %v", err)
	}
}

func TestAnArchiveThatWasClosedIsNotTriedAnyMore(t *testing.T) {
	a := attach(memstore.New(), func(context.Context) (*Archive, error) {
		t.Error("it was opened")
		return nil, ports.ErrArchiveUnavailable
	})
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Error(err)
	}
	if err := a.Try(t.Context()); !errors.Is(err, ports.ErrArchiveUnavailable) {
		t.Error(err)
	}
}
