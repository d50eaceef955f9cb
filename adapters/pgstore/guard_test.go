package pgstore

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"daybook/core/es"
	"daybook/test/contract"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

const outside = `INSERT INTO daybook.events (stream_id, type, schema, data, metadata)
	SELECT $1, 'Imported', 1, '{"n":' || n || '}', '{"principal":"operator"}' FROM generate_series(1, $2::int) n`

func TestEventsInsertedFromOutsideArePutInLineAndShownToReaders(t *testing.T) {
	faulttable.Covers(t, "F27", faulttable.PostgreSQL)
	noLeaks(t)
	s := open(t, Options{})
	const rounds, rows = 20, 5
	var wg sync.WaitGroup
	for _, stream := range []string{"x", "y"} {
		conn := connect(t, servers.Postgres(t))
		wg.Go(func() {
			for range rounds {
				if _, err := conn.Exec(patience(t), inSchema(outside, s.options.Schema), stream, rows); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range rounds {
		mustWrite(t, s)
	}
	wg.Wait()
	const all = rounds + 2*rounds*rows
	if err := s.Wait(patience(t), all-1); err != nil {
		t.Fatal(err)
	}
	events, err := s.ReadFeed(patience(t), 0, 1000) // which refuses gaps
	if err != nil || len(events) != all {
		t.Fatalf("the feed has %d events, %v; want %d", len(events), err, all)
	}
	versions := map[es.StreamID]es.Version{}
	for i, e := range events {
		versions[e.Stream]++
		if e.Version != versions[e.Stream] || i > 0 && !e.RecordedAt.After(events[i-1].RecordedAt) {
			t.Fatalf("%s follows %s", e.JSON(), events[max(i-1, 0)].JSON())
		}
		if parsed, err := es.ParseRecorded(e.JSON()); err != nil || parsed.Stream != e.Stream || string(parsed.Data) != string(e.Data) {
			t.Fatalf("%s cannot be read: %v", e.JSON(), err)
		}
	}
	mustWrite(t, s) // which seals what is before it
	contract.WantSealed(t, s, all+1)
	_ = s.Close()
}

func TestEventsFromBeforeThereWereHashesAreSealedAtTheNextStart(t *testing.T) {
	s := open(t, Options{})
	for range 3 {
		mustWrite(t, s)
	}
	conn := connect(t, servers.Postgres(t))
	for _, stream := range []string{"x", "y", "x"} {
		if _, err := conn.Exec(patience(t), inSchema(outside, s.options.Schema), stream, 3000); err != nil {
			t.Fatal(err)
		}
	}
	const all = 3 + 3*3000
	for _, after := range []int{0, 5000, all} { // a start that was killed has sealed whole pages
		tree := es.Tree{}
		for i, e := range feed(t, s, all) {
			if i < after {
				tree.Add(e.Hash, nil)
			}
		}
		state, _ := tree.AppendBinary(nil)
		err := pgx.BeginFunc(patience(t), conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(patience(t), inSchema(fmt.Sprintf(`SET LOCAL daybook.archive = 'on'; UPDATE daybook.events SET hash = NULL WHERE position > %[1]d;
				DELETE FROM daybook.tree_nodes WHERE (index + 1) * 256 > %[1]d; UPDATE daybook.tree SET size = %[1]d, state = '\x%[2]x'`, after, state), s.options.Schema))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		s = open(t, Options{Schema: s.options.Schema})
		contract.WantSealed(t, s, all)
	}
	mustWrite(t, s)
	contract.WantSealed(t, s, all+1)
}

func feed(t *testing.T, s *Store, n int) []es.Recorded {
	t.Helper()
	events, err := s.ReadFeed(patience(t), 0, n)
	if err != nil || len(events) != n {
		t.Fatalf("the feed has %d events, %v; want %d", len(events), err, n)
	}
	return events
}

func TestWhatWouldBreakTheOrderOrTheHistoryIsRefusedWithWords(t *testing.T) {
	s := open(t, Options{})
	for range 3 {
		mustWrite(t, s)
	}
	conn := connect(t, servers.Postgres(t))
	insert := `INSERT INTO daybook.events (position, stream_id, version, type, schema, recorded_at, data, metadata) VALUES `
	for statement, want := range map[string]string{
		insert + `(5, 'x', 1, 'T', 1, NULL, '{}', '{}')`:               "position 5 was given where 4 comes next",
		insert + `(2, 'x', 1, 'T', 1, NULL, '{}', '{}')`:               "position 2 was given where 4 comes next",
		insert + `(4, 's1', 1, 'T', 1, NULL, '{}', '{}')`:              "s1 was given version 1 where 2 comes next",
		insert + `(4, 's1', 3, 'T', 1, NULL, '{}', '{}')`:              "s1 was given version 3 where 2 comes next",
		insert + `(NULL, 'x', NULL, 'T', 1, '2020-01-01', '{}', '{}')`: "does not rise",
		insert + `(NULL, 'x', NULL, 'T', 1, NULL, '[]', '{}')`:         "JSON objects",
		insert + `(NULL, 'x', NULL, 'T', 1, NULL, '{', '{}')`:          "invalid input syntax for type json",
		insert + `(NULL, 'a"b', NULL, 'T', 1, NULL, '{}', '{}')`:       "without quotes",
		`UPDATE daybook.events SET data = '{}' WHERE position = 1`:     "never changed or deleted: UPDATE",
		`DELETE FROM daybook.events WHERE position = 3`:                "never changed or deleted: DELETE",
		`TRUNCATE daybook.events`:                                      "never changed or deleted: TRUNCATE",
	} {
		_, err := conn.Exec(context.Background(), inSchema(statement, s.options.Schema))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n\tgot %v, want %q", statement, err, want)
		}
	}
	wantHead(t, s, 3)
	mustWrite(t, s)
}

func TestOldEventsCanBeMovedAwayOnPurpose(t *testing.T) {
	s := open(t, Options{})
	for range 3 {
		mustWrite(t, s)
	}
	err := pgx.BeginFunc(context.Background(), connect(t, servers.Postgres(t)), func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), inSchema(`SET LOCAL daybook.archive = 'on'; DELETE FROM daybook.events WHERE position < 3`, s.options.Schema))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, s)
	if events, err := s.ReadFeed(patience(t), 2, 10); err != nil || len(events) != 2 {
		t.Errorf("after those moved away there are %d events, %v", len(events), err)
	}
	fresh := open(t, Options{Schema: s.options.Schema}) // one that has nothing in memory
	if _, err := fresh.ReadFeed(patience(t), 0, 10); err == nil || !strings.Contains(err.Error(), "position 1 is missing") {
		t.Errorf("a reader who needs those moved away got %v", err)
	}
}
