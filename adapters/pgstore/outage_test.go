package pgstore

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

// load writes from several goroutines until it is stopped, and keeps what was acknowledged.
type load struct {
	acknowledged, unknown atomic.Int64
	positions             sync.Map // of acknowledged events, by stream
	stop                  context.CancelFunc
	done                  sync.WaitGroup
}

func startLoad(t *testing.T, name string, stores ...ports.Store) *load {
	l := &load{}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	for w, s := range stores {
		l.done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				stream := es.StreamID(fmt.Sprintf("%s-%d-%d", name, w, n))
				events, err := ports.Append(context.WithoutCancel(ctx), s, start, stream, 0, draft())
				switch kind := fault.KindOf(err); {
				case err == nil:
					l.positions.Store(stream, events[0].Position)
					l.acknowledged.Add(1)
				case kind == fault.Unknown:
					l.unknown.Add(1)
				case kind != fault.Unavailable:
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	return l
}

// reach waits until n more events have been acknowledged.
func (l *load) reach(t *testing.T, s ports.Store, n int64) {
	t.Helper()
	ctx := patience(t)
	for goal := l.acknowledged.Load() + n; l.acknowledged.Load() < goal && ctx.Err() == nil; {
		_, _ = s.Head(ctx) // asks the server, so this is no idle loop
	}
	if ctx.Err() != nil {
		t.Fatal("the writers make no progress")
	}
}

// check ends the load and holds the feed against what was acknowledged.
func (l *load) check(t *testing.T, s ports.Store) {
	t.Helper()
	l.stop()
	l.done.Wait()
	events, err := s.ReadFeed(patience(t), 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	there := map[es.StreamID]es.Position{}
	for _, e := range events {
		there[e.Stream] = e.Position
	}
	acknowledged := int64(0)
	l.positions.Range(func(stream, position any) bool {
		acknowledged++
		if there[stream.(es.StreamID)] != position.(es.Position) {
			t.Errorf("%v was acknowledged at %v and is at %d", stream, position, there[stream.(es.StreamID)])
		}
		return true
	})
	if extra := int64(len(there)) - acknowledged; extra > l.unknown.Load() || len(there) != len(events) {
		t.Errorf("%d events of %d streams, %d acknowledged, %d unknown", len(events), len(there), acknowledged, l.unknown.Load())
	}
	t.Logf("%d acknowledged, %d unknown, %d there", acknowledged, l.unknown.Load(), len(events))
}

func TestAServerKilledUnderLoadAndStartedAgainHasEverythingThatWasAcknowledgedAndNothingElse(t *testing.T) {
	faulttable.Covers(t, "F22", faulttable.PostgreSQL)
	server := servers.Private(t, "postgres")
	one := open(t, Options{URL: server.URL(), Schema: "daybook"})
	two := open(t, Options{URL: server.URL(), Schema: "daybook"})
	l := startLoad(t, "w", one, one, two, two)
	for range 3 {
		l.reach(t, one, 50)
		server.Kill()
		server.Start()
	}
	l.reach(t, one, 50)
	l.reach(t, two, 50)
	l.check(t, two)
}

func TestWhenAStandbyIsPromotedAStoreThatKnowsBothHostsGoesOnThere(t *testing.T) {
	faulttable.Covers(t, "F22", faulttable.PostgreSQL)
	primary := servers.Private(t, "postgres")
	standby := replica(t, primary.URL())
	at, err := url.Parse(primary.URL())
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	for _, hosts := range []string{at.Host + "," + standby.address, standby.address + "," + at.Host} { // the standby is never used
		both := strings.Replace(primary.URL(), at.Host, hosts, 1)
		s := open(t, Options{URL: both, Schema: "daybook"})
		mustWrite(t, s)
		_ = s.Close()
	}
	s := open(t, Options{URL: strings.Replace(primary.URL(), at.Host, at.Host+","+standby.address, 1), Schema: "daybook"})
	super := connect(t, standby.super)
	primaryKilled := func() { // once the standby has everything
		var head es.Position
		for want, _ := s.Head(patience(t)); head < want; {
			if err := super.QueryRow(patience(t), `SELECT max(position) FROM daybook.events`).Scan(&head); err != nil {
				t.Fatal(err)
			}
		}
		primary.Kill()
	}
	l := startLoad(t, "before", s)
	l.reach(t, s, 20)
	l.stop()
	l.done.Wait()
	primaryKilled()
	if err := write(patience(t), s); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("with a standby alone: %v", err)
	}
	if _, err := super.Exec(patience(t), `SELECT pg_promote()`); err != nil {
		t.Fatal(err)
	}
	after := startLoad(t, "after", s)
	after.reach(t, s, 20)
	l.positions.Range(func(stream, position any) bool { after.positions.Store(stream, position); return true })
	after.unknown.Add(2) // those above are of no load
	after.check(t, s)
}

// standby is a streaming copy of a server.
type standby struct{ address, super string }

// replica makes a standby of a private server, as the user that owns the server's data.
func replica(t *testing.T, primary string) standby {
	t.Helper()
	super, err := url.Parse(primary)
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	super.User = url.UserPassword("postgres", "daybook")
	super.Path = "/daybook"
	var data, programs string
	conn := connect(t, super.String())
	if err := conn.QueryRow(patience(t), `SELECT current_setting('data_directory'), setting FROM pg_config WHERE name = 'BINDIR'`).Scan(&data, &programs); err != nil {
		t.Fatal(err)
	}
	owner, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	stat := owner.Sys().(*syscall.Stat_t)
	dir, err := os.MkdirTemp("", "daybook-standby-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chown(dir, int(stat.Uid), int(stat.Gid)); err != nil {
		t.Fatal(err)
	}
	run := func(program string, args ...string) error {
		cmd := exec.Command(filepath.Join(programs, program), args...)
		cmd.Dir = dir
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}}
		}
		return cmd.Run()
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	_, port, _ := net.SplitHostPort(address)
	copied := filepath.Join(dir, "data")
	if err := run("pg_basebackup", "-D", copied, "-R", "-X", "stream", "-c", "fast", "-d", super.String()); err != nil {
		t.Fatalf("copy the server: %v", err)
	}
	t.Cleanup(func() { _ = run("pg_ctl", "-s", "-D", copied, "-m", "immediate", "stop") })
	options := fmt.Sprintf("-c port=%s -c unix_socket_directories=%s", port, dir)
	if err := run("pg_ctl", "-s", "-w", "-D", copied, "-l", filepath.Join(dir, "log"), "-o", options, "start"); err != nil {
		t.Fatalf("start the standby: %v", err)
	}
	super.Host = address
	return standby{address, super.String()}
}
