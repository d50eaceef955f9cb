package pgstore

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/servers"
)

// goBack leaves the database with its first events alone, as a failover to a server does that had not got the others yet.
func goBack(t *testing.T, s *Store, keep int) {
	t.Helper()
	events, err := s.ReadFeed(patience(t), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var tree es.Tree
	var nodes []es.TreeNode
	for i := range events[:keep] {
		nodes = tree.Add(events[i].Hash, nodes)
	}
	err = pgx.BeginFunc(patience(t), connect(t, servers.Postgres(t)), func(tx pgx.Tx) error {
		b := sqlShell{t, tx, s.options.Schema}
		b.run(`SELECT set_config('daybook.archive', 'on', true), set_config('daybook.unit', 'on', true)`)
		for _, e := range events[keep:] {
			b.Delete(e.Position)
		}
		b.Seal(&tree, nodes)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// add adds an event with the data to a stream of its own.
func add(t *testing.T, s *Store, stream es.StreamID, data string) {
	t.Helper()
	d := draft()
	d.Data = []byte(data)
	if _, err := ports.Append(patience(t), s, start, stream, 0, d); err != nil {
		t.Fatal(err)
	}
}

// same sees that two stores of one database give the same events.
func same(t *testing.T, one, other *Store) {
	t.Helper()
	for after := range es.Position(7) {
		got, err := one.ReadFeed(patience(t), after, 10)
		if err != nil {
			t.Fatal(err)
		}
		want, err := other.ReadFeed(patience(t), after, 10)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, func(a, b es.Recorded) bool { return a.Hash == b.Hash }) {
			t.Errorf("after %d: %d events that are not the %d that are there", after, len(got), len(want))
		}
	}
}

func TestNoEventsAreGivenFromMemoryThatTheDatabaseHasLost(t *testing.T) {
	for what, theirs := range map[string][]es.StreamID{"nothing new": nil, "as many": {"d", "e"}, "more": {"d", "e", "f"}} {
		t.Run(what, func(t *testing.T) {
			s := open(t, Options{})
			for _, stream := range []es.StreamID{"a", "b", "c", "d", "e"} {
				add(t, s, stream, `{"n":1}`)
			}
			goBack(t, s, 3)
			other := open(t, Options{Schema: s.options.Schema})
			for _, stream := range theirs {
				add(t, other, stream, `{"n":2}`)
			}
			if len(theirs) != 2 { // else it is this process that writes next, where what it has in memory ends
				same(t, s, other)
			}
			add(t, s, "g", `{"n":3}`)
			same(t, s, other)
		})
	}
}

func TestNobodyIsToldOfCommitsThatTheDatabaseHasLost(t *testing.T) {
	p, url := through(t)
	s := open(t, Options{URL: url})
	for _, stream := range []es.StreamID{"a", "b", "c", "d", "e"} {
		add(t, s, stream, `{"n":1}`)
	}
	goBack(t, s, 3)
	p.cut()
	for ctx := patience(t); s.head.At() != 3; {
		if ctx.Err() != nil {
			t.Fatalf("the head is taken to be %d, and is 3", s.head.At())
		}
		_, _ = s.Head(ctx) // asks the server, so this is no idle loop
	}
	other := open(t, Options{Schema: s.options.Schema})
	add(t, other, "d", `{"n":2}`)
	waitFor(t, s, 3)
}

func TestMemoryDoesNotOutliveTheConnectionToTheServerItIsOf(t *testing.T) {
	p, url := through(t)
	s := open(t, Options{URL: url})
	for _, stream := range []es.StreamID{"a", "b", "c", "d", "e"} {
		add(t, s, stream, `{"n":1}`)
	}
	goBack(t, s, 3)
	other := open(t, Options{Schema: s.options.Schema})
	add(t, other, "d", `{"n":2}`)
	add(t, other, "e", `{"n":2}`)
	p.cut()
	for ctx := patience(t); ; {
		events, err := s.ReadFeed(ctx, 3, 2) // all of them are in memory
		if len(events) == 2 && string(events[0].Data) == `{"n":2}` {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%d events are given that are lost, %v", len(events), err)
		}
		_, _ = s.Head(ctx) // asks the server, so this is no idle loop
	}
}
