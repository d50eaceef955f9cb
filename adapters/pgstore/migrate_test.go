package pgstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/core/fault"
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

func TestADatabaseOfANewerBuildIsRefused(t *testing.T) {
	s := open(t, Options{})
	_ = s.Close()
	execute(t, servers.Postgres(t), `INSERT INTO `+s.options.Schema+`.migrations (version_id, is_applied) VALUES (99, true)`)
	_, err := Open(patience(t), Options{URL: servers.Postgres(t), Schema: s.options.Schema})
	if err == nil || !strings.Contains(fault.Of(err).Msg, "newer Daybook") || !strings.Contains(fault.Of(err).Msg, "version 99") {
		t.Errorf("got %v", err)
	}
}
