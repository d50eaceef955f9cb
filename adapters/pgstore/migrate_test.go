package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/core/fault"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

// migrating is set for the child process: the schema that it brings up.
const migrating = "DAYBOOK_TEST_MIGRATING_SCHEMA"

func migrateAndEnd(schema string) {
	fmt.Println("ready")
	s, err := Open(context.Background(), Options{URL: os.Getenv("DAYBOOK_TEST_POSTGRES_URL"), Schema: schema})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = s.Close()
}

func TestStoresThatOpenAnEmptyDatabaseAtOnceAllComeUp(t *testing.T) {
	faulttable.Covers(t, "F11", faulttable.PostgreSQL)
	noLeaks(t)
	url := servers.PostgresDatabase(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			s, err := Open(patience(t), Options{URL: url})
			if err == nil {
				err = errors.Join(write(patience(t), s), s.Close())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := open(t, Options{URL: url, Schema: "daybook"})
	wantHead(t, s, 3)
	_ = s.Close()
}

func TestAStartKilledWhileItMigratesIsFinishedByTheNext(t *testing.T) {
	faulttable.Covers(t, "F30", faulttable.PostgreSQL)
	url := servers.Postgres(t)
	for wait := time.Millisecond; wait < 100*time.Millisecond; wait += 7 * time.Millisecond {
		name := schema(t)
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), migrating+"="+name)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 16)); err != nil {
			t.Fatal(err)
		}
		<-time.After(wait) // wherever it is then
		_ = child.Process.Kill()
		_ = child.Wait()
		s := open(t, Options{URL: url, Schema: name})
		mustWrite(t, s)
		_ = s.Close()
	}
}

// A process that is killed is a connection that ends, for the server: here after every third message that a start sends.
func TestAStartCutOffAfterAnyMessageIsFinishedByTheNext(t *testing.T) {
	faulttable.Covers(t, "F30", faulttable.PostgreSQL)
	p, url := through(t)
	first := 1 + rand.IntN(3)
	t.Logf("cut off after messages %d, %d and so on", first, first+3)
	for last, done := first, false; !done; last += 3 {
		if last > 500 {
			t.Fatal("a start takes more than 500 messages")
		}
		name := schema(t)
		var sent atomic.Int64 // the connections of a store that is open go on
		p.set(func(toServer bool, _ []byte) bool {
			return toServer && sent.Add(1) > int64(last) // and nobody gets further that tries again
		})
		s, err := Open(patience(t), Options{URL: url, Schema: name, StartTimeout: 300 * time.Millisecond})
		if done = err == nil; done {
			t.Logf("a start takes %d messages", sent.Load())
			_ = s.Close()
		}
		p.set(nil)
		s = open(t, Options{Schema: name})
		mustWrite(t, s)
		wantHead(t, s, 1)
		_ = s.Close()
	}
}

func TestAMigrationThatCannotBeDoneSaysWhyAndLeavesNothingHalfDone(t *testing.T) {
	url, name := servers.Postgres(t), schema(t)
	execute(t, url, `CREATE SCHEMA `+name+`; CREATE TABLE `+name+`.outcomes (other text)`) // somebody else's
	_, err := Open(patience(t), Options{URL: url, Schema: name})
	if fault.KindOf(err) != fault.Internal || !strings.Contains(fault.Of(err).Msg, `relation "outcomes" already exists`) {
		t.Fatalf("got %v", err)
	}
	execute(t, url, `DROP TABLE `+name+`.outcomes`)
	mustWrite(t, open(t, Options{Schema: name}))
}

// A dump reads in one transaction for as long as it takes. A migration that simply waited for it would have everybody wait behind it.
func TestAMigrationWaitsForWhoReadsForLongAndHoldsUpNobody(t *testing.T) {
	url := servers.Postgres(t)
	s := open(t, Options{})
	mustWrite(t, s)
	_ = s.Close()
	name := s.options.Schema
	execute(t, url, inSchema(`DELETE FROM daybook.migrations WHERE version_id >= 3; ALTER TABLE daybook.events DROP COLUMN hash;
		DROP TABLE daybook.tree, daybook.tree_nodes, daybook.archived`, name)) // as the build before left it
	dump := connect(t, url)
	defer dump.Close(context.Background())
	if _, err := dump.Exec(t.Context(), inSchema(`BEGIN; SELECT FROM daybook.events`, name)); err != nil {
		t.Fatal(err)
	}
	waits, opened := make(chan struct{}, 100), make(chan error, 1)
	go func() {
		s, err := Open(patience(t), Options{URL: url, Schema: name, Logf: func(string, ...any) { waits <- struct{}{} }})
		if err == nil {
			err = errors.Join(write(patience(t), s), s.Close())
		}
		opened <- err
	}()
	for range 2 {
		<-waits // it has given up for now
		execute(t, url, inSchema(`SET statement_timeout = 1000; SELECT FROM daybook.events`, name))
	}
	select {
	case err := <-opened:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	if _, err := dump.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	wantHead(t, open(t, Options{Schema: name}), 2)
}

func TestADatabaseOfANewerBuildIsRefused(t *testing.T) {
	faulttable.Covers(t, "F30", faulttable.PostgreSQL)
	s := open(t, Options{})
	_ = s.Close()
	execute(t, servers.Postgres(t), `INSERT INTO `+s.options.Schema+`.migrations (version_id, is_applied) VALUES (99, true)`)
	_, err := Open(patience(t), Options{URL: servers.Postgres(t), Schema: s.options.Schema})
	if err == nil || !strings.Contains(fault.Of(err).Msg, "newer Daybook") || !strings.Contains(fault.Of(err).Msg, "version 99") {
		t.Errorf("got %v", err)
	}
}
