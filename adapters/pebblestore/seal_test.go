package pebblestore

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"daybook/core/es"
	"daybook/test/contract"
)

// unseal brings an open store into the form of one that was written before events had hashes, up to what a sealing that was
// interrupted after a position has done. It closes the store.
func unseal(t *testing.T, s *Store, disk vfs.FS, after es.Position) {
	t.Helper()
	all, err := s.ReadFeed(t.Context(), 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	write := s.db.NewBatch()
	_ = write.DeleteRange([]byte{tableNodes}, []byte{tableNodes + 1}, nil)
	_ = write.Delete([]byte{tableTree}, nil)
	var tree es.Tree
	for i := range all {
		e := &all[i]
		if e.Position <= after {
			for _, n := range tree.Add(e.Hash, nil) {
				_ = write.Set(appendNodeKey(nil, n.Level, n.Index), n.Hash[:], nil)
			}
			continue
		}
		e.Hash = es.Hash{}
		_ = write.Set(appendEventKey(nil, e.Position), e.AppendJSON(nil), nil)
	}
	if after > 0 {
		b, _ := tree.AppendBinary(nil)
		_ = write.Set([]byte{tableTree}, b, nil)
	}
	if err := write.Commit(pebble.Sync); err != nil {
		t.Fatal(err)
	}
	s.Close()
	f, err := disk.Create("store/"+markFile, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write([]byte("daybook store, format 1\n"))
	}
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
}

func TestAStoreFromBeforeEventsHadHashesIsSealedWhenItIsOpened(t *testing.T) {
	noLeaks(t)
	const events = 2*sealPage + 1000
	for _, done := range []es.Position{0, sealPage} {
		disk := vfs.NewMem()
		s := open(t, Options{Dir: "store", fs: disk})
		for i := range es.Version(events / 2000) {
			mustWrite(t, s, "a", 1000*i, 1000, "a")
			mustWrite(t, s, "b", 1000*i, 1000, "b")
		}
		mustWrite(t, s, "once", 0, events%2000, "c")
		before, err := s.ReadFeed(t.Context(), 0, events)
		if err != nil {
			t.Fatal(err)
		}
		unseal(t, s, disk, done)
		s = open(t, Options{Dir: "store", fs: disk})
		contract.WantSealed(t, s, events)
		after, err := s.ReadFeed(t.Context(), 0, events)
		if err != nil || len(after) != len(before) {
			t.Fatalf("%d events are there: %v", len(after), err)
		}
		for i := range after {
			if string(after[i].JSON()) != string(before[i].JSON()) {
				t.Fatalf("the event became\n%s\nwritten by this build it is\n%s", after[i].JSON(), before[i].JSON())
			}
		}
		mustWrite(t, s, "a", 1000*(events/2000), 1, "d")
		s.Close()
		s = open(t, Options{Dir: "store", fs: disk})
		contract.WantSealed(t, s, events+1)
		s.Close()
	}
}
