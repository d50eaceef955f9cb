package crash

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/test/books"
	"daybook/test/cluster"
	"daybook/test/faultbuild"
	"daybook/test/servers"
)

// built builds the program with its crash points, once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "daybook-crash-")
	if err != nil {
		return "", err
	}
	folder = dir
	return faultbuild.Build(dir)
})

var folder string

// life is that of a ledger whose program dies again and again.
type life struct {
	t        *testing.T
	on       faultbuild.On
	random   *rand.Rand
	cluster  *cluster.Cluster
	program  *cluster.Program
	load     *cluster.Load
	feed     *cluster.Follower
	switches string // where the points of the program that serves are armed

	archive string // a folder
	backups string // a folder
	made    int    // backups asked for

	broker, prefix string // of messages; empty: there are none from elsewhere
	indices        string // where and how the indices of the views are called
	listener       *cluster.Listener
	sender         *cluster.Sender
	sent           []books.Command // by message
	asking         sync.WaitGroup  // for operations, of a program that may be dead by now
}

// born gets what a life needs; no process runs yet.
func born(t *testing.T, on faultbuild.On, seed uint64) *life {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	l := &life{t: t, on: on, random: rand.New(rand.NewPCG(seed, uint64(on))), switches: ownAddress(), archive: t.TempDir(), backups: t.TempDir()}
	env := []string{"DAYBOOK_SNAPSHOTS_EVERY=10", "DAYBOOK_ARCHIVE_URL=file://" + l.archive}
	if on == faultbuild.Embedded {
		env = append(env, "DAYBOOK_STORE_PEBBLE_PATH="+filepath.Join(t.TempDir(), "store"))
	} else {
		env = append(env, l.onServers()...)
	}
	l.cluster = cluster.New(t, binary, env...)
	l.program = l.cluster.Program("daybook")
	l.load = &cluster.Load{Seed: seed, Pace: 20 * time.Millisecond, Targets: l.targets}
	return l
}

func (l *life) targets() []string { return []string{l.program.URL()} }

// onServers gets a part of each server.
func (l *life) onServers() (env []string) {
	l.t.Helper()
	database := servers.PostgresDatabase(l.t)
	l.broker = servers.Rabbit(l.t)
	l.prefix = strings.TrimSuffix(servers.RabbitPrefix(l.t), ".")
	search, prefix := servers.Elastic(l.t), servers.ElasticPrefix(l.t)+"crash"
	l.indices = search + "/_cat/indices/" + prefix + "-accounts-*?format=json&h=index"
	l.listener = cluster.Listen(l.t, l.broker, l.prefix)
	return []string{
		"DAYBOOK_STORE_DRIVER=postgres", "DAYBOOK_STORE_POSTGRES_URL=" + database,
		"DAYBOOK_BUS_DRIVER=rabbitmq", "DAYBOOK_BUS_RABBITMQ_URL=" + l.broker, "DAYBOOK_BUS_RABBITMQ_PREFIX=" + l.prefix,
		"DAYBOOK_VIEWS_DRIVER=elasticsearch", "DAYBOOK_VIEWS_ELASTICSEARCH_URL=" + search, "DAYBOOK_VIEWS_ELASTICSEARCH_PREFIX=" + prefix,
	}
}

// ownAddress is one of this machine that nobody else listens on: each process of tests has another one, and nothing connects from it.
func ownAddress() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:22381", 64+pid>>16&63, pid>>8&255, pid&255)
}

// start starts the program, with no point armed.
func (l *life) start() {
	l.t.Helper()
	l.program.Start("GOFAIL_HTTP=" + l.switches)
}

// begin starts the program and the load.
func (l *life) begin() {
	l.t.Helper()
	l.start()
	l.feed = cluster.Follow(l.t, l.targets)
	l.load.Start(l.t)
	l.load.Await(l.t, 20, patience)
	if l.broker != "" {
		l.sender = cluster.NewSender(l.t, l.broker, l.prefix)
		for n := range accountsByMessage {
			l.send(books.Command{Key: fmt.Sprint("m-create-", n), Account: fmt.Sprint("m-", n), Verb: "create"})
		}
	}
}

