package pgstore

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

func TestWhoeverChangesTheTablesBehindDaybooksBackIsFoundOut(t *testing.T) {
	faulttable.Covers(t, "F19", faulttable.PostgreSQL)
	faulttable.Covers(t, "F20", faulttable.PostgreSQL)
	contract.Tampered(t, func(t *testing.T) (ports.Store, func(func(contract.Behind)) ports.Store) {
		s := open(t, Options{})
		return s, func(change func(contract.Behind)) ports.Store {
			err := pgx.BeginFunc(patience(t), connect(t, servers.Postgres(t)), func(tx pgx.Tx) error {
				b := sqlShell{t, tx, s.options.Schema}
				b.run(`SELECT set_config('daybook.archive', 'on', true), set_config('daybook.unit', 'on', true)`)
				change(b)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return open(t, Options{Schema: s.options.Schema})
		}
	})
}

// sqlShell is what SQL gives to whoever owns the tables.
type sqlShell struct {
	t      *testing.T
	tx     pgx.Tx
	schema string
}

func (b sqlShell) run(statement string, args ...any) {
	b.t.Helper()
	if _, err := b.tx.Exec(patience(b.t), inSchema(statement, b.schema), args...); err != nil {
		b.t.Fatal(err)
	}
}

func (b sqlShell) Put(e es.Recorded) {
	b.run(`INSERT INTO daybook.events (position, stream_id, version, type, schema, effective_at, recorded_at, data, metadata, hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (position) DO UPDATE SET stream_id = $2, version = $3, type = $4, schema = $5,
		effective_at = $6, recorded_at = $7, data = $8, metadata = $9, hash = $10`,
		int64(e.Position), string(e.Stream), int64(e.Version), e.Type, e.Schema, e.EffectiveAt, e.RecordedAt, string(e.Data), string(e.Metadata), e.Hash[:])
}

func (b sqlShell) Delete(at es.Position) {
	b.run(`DELETE FROM daybook.events WHERE position = $1`, int64(at))
}

func (b sqlShell) Seal(tree *es.Tree, nodes []es.TreeNode) {
	state, err := tree.AppendBinary(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.run(`UPDATE daybook.tree SET size = $1, state = $2`, int64(tree.Size), state)
	b.run(`DELETE FROM daybook.tree_nodes`)
	for _, n := range nodes {
		b.run(`INSERT INTO daybook.tree_nodes (level, index, hash) VALUES ($1, $2, $3)`, n.Level, int64(n.Index), n.Hash[:])
	}
}
