package contract

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"daybook/core/es"
	"daybook/core/ports"
)

// DurableStore runs the contract of a store that keeps what was committed beyond the end of its process. open opens the
// store in a directory, and makes it if there is none. A crash is the directory copied while the store is open.
func DurableStore(t *testing.T, open func(t *testing.T, dir string) ports.Store) {
	reopens := map[string]func(t *testing.T, s ports.Store, dir string) ports.Store{
		"after a close": func(t *testing.T, s ports.Store, dir string) ports.Store {
			if err := s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			return open(t, dir)
		},
		"after a crash": func(t *testing.T, s ports.Store, dir string) ports.Store {
			crashed := t.TempDir()
			copyDir(t, dir, crashed)
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			return open(t, crashed)
		},
	}
	for when, reopen := range reopens {
		t.Run(when+" the store shows everything committed and goes on from there", func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			all, outcomes := history(t, s)
			s = reopen(t, s, dir)
			defer s.Close()
			showsHistory(t, s, all, outcomes)
			n := len(all)
			writeEvents(t, s, at(es.Position(n+1), "a", es.Version(n/3+1)))
			WantSealed(t, s, es.Position(n+1))
		})
		t.Run(when+" an empty store is empty", func(t *testing.T) {
			dir := t.TempDir()
			s := reopen(t, open(t, dir), dir)
			defer s.Close()
			showsHistory(t, s, nil, nil)
		})
		t.Run(when+" a unit that did not commit has written nothing", func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			all, outcomes := history(t, s)
			u := begin(t, s, ports.Needs{})
			s = reopen(t, s, dir)
			defer s.Close()
			u.Rollback()
			showsHistory(t, s, all, outcomes)
		})
		t.Run(when+" events that were forgotten are places, and streams go on", func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			_, outcomes := history(t, s)
			all := readFeed(t, s, 0, 100)
			for _, p := range []es.Position{1, 30, 59} {
				forget(t, s, p)
				s = reopen(t, s, dir)
				WantForgotten(t, s, all, p)
				for _, o := range outcomes {
					wantOutcome(t, outcome(t, s, o.Key), o)
				}
				if when == "after a crash" { // goes on in a directory of its own
					s.Close()
					s = open(t, dir)
				}
			}
			mustAppend(t, s, "a", 20, 1)
			WantForgotten(t, s, append(all, readFeed(t, s, 60, 2)...), 59)
			s.Close()
		})
		t.Run(when+" a checkpoint is never a later position than the last one saved", func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			writeEvents(t, s, sequence(9, "a")...)
			for i, p := range []es.Position{3, 9, 4, 7, 2, 5} {
				saveCheckpoint(t, s, "c", p)
				saveCheckpoint(t, s, fmt.Sprint("only", i), p)
				s = reopen(t, s, dir)
				if got := checkpoint(t, s, "c"); got > p {
					t.Errorf("%d was saved, %d is given: a later one", p, got)
				}
				if got := checkpoint(t, s, fmt.Sprint("only", i)); got > p {
					t.Errorf("%d was saved alone, %d is given", p, got)
				}
				if when == "after a crash" { // goes on in a directory of its own
					s.Close()
					s = open(t, dir)
				}
			}
			s.Close()
		})
	}
	t.Run("a directory is used by one store at a time and is free after its close", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir)
		writeEvents(t, s, sequence(3, "a")...)
		s.Close()
		s = open(t, dir)
		wantHead(t, s, 3)
		s.Close()
	})
}

// copyDir copies the files of a directory that is in use. One that is gone before its turn was being cleaned away.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(from, name.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name.Name()), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// history fills an empty store over several units.
func history(t *testing.T, s ports.Store) ([]es.Recorded, []ports.Outcome) {
	all := sequence(60, "a", "b", "c")
	var outcomes []ports.Outcome
	for i := 0; i < len(all); i += 20 {
		var some []ports.Outcome
		for j := i; j < i+20; j++ {
			some = append(some, ports.Outcome{Key: fmt.Sprint("k\x00", j), Refusal: j%3 == 0, RecordedAt: all[j].RecordedAt, Body: fmt.Append(nil, j)})
		}
		write(t, s, ports.Batch{Events: all[i : i+20], Outcomes: some})
		outcomes = append(outcomes, some...)
	}
	return all, outcomes
}

func showsHistory(t *testing.T, s ports.Store, all []es.Recorded, outcomes []ports.Outcome) {
	t.Helper()
	wantHead(t, s, es.Position(len(all)))
	sameEvents(t, "feed", readFeed(t, s, 0, 1000), all)
	for i, stream := range []es.StreamID{"a", "b", "c"} {
		var want []es.Recorded
		for j := i; j < len(all); j += 3 {
			want = append(want, all[j])
		}
		sameEvents(t, string(stream), readStream(t, s, stream, 0, 1000), want)
	}
	for _, o := range outcomes {
		wantOutcome(t, outcome(t, s, o.Key), o)
	}
	u := begin(t, s, ports.Needs{})
	defer u.Rollback()
	if len(all) > 0 && u.Known().LastRecordedAt != all[len(all)-1].RecordedAt {
		t.Errorf("the last recorded time is %v, want %v", u.Known().LastRecordedAt, all[len(all)-1].RecordedAt)
	}
	if len(all) == 0 && !u.Known().LastRecordedAt.IsZero() {
		t.Errorf("the last recorded time of an empty store is %v", u.Known().LastRecordedAt)
	}
}
