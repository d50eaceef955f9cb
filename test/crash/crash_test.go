// Package crash kills the real program with SIGKILL while clients use it, at any moment and at each of its crash points, starts it
// again on the same data, and holds what the clients were told against what is there. It holds tests alone, of one process; those of
// several processes, and of servers and networks that break, are in test/faults.
package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"daybook/test/cluster"
	"daybook/test/faulttable"
)

// takenPerRound is after how many accepted commands it is killed.
const takenPerRound = 400

// patience is how long anything may take.
const patience = cluster.Patience

func TestNothingIsLostAndNothingIsTwice(t *testing.T) {
	faulttable.Covers(t, "F6", faulttable.Embedded, again())
	dies(t, func(p *cluster.Program) { p.Kill() })
}

// Events are on their way from the store to the archive when the program is killed.
func TestNothingIsLostOrTwiceThatIsBeingArchived(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Embedded, again())
	archive := "DAYBOOK_ARCHIVE_URL=file://" + t.TempDir()
	random := rand.New(rand.NewPCG(*seed, 0))
	p := dies(t, func(p *cluster.Program) {
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			archiveAll(p) // it may be dead by then
		}()
		cluster.Pass(t.Context(), time.Duration(random.IntN(60))*time.Millisecond)
		p.Kill()
		<-asked
	}, archive)
	cluster.Within(t, patience, "most events are archived", func(ctx context.Context) error {
		archiveAll(p)
		var status struct{ Head, Archived int }
		if err := cluster.Get(ctx, p.URL()+"/v1/status", &status); err != nil {
			return err
		}
		if status.Archived < status.Head-1000 {
			return fmt.Errorf("%d of %d", status.Archived, status.Head)
		}
		return nil
	})
	p.Stop()
	cluster.CheckVerified(t, p)
}

// archiveAll asks for everything to be archived that may be.
func archiveAll(p *cluster.Program) {
	res, err := http.Post(p.URL()+"/v1/admin/archive?before=2100-01-01T00:00:00Z", "", http.NoBody)
	if err == nil {
		_ = res.Body.Close()
	}
}

// dies puts load on the program, ends it by kill a few times, starts it again each time, and checks the books.
func dies(t *testing.T, kill func(*cluster.Program), env ...string) *cluster.Program {
	t.Helper()
	binary, err := cluster.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := cluster.New(t, binary, append(env, "DAYBOOK_STORE_PEBBLE_PATH="+filepath.Join(t.TempDir(), "store"))...)
	p := c.Start("daybook")
	load := &cluster.Load{Seed: *seed, Clients: 16, Pace: time.Millisecond, Targets: func() []string { return []string{p.URL()} }}
	load.Start(t)
	var slowest time.Duration
	for range *kills {
		load.Await(t, takenPerRound, patience)
		kill(p)
		began := time.Now()
		p.Start()
		cluster.Within(t, patience, "the program is ready", func(ctx context.Context) error { return cluster.Get(ctx, p.URL()+"/readyz", nil) })
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("killed %d times, and ready again after %.2fs at the most", *kills, slowest.Seconds())
	load.Await(t, takenPerRound, patience)
	load.Stop()
	c.Check(load, nil, patience, p.URL())
	return p
}
