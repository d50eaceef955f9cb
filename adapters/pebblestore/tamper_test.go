package pebblestore

import (
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
)

func TestWhoeverChangesTheStoreBehindDaybooksBackIsFoundOut(t *testing.T) {
	faulttable.Covers(t, "F19", faulttable.Pebble)
	faulttable.Covers(t, "F20", faulttable.Pebble)
	noLeaks(t)
	contract.Tampered(t, func(t *testing.T) (ports.Store, func(func(contract.Behind)) ports.Store) {
		disk := vfs.NewMem()
		s := open(t, Options{Dir: "store", fs: disk})
		t.Cleanup(func() { s.Close() })
		return s, func(change func(contract.Behind)) ports.Store {
			change(pebbleAPI{t, s.db})
			s.Close()
			s = open(t, Options{Dir: "store", fs: disk})
			return s
		}
	})
}

// pebbleAPI is what Pebble gives to whoever has the directory.
type pebbleAPI struct {
	t  *testing.T
	db *pebble.DB
}

func (p pebbleAPI) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p pebbleAPI) Put(e es.Recorded) {
	changed := es.Recorded{ // as its fields say, whatever it was read as
		Stream: e.Stream, Version: e.Version, Position: e.Position, Type: e.Type, Schema: e.Schema, EffectiveAt: e.EffectiveAt,
		RecordedAt: e.RecordedAt, Data: e.Data, Metadata: e.Metadata, Hash: e.Hash,
	}
	p.must(p.db.Set(appendEventKey(nil, e.Position), changed.AppendJSON(nil), nil))
	p.must(p.db.Set(appendVersionKey(nil, e.Stream, e.Version), binary.BigEndian.AppendUint64(nil, uint64(e.Position)), nil))
}

func (p pebbleAPI) Delete(at es.Position) { p.must(p.db.Delete(appendEventKey(nil, at), nil)) }

func (p pebbleAPI) Seal(tree *es.Tree, nodes []es.TreeNode) {
	b, err := tree.AppendBinary(nil)
	p.must(err)
	p.must(p.db.Set([]byte{tableTree}, b, nil))
	for _, n := range nodes {
		p.must(p.db.Set(appendNodeKey(nil, n.Level, n.Index), n.Hash[:], nil))
	}
}
