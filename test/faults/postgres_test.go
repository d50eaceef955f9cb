package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"daybook/test/cluster"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

// moment is how long a server stays away.
const moment = 2 * time.Second

func TestPostgresEndsUnderLoadAndComesBack(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F22", faulttable.Production, again())
	server := servers.Private(t, "postgres")
	w := prepare(t, place{postgres: server.URL()}).up()
	for range times(2) {
		w.during("PostgreSQL restarted in immediate mode", func() {
			w.quit()
			server.Start()
		})
		w.during("PostgreSQL killed with -9 and away for a moment", func() {
			server.Kill()
			w.lasts(moment)
			server.Start()
		})
	}
	w.settle()
}

// quit does to the server what pg_ctl stop -m immediate does: SIGQUIT to the postmaster, whose sessions end at once. It returns
// when the postmaster is gone.
func (w *world) quit() {
	w.t.Helper()
	var session int
	if err := w.ask(w.t.Context(), "SELECT pg_backend_pid()", &session); err != nil {
		w.t.Fatal(err)
	}
	// the session that answered may be gone by now: any of the same parent will do
	postmaster := parent(w.t, session)
	if err := syscall.Kill(postmaster, syscall.SIGQUIT); err != nil {
		w.t.Fatal(err)
	}
	cluster.Within(w.t, recovery, "the postmaster ends", func(context.Context) error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", postmaster))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return nil
		}
		return fmt.Errorf("process %d runs", postmaster)
	})
}

// parent is the parent of a process.
func parent(t *testing.T, pid int) int {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	n, err := strconv.Atoi(strings.Fields(rest)[1])
	if err != nil || n < 2 {
		t.Fatalf("%s: %v", stat, err)
	}
	return n
}

// throughPostgres is a world whose processes reach PostgreSQL through a proxy.
func throughPostgres(t *testing.T) (*world, *network) {
	t.Helper()
	w := prepare(t, place{})
	w.patience = time.Minute // to see when those are answered who wait for it
	n := between(t, w.database)
	w.through(place{postgres: n.host()})
	return w.up(), n
}

func TestPostgresSaysNothingForSeconds(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F23", faulttable.Production, again())
	w, n := throughPostgres(t)
	for round := range times(1) {
		silent := time.Duration(4+6*round) * moment
		w.during(fmt.Sprintf("the network to PostgreSQL swallows everything for %v", silent), func() {
			end := n.swallow()
			w.probed()
			w.lasts(silent)
			end()
		})
	}
	w.settle()
}

// probed waits until each process says that it is not ready, and sees that it is alive.
func (w *world) probed() {
	w.t.Helper()
	for _, p := range w.apis {
		cluster.Within(w.t, recovery, "readiness of the "+p.Name()+" ends", func(ctx context.Context) error {
			var status *cluster.StatusError
			if err := cluster.Get(ctx, p.URL()+"/readyz", nil); !errors.As(err, &status) || status.Status != http.StatusServiceUnavailable {
				return fmt.Errorf("it is %w", err)
			}
			return nil
		})
		if err := cluster.Get(w.t.Context(), p.URL()+"/livez", nil); err != nil {
			w.t.Errorf("the %s is not alive: %v", p.Name(), err)
		}
	}
}

func TestAnswersToCommitsAreCutInTheMiddle(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F24", faulttable.Production, again())
	w, n := throughPostgres(t)
	for range times(1) {
		w.during("every 20th answer to a commit is cut", func() {
			end, cut := n.cutCommits(20)
			w.load.Await(t, 500, recovery)
			end()
			if cut() == 0 {
				t.Error("no commit was cut")
			}
			t.Logf("%d answers to commits were cut", cut())
		})
	}
	w.settle()
}

func TestPostgresAnswersFiveSecondsLate(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F25", faulttable.Production, again())
	w, n := throughPostgres(t)
	for range times(1) {
		w.during("each answer of PostgreSQL takes 5 s more", func() {
			end := n.delay(5000)
			w.lasts(4 * moment)
			end()
		})
	}
	w.settle()
}

// Nobody can be asked what became of the commit, for longer than the store asks.
func TestAnOutcomeThatCannotBeFoundOutIsSaidToBeUnknownAndSettledByTheKey(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F24", faulttable.Production, again())
	w, n := throughPostgres(t)
	for range times(1) {
		told, tries := 0, 4 // a commit of refusals alone leaves nobody in doubt
		for ; told == 0 && tries > 0; tries-- {
			s := w.during("an answer to a commit is cut, and then the network swallows everything", func() {
				end, cut := n.cutCommitAndSwallow()
				cluster.Within(t, recovery, "a commit is cut", func(context.Context) error {
					if cut() == 0 {
						return errors.New("not yet")
					}
					return nil
				})
				w.lasts(8 * moment)
				end()
			})
			told = s.Kinds["503 outcome_unknown"]
		}
		if told == 0 {
			t.Error("nobody was told that the outcome is unknown")
		}
	}
	w.settle()
}
