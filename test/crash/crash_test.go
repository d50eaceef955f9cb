// Package crash kills the real program with SIGKILL while clients use it, starts it again on the same folder, and holds what
// the clients were told against what is there. It holds tests alone, of the embedded store; those of several processes on
// real servers are in test/faults.
package crash

import (
	"path/filepath"
	"testing"
	"time"

	"daybook/test/cluster"
)

// rounds is how often the program is killed.
const rounds = 6

// takenPerRound is after how many accepted commands it is killed.
const takenPerRound = 400

// patience is how long anything may take.
const patience = 30 * time.Second

func TestNothingIsLostAndNothingIsTwice(t *testing.T) {
	binary, err := cluster.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := cluster.New(t, binary, "DAYBOOK_STORE_PEBBLE_PATH="+filepath.Join(t.TempDir(), "store")).Start("daybook")
	load := &cluster.Load{Clients: 16, Pace: time.Millisecond, Targets: func() []string { return []string{p.URL()} }}
	load.Start(t)
	for range rounds {
		load.Await(t, takenPerRound, patience)
		p.Kill()
		p.Start()
	}
	load.Await(t, takenPerRound, patience)
	load.Stop()
	books := cluster.ReadBooks(t, p.URL())
	books.CheckAnswers(t, load.Finals())
	books.CheckViews(t, p.URL(), patience)
	cluster.CheckReplays(t, p.URL(), load.Finals())
}
