package faults

import (
	"context"
	"fmt"
	"os"
	"testing"

	"daybook/test/cluster"
	"daybook/test/faulttable"
	"daybook/test/servers"
	"daybook/test/smalldisk"
)

func TestPostgresHasNoRoomOnItsDiskAndThenHas(t *testing.T) {
	faulttable.Covers(t, "F14", faulttable.Production, again())
	servers.Postgres(t)
	disk := smalldisk.Mount(t, 400)
	server := onDisk(t, disk)
	t.Parallel()
	w := prepare(t, place{postgres: server.URL()}).up()
	w.caughtUp() // so that there is something to be answered from
	w.during("the disk of PostgreSQL is full", func() {
		makeRoom := disk.Fill(0)
		cluster.Within(t, recovery, "commands are refused", func(context.Context) error {
			if s := w.load.Spell(); s.Kinds["503 store_full"] == 0 {
				return fmt.Errorf("nobody was told that there is no room: %v", s)
			}
			return nil
		})
		if err := cluster.Get(t.Context(), w.apis[1].URL()+"/v1/accounts", nil); err != nil {
			t.Errorf("lists need no room: %v", err)
		}
		w.lasts(moment)
		makeRoom()
		server.Start() // it may have ended: without room for its log it cannot go on
	})
	w.settle()
}

// onDisk starts a PostgreSQL of the test's own whose data is on the disk. No other test runs meanwhile.
func onDisk(t *testing.T, disk *smalldisk.Disk) *servers.Instance {
	t.Helper()
	before, was := os.LookupEnv("TMPDIR")
	if err := os.Setenv("TMPDIR", disk.Dir); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if was {
			_ = os.Setenv("TMPDIR", before)
		} else {
			_ = os.Unsetenv("TMPDIR")
		}
	}()
	return servers.Private(t, "postgres")
}