// accountsByMessage is how many accounts get their commands by message.
const accountsByMessage = 5

// send sends a command by message.
func (l *life) send(c books.Command) {
	l.t.Helper()
	l.sender.Send(c.Key, cluster.Envelope(&c), true)
	l.sent = append(l.sent, c)
}

// die lets the program die at a point, starts it again, and waits until clients are served.
func (l *life) die(p faultbuild.Point) {
	l.t.Helper()
	if p.Scene == faultbuild.Restore {
		l.dieRestoring(p)
		return
	}
	passes := l.random.IntN(p.Most)
	if p.When == faultbuild.Running {
		l.arm(p.Name, passes)
	} else {
		if l.program.URL() != "" {
			l.program.Stop()
		}
		l.program.Launch(l.armed(p.Name, passes)...)
	}
	if p.Scene == faultbuild.Message {
		for n := range p.Most {
			account := fmt.Sprint("m-", l.random.IntN(accountsByMessage))
			l.send(books.Command{Key: fmt.Sprintf("m-%s-%d", p.Name, n), Account: account, Verb: "deposit", Amount: int64(1 + n%7)})
		}
	}
	took := cluster.Within(l.t, patience, p.Name+" is passed for the last time", func(ctx context.Context) error {
		l.provoke(p)
		return l.stopped(ctx, p.Name, passes)
	})
	starts := l.kill()
	l.start()
	l.aftermath(p)
	if p.Scene == faultbuild.Beginning {
		return
	}
	back := l.load.Await(l.t, 20, patience)
	l.t.Logf("%s: passed %d times, stopped there after %.2fs and killed, and %d more starts; commands were taken again %.2fs after the last",
		p.Name, passes, took.Seconds(), starts, back.Seconds())
}

// kill kills the program, and now and then also the starts that follow, at any moment, and gives how many of them.
func (l *life) kill() (starts int) {
	l.t.Helper()
	l.program.Kill()
	l.asking.Wait()
	for ; l.random.IntN(3) == 0; starts++ {
		l.program.Launch()
		cluster.Pass(l.t.Context(), time.Duration(l.random.IntN(500))*time.Millisecond)
		l.program.Kill()
	}
	return starts
}

// armed is the environment in which a program stops at a point.
func (l *life) armed(name string, passes int) []string {
	return []string{"GOFAIL_HTTP=" + l.switches, "GOFAIL_FAILPOINTS=" + name + "=" + faultbuild.Terms(passes)}
}

// arm makes the program stop at a point when it has passed it so many times.
func (l *life) arm(name string, passes int) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), http.MethodPut, "http://"+l.switches+"/"+name, strings.NewReader(faultbuild.Terms(passes)))
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := ask(req); err != nil {
		l.t.Fatalf("%s cannot be armed: %v", name, err)
	}
}

// stopped fails until the program has stopped at the point.
func (l *life) stopped(ctx context.Context, name string, passes int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.switches+"/"+name+"/count", http.NoBody)
	if err != nil {
		return err
	}
	text, err := ask(req)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(text); err != nil || n <= passes {
		return fmt.Errorf("it was passed %s times of %d", text, passes)
	}
	return nil
}

// ask sends a request and gives the answer, over a connection of its own: the program may be another one the next time.
func ask(req *http.Request) (string, error) {
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return string(text), err
}

// provoke asks for the operation, if it is one, that passes by the point.
func (l *life) provoke(p faultbuild.Point) {
	switch {
	case p.Scene == faultbuild.Rebuild:
		l.operate("rebuild")
	case p.Scene == faultbuild.Archive:
		l.operate("archive?before=2100-01-01T00:00:00Z")
	case p.Scene == faultbuild.Backup && l.made == 0:
		l.made++
		l.operate("backup?dir=" + filepath.Join(l.backups, p.Name))
	}
}

// operate asks an operation of the program, which may die meanwhile.
func (l *life) operate(what string) {
	url := l.program.URL() + "/v1/admin/" + what
	l.asking.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(l.t.Context()), patience)
		defer cancel()
		if req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody); err == nil {
			_, _ = ask(req) // it may be running already, or nothing may be there to be done
		}
	})
}
