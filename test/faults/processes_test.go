package faults

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"daybook/test/cluster"
	"daybook/test/faulttable"
)

func TestProcessesKilledAtRandomLoseNothingAndDoNothingTwice(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F1", faulttable.Production, again())
	faulttable.Covers(t, "F2", faulttable.Production, again())
	faulttable.Covers(t, "F3", faulttable.Production, again())
	faulttable.Covers(t, "F4", faulttable.Production, again())
	faulttable.Covers(t, "F5", faulttable.Production, again())
	faulttable.Covers(t, "F6", faulttable.Production, again())
	w := start(t)
	all := w.cluster.Programs()
	worst := cluster.Spell{}
	for range times(8) {
		w.lasts(time.Duration(w.random.IntN(300)) * time.Millisecond)
		p := all[w.random.IntN(len(all))]
		s := w.during("kill -9 of the "+p.Name(), func() { w.killed(p) })
		if s.Silence > worst.Silence {
			worst = s
		}
	}
	t.Logf("the worst of %d kills: %v", times(8), worst)
	w.settle()
}

// killed kills a process and starts it again, which takes a moment.
func (w *world) killed(p *cluster.Program) {
	w.t.Helper()
	p.Kill()
	w.lasts(time.Duration(w.random.IntN(300)) * time.Millisecond)
	p.Start()
}

// stopped stops a process in order, and starts it again.
func (w *world) stopped(p *cluster.Program) {
	w.t.Helper()
	p.Stop()
	p.Start()
}

// standsStill lets a process stand still for so long.
func (w *world) standsStill(p *cluster.Program, d time.Duration) {
	w.t.Helper()
	p.Signal(syscall.SIGSTOP)
	w.lasts(d)
	p.Signal(syscall.SIGCONT)
}

func TestProcessesThatAreStoppedInTurnAnswerAllTheyTookIn(t *testing.T) {
	t.Parallel()
	w := start(t)
	for range times(1) {
		for _, p := range w.cluster.Programs() {
			w.during("orderly stop of the "+p.Name(), func() { w.stopped(p) })
		}
	}
	w.settle()
}

func TestWorkPassesToAnotherProcessWithinThreeSecondsOfAKill(t *testing.T) {
	faulttable.Covers(t, "F13", faulttable.Production, again())
	w := start(t)
	w.noteBackwards()
	for range times(2) {
		for _, lease := range []string{w.relayLease(), viewsLease} {
			holder, other := w.holder(lease)
			before := w.token(t.Context(), lease)
			holder.Kill()
			passed := cluster.Within(t, 3*time.Second, "the lease "+lease+" passes on", func(ctx context.Context) error {
				if w.token(ctx, lease) == before {
					return errors.New("nobody has taken it")
				}
				return nil
			})
			if now, _ := w.holder(lease); now != other {
				t.Errorf("the lease passed to the %s", now.Name())
			}
			views, bus := w.caughtUp()
			t.Logf("kill -9 of who held %s: another took it after %.2fs; then views were back in %.2fs and the bus in %.2fs", lease, passed.Seconds(), views.Seconds(), bus.Seconds())
			holder.Start()
		}
	}
	w.settle()
	w.neverBackwards()
}

// A process that is stopped for longer than its lease and then goes on believes for a moment that the work is still its own.
func TestAHolderThatStoodStillForLongerThanItsLeaseChangesNothingAfterwards(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F7", faulttable.Production, again())
	faulttable.Covers(t, "F13", faulttable.Production, again())
	w := start(t)
	w.noteBackwards()
	for range times(1) {
		for _, lease := range []string{w.relayLease(), viewsLease} {
			holder, _ := w.holder(lease)
			before := w.token(t.Context(), lease)
			w.during("the holder of "+lease+" stands still", func() { w.standsStill(holder, 2*moment) })
			if after := w.token(t.Context(), lease); after <= before {
				t.Errorf("%s went from token %d to %d", lease, before, after)
			}
		}
	}
	w.settle()
	w.neverBackwards()
}

