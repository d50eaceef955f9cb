package pgstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

// stalled is set for the child process: the schema in which it opens a unit.
const stalled = "DAYBOOK_TEST_STALLED_SCHEMA"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(stalled) != "":
		holdUnit(os.Getenv(stalled))
	case os.Getenv(migrating) != "":
		migrateAndEnd(os.Getenv(migrating))
	default:
		os.Exit(m.Run())
	}
}

// holdUnit is the child: it opens a unit, says so, commits when it is told to, and says what became of it.
func holdUnit(schema string) {
	s, err := Open(context.Background(), Options{URL: os.Getenv("DAYBOOK_TEST_POSTGRES_URL"), Schema: schema, UnitTimeout: time.Second})
	if err != nil {
		fmt.Println("open:", err)
		return
	}
	u, err := s.Begin(context.Background(), ports.Needs{})
	fmt.Println("begun:", err)
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	err = u.Commit(context.Background(), next(u))
	fmt.Println("unavailable:", errors.Is(err, ports.ErrStoreUnavailable))
	_, err = s.ReadFeed(context.Background(), 0, 10)
	fmt.Println("reads:", err)
}

func TestAProcessStoppedInTheMiddleOfAUnitHoldsTheOthersForSecondsOnlyAndWritesNothing(t *testing.T) {
	faulttable.Covers(t, "F7", faulttable.PostgreSQL)
	noLeaks(t)
	s := open(t, Options{UnitTimeout: time.Second})
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), stalled+"="+s.options.Schema)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	lines := bufio.NewScanner(out)
	says := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the other process says %q, want %q", lines.Text(), want)
		}
	}
	says("begun: <nil>")
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	mustWrite(t, s)
	t.Logf("the other store went on after %v", time.Since(began).Round(time.Millisecond))
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	says("unavailable: true")
	says("reads: <nil>")
	wantHead(t, s, 1)
	_ = s.Close()
}

// A pipeline that was sent by half keeps the server waiting for the rest: that session is not idle, and no timeout ends it.
func TestASessionThatStoppedInTheMiddleOfSendingIsEnded(t *testing.T) {
	s := open(t, Options{UnitTimeout: 300 * time.Millisecond})
	conn := connect(t, servers.Postgres(t)).PgConn()
	pipeline := conn.StartPipeline(patience(t))
	pipeline.SendQueryParams("BEGIN", nil, nil, nil, nil)
	pipeline.SendQueryParams(s.sql.lock, nil, nil, nil, nil)
	pipeline.SendFlushRequest() // and no Sync
	if err := pipeline.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		answer, err := pipeline.GetResults()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := answer.(*pgconn.ResultReader).Close(); err != nil {
			t.Fatal(err)
		}
	}
	mustWrite(t, s)
	if err := pipeline.Sync(); err == nil {
		_, err = pipeline.GetResults()
		if err == nil || !strings.Contains(err.Error(), "57P01") {
			t.Errorf("the session that held the lock got %v", err)
		}
	}
}

func TestAUnitThatIsLeftOpenForTooLongIsRolledBackAndSaysSo(t *testing.T) {
	s := open(t, Options{UnitTimeout: 200 * time.Millisecond})
	u, err := s.Begin(patience(t), ports.Needs{})
	if err != nil {
		t.Fatal(err)
	}
	other := open(t, Options{Schema: s.options.Schema, UnitTimeout: 5 * time.Second})
	mustWrite(t, other)
	if err := u.Commit(patience(t), next(u)); !errors.Is(err, ports.ErrStoreUnavailable) {
		t.Errorf("got %v, want that nothing was written", err)
	}
	wantHead(t, s, 1)
	mustWrite(t, s)
}

func TestALockHeldForTooLongByOneWhoWorksIsNotTakenAway(t *testing.T) {
	faulttable.Covers(t, "F28", faulttable.PostgreSQL)
	s := open(t, Options{UnitTimeout: 200 * time.Millisecond})
	tx, err := connect(t, servers.Postgres(t)).Begin(patience(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(patience(t), s.sql.lock); err != nil {
		t.Fatal(err)
	}
	busy := make(chan error, 1)
	go func() { _, err := tx.Exec(context.Background(), "SELECT pg_sleep(3)"); busy <- err }()
	if err := write(patience(t), s); !errors.Is(err, ports.ErrStoreUnavailable) {
		t.Errorf("got %v, want that the store is busy", err)
	}
	if err := <-busy; err != nil {
		t.Errorf("the one who held the lock: %v", err)
	}
	if err := tx.Rollback(patience(t)); err != nil {
		t.Error(err)
	}
	mustWrite(t, s)
}
