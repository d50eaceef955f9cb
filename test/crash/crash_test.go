// Package crash kills the real program with SIGKILL while clients use it, starts it again on the same folder, and holds what
// the clients were told against what is there. It holds tests alone, of the embedded store; those of several processes on
// real servers are in test/faults.
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
)

// rounds is how often the program is killed.
const rounds = 6

// takenPerRound is after how many accepted commands it is killed.
const takenPerRound = 400

// patience is how long anything may take.
const patience = 30 * time.Second

func TestNothingIsLostAndNothingIsTwice(t *testing.T) {
	dies(t, func(p *cluster.Program) { p.Kill() })
}

// Events are on their way from the store to the archive when the program is killed.
func TestNothingIsLostOrTwiceThatIsBeingArchived(t *testing.T) {
	archive := "DAYBOOK_ARCHIVE_URL=file://" + t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
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
	if out, err := p.Command("verify").CombinedOutput(); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
	p.Start()
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
	p := cluster.New(t, binary, append(env, "DAYBOOK_STORE_PEBBLE_PATH="+filepath.Join(t.TempDir(), "store"))...).Start("daybook")
	load := &cluster.Load{Clients: 16, Pace: time.Millisecond, Targets: func() []string { return []string{p.URL()} }}
	load.Start(t)
	for range rounds {
		load.Await(t, takenPerRound, patience)
		kill(p)
		p.Start()
	}
	load.Await(t, takenPerRound, patience)
	load.Stop()
	books := cluster.ReadBooks(t, p.URL())
	cluster.CheckAnswers(t, books, load.Finals())
	cluster.CheckViews(t, books, p.URL(), patience)
	cluster.CheckHistory(t, books, load)
	cluster.CheckReplays(t, p.URL(), load.Finals())
	return p
}