func TestAProcessThatStandsStillInsideItsTransactionHoldsUpTheOthersForSecondsOnly(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F7", faulttable.Production, again())
	w := prepare(t, place{})
	w.patience = moment / 2 // who gets no answer turns to another process
	w.up()
	for range times(1) {
		s := w.during("a process that takes commands stands still inside a transaction", func() {
			w.standStillInside(w.apis[0])
			w.lasts(4 * moment)
			w.apis[0].Signal(syscall.SIGCONT)
		})
		if s.Silence > 4*moment-moment/2 {
			t.Errorf("nothing was taken for %v", s.Silence)
		}
	}
	w.settle()
}

// standStillInside stops the process at a moment in which it holds the lock of those who write.
func (w *world) standStillInside(p *cluster.Program) {
	w.t.Helper()
	cluster.Within(w.t, recovery, "the process is met inside a transaction", func(ctx context.Context) error {
		p.Signal(syscall.SIGSTOP)
		cluster.Pass(ctx, 200*time.Millisecond)
		var n int
		err := w.ask(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND state = 'idle in transaction' AND clock_timestamp() - state_change > interval '150 ms'`, &n)
		if err == nil && n > 0 {
			return nil
		}
		p.Signal(syscall.SIGCONT)
		cluster.Pass(ctx, time.Duration(w.random.IntN(20))*time.Millisecond)
		return fmt.Errorf("it was outside (%w)", err)
	})
}

// token is that of the lease's last holder.
func (w *world) token(ctx context.Context, lease string) (token int64) {
	w.t.Helper()
	if err := w.ask(ctx, "SELECT token FROM daybook.leases WHERE name = '"+lease+"'", &token); err != nil {
		w.t.Fatal(err)
	}
	return token
}

// noteBackwards has the database note each checkpoint and each token that goes back, and watches the views until neverBackwards.
func (w *world) noteBackwards() {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.database)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close(w.t.Context())
	if _, err := conn.Exec(w.t.Context(), `
		CREATE TABLE backwards (words text);
		CREATE FUNCTION note_backwards() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO backwards VALUES (TG_TABLE_NAME || ': ' || OLD::text || ' became ' || NEW::text); RETURN NEW; END $$;
		CREATE TRIGGER note BEFORE UPDATE ON daybook.checkpoints FOR EACH ROW WHEN (NEW.position < OLD.position) EXECUTE FUNCTION note_backwards();
		CREATE TRIGGER note BEFORE UPDATE ON daybook.leases FOR EACH ROW WHEN (NEW.token < OLD.token) EXECUTE FUNCTION note_backwards();`,
	); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.watchViews(ctx)
	}()
	w.unwatch = func() { cancel(); <-watched }
	w.t.Cleanup(w.unwatch)
}

// watchViews looks again and again how far the views in Elasticsearch are, and fails the test when they go back.
func (w *world) watchViews(ctx context.Context) {
	for furthest := int64(0); cluster.Pass(ctx, 20*time.Millisecond); {
		var status struct{ Views []struct{ Position *int64 } }
		if err := cluster.Get(ctx, w.apis[1].URL()+"/v1/status", &status); err != nil || len(status.Views) == 0 || status.Views[0].Position == nil {
			continue
		}
		at := *status.Views[0].Position
		if at < furthest {
			w.t.Errorf("the views went back from %d to %d", furthest, at)
		}
		furthest = at
	}
}

// neverBackwards fails the test if something was noted.
func (w *world) neverBackwards() {
	w.t.Helper()
	w.unwatch()
	var words string
	if err := w.ask(w.t.Context(), "SELECT coalesce(string_agg(words, E'\n'), '') FROM backwards", &words); err != nil || words != "" {
		w.t.Errorf("something went back: %s %v", words, err)
	}
}
