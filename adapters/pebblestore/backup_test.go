package pebblestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

func TestABackupUnderLoadIsABeginningOfTheStoreAndRestoresWithItsRoot(t *testing.T) {
	faulttable.Covers(t, "F63", faulttable.Pebble)
	s, err := Open(Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	many := make(chan struct{})
	writing.Go(func() {
		for v := es.Version(0); ctx.Err() == nil; v++ {
			draft := es.Recorded{Type: "TestHappened", Data: []byte(`{}`), Metadata: []byte(`{}`)}
			if _, err := ports.Append(ctx, s, time.Now(), "a", v, draft); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			if v == 300 {
				close(many)
			}
		}
	})
	<-many
	backup, place := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "place")
	b, err := s.Backup(t.Context(), backup)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), backup); !errors.Is(err, ports.ErrBackupRefused) {
		t.Fatalf("a backup over another: %v", err)
	}
	stop()
	writing.Wait()
	var tree es.Tree
	page, err := s.ReadFeed(t.Context(), 0, int(b.Position))
	if err != nil {
		t.Fatal(err)
	}
	for i := range page {
		tree.Add(page[i].Hash, nil)
	}
	if b.Position < 300 || tree.Root() != b.Root {
		t.Fatalf("the backup is up to %d with %s, and the store has %s there", b.Position, b.Root, tree.Root())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if restored, err := Restore(backup, place); err != nil || restored != b {
		t.Fatalf("restored %+v, %v; want %+v", restored, err, b)
	}
	if _, err := Restore(backup, place); !errors.Is(err, ports.ErrBackupRefused) {
		t.Fatalf("restored into a place that is not empty: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(backup), "*.unfinished")); err != nil || len(left) > 0 {
		t.Fatalf("left: %v, %v", left, err)
	}
	if err := os.Remove(filepath.Join(backup, manifestFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(backup, filepath.Join(t.TempDir(), "x")); !errors.Is(err, ports.ErrBackupRefused) {
		t.Fatalf("half a backup was restored: %v", err)
	}
}
