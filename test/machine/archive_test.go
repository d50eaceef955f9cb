package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"daybook/adapters/archive"
	"daybook/core/es"
	"daybook/test/cluster"
	"daybook/test/contract"
	"daybook/test/faulttable"
)

// storage is an object storage that can be taken away and given back, also with other objects in it.
type storage struct {
	url     string
	handler atomic.Pointer[http.Handler] // nil: it does not answer
}

func newStorage(t *testing.T) *storage {
	s := &storage{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := s.handler.Load()
		if h == nil {
			panic(http.ErrAbortHandler)
		}
		(*h).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = "s3://cold/ledger?region=us-east-1&use_path_style=true&endpoint=" + server.URL
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	t.Setenv("AWS_ACCESS_KEY_ID", "somebody")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-theirs")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	return s
}

// objects are an empty bucket.
func objects(t *testing.T) *http.Handler {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("cold"); err != nil {
		t.Fatal(err)
	}
	h := gofakes3.New(backend).Server()
	return &h
}

// withArchive is a program under load, some of whose events are in an archive in a bucket.
func withArchive(t *testing.T, env ...string) (w *world, s *storage, bucket *http.Handler) {
	t.Helper()
	s, bucket = newStorage(t), objects(t)
	s.handler.Store(bucket)
	w = start(t, place{env: append(env, "DAYBOOK_ARCHIVE_URL="+s.url)})
	cluster.Within(t, patience, "the first events are archived", func(ctx context.Context) error {
		w.archive(ctx)
		if archived := w.archived(ctx); archived == 0 {
			return errors.New("none is")
		}
		return nil
	})
	w.load.Await(t, 200, patience) // so that accounts have gone on since then
	w.probe()
	return w, s, bucket
}

// archive asks for all to be archived that may be, and gives how that ended.
func (w *world) archive(ctx context.Context) (failure string) {
	w.t.Helper()
	res, err := http.Post(w.program.URL()+"/v1/admin/archive?before=2100-01-01T00:00:00Z", "", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var op struct{ State, Error string }
	cluster.Within(w.t, patience, "the archival ends", func(ctx context.Context) error {
		if err := cluster.Get(ctx, w.program.URL()+res.Header.Get("Location"), &op); err != nil || op.State != "running" {
			return err
		}
		return errors.New("it runs")
	})
	return op.Error
}

func (w *world) archived(ctx context.Context) es.Position {
	w.t.Helper()
	var status struct{ Archived es.Position }
	if err := cluster.Get(ctx, w.program.URL()+"/v1/status", &status); err != nil {
		w.t.Fatal(err)
	}
	return status.Archived
}

// What needs old events; and what needs the views.
var (
	past  = []string{"/v1/events?limit=10", "/v1/events/evt-1", "/v1/accounts/acc-000?version=1", "/v1/accounts/acc-000/events?limit=1"}
	lists = []string{"/v1/accounts", "/v1/accounts/acc-000"}
)

// refuses sees that something is answered 503 with a code.
func (w *world) refuses(ctx context.Context, code string, paths []string) error {
	for _, path := range paths {
		var status *cluster.StatusError
		if err := cluster.Get(ctx, w.program.URL()+path, nil); !errors.As(err, &status) || status.Status != http.StatusServiceUnavailable || status.Code != code {
			return fmt.Errorf("%s gives %w, want %s", path, err, code)
		}
	}
	return nil
}

// showsLists sees that what needs the views is answered.
func (w *world) showsLists() {
	w.t.Helper()
	for _, path := range lists {
		if err := cluster.Get(w.t.Context(), w.program.URL()+path, nil); err != nil {
			w.t.Error(err)
		}
	}
}

// shows gives what readiness and the metrics say of the archive.
func (w *world) shows(ctx context.Context) (ready string, up bool, err error) {
	var health struct {
		Status string
		Checks []struct {
			Name, Detail string
			OK           bool
		}
	}
	if err := cluster.Get(ctx, w.program.URL()+"/readyz?verbose", &health); err != nil {
		return "", false, err
	}
	for _, c := range health.Checks {
		if c.Name == "archive" {
			ready = fmt.Sprint(c.OK, " ", c.Detail)
		}
	}
	res, err := http.Get(w.program.URL() + "/metrics")
	if err != nil {
		return "", false, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return ready, strings.Contains(string(text), `daybook_dependency_up{dependency="archive"} 1`), err
}

// isBack waits until the archive is used, and holds everything against everything.
func (w *world) isBack() {
	w.t.Helper()
	cluster.Within(w.t, patience, "the archive is back", func(ctx context.Context) error {
		ready, up, err := w.shows(ctx)
		if err == nil && (ready != "true " || !up) {
			err = fmt.Errorf("readiness says %q, the metrics %v", ready, up)
		}
		if err == nil {
			err = cluster.Get(ctx, w.program.URL()+"/v1/accounts", nil)
		}
		return err
	})
	before := w.archived(w.t.Context())
	if failure := w.archive(w.t.Context()); failure != "" || w.archived(w.t.Context()) <= before {
		w.t.Errorf("archiving ends with %q at %d, after %d", failure, w.archived(w.t.Context()), before)
	}
	w.readable()
	w.settle()
	w.program.Stop()
	cluster.CheckVerified(w.t, w.program)
}

func TestAProgramThatStartsWithoutItsArchiveTakesCommandsAndThePastComesWithIt(t *testing.T) {
	faulttable.Covers(t, "F65", faulttable.Embedded, again())
	w, s, bucket := withArchive(t, "DAYBOOK_VIEWS_MEMORY_PATH=none") // so that they are made from all events at the start
	t.Log("given that the storage of the archive is down when the program starts")
	w.program.Stop()
	s.handler.Store(nil)
	w.program.Start()

	t.Log("then commands are taken, and what needs old events is refused until it is there")
	w.load.Await(t, 100, patience)
	if a := w.probe(); !a.Taken() {
		t.Errorf("a command was answered %d %s (%v)", a.Status, a.Body, a.Err)
	}
	if err := errors.Join(w.refuses(t.Context(), "archive_unavailable", past), w.refuses(t.Context(), "view_rebuilding", lists)); err != nil {
		t.Error(err)
	}
	if ready, up, err := w.shows(t.Context()); err != nil || !strings.HasPrefix(ready, "false The archive s3://cold/ledger cannot be used right now") || up {
		t.Errorf("readiness says %q, and the metrics %v (%v)", ready, up, err)
	}
	if out, err := w.program.Command("verify", "--server", w.program.URL()).CombinedOutput(); err == nil {
		t.Errorf("verify has read old events: %s", out)
	}

	t.Log("and when it is there, all goes on without a restart")
	s.handler.Store(bucket)
	w.isBack()
}

func TestAnArchiveThatFallsSilentIsGivenUpAndNobodyWaitsForItAnyMore(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Embedded, again())
	w, s, bucket := withArchive(t)
	w.program.Stop()
	w.program.Start() // with nothing in memory of what was archived
	t.Log("given that the storage of the archive falls silent while the program runs")
	var asked atomic.Int64
	silence := http.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	}))
	s.handler.Store(&silence)

	t.Log("then whoever needs it is refused after a while, and from then on at once and without asking")
	cluster.Within(t, patience, "it is given up", func(ctx context.Context) error { return w.refuses(ctx, "archive_unavailable", past) })
	before := asked.Load()
	const readers = 50
	for range readers {
		if err := w.refuses(t.Context(), "archive_unavailable", past[:1]); err != nil {
			t.Fatal(err)
		}
	}
	if more := asked.Load() - before; more > readers/2 {
		t.Errorf("it was asked %d times for %d readers", more, readers)
	}
	t.Log("and commands are taken, and present balances shown")
	w.load.Await(t, 100, patience)
	w.showsLists()
	t.Log("and when it answers again, all goes on without a restart")
	s.handler.Store(bucket)
	w.isBack()
}

func TestAnArchiveThatComesLateAndIsAnotherLedgersIsNeitherReadNorAddedTo(t *testing.T) {
	faulttable.Covers(t, "F65", faulttable.Embedded, again())
	w, s, bucket := withArchive(t)
	w.program.Stop()
	s.handler.Store(nil)
	w.program.Start()
	w.load.Await(t, 100, patience)
	if failure := w.archive(t.Context()); !strings.Contains(failure, "cannot be used right now") {
		t.Errorf("archiving ends with %q", failure)
	}

	t.Log("given that another ledger's archive is there when the storage answers again")
	end, foreign := w.archived(t.Context()), objects(t)
	elsewhere := newStorage(t)
	elsewhere.handler.Store(foreign)
	other, err := archive.Open(t.Context(), elsewhere.url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Add(t.Context(), contract.Sealed(t, int(end))); err != nil {
		t.Fatal(err)
	}
	s.handler.Store(foreign)
	cluster.Within(t, patience, "it is found out", func(ctx context.Context) error {
		ready, up, err := w.shows(ctx)
		if err == nil && (!strings.HasPrefix(ready, "false What archive.url names is not the archive of this ledger") || up) {
			err = fmt.Errorf("readiness says %q, and the metrics %v", ready, up)
		}
		return err
	})
	if !strings.Contains(w.program.Log(), "the archive is refused") || !strings.Contains(w.program.Log(), "archive_foreign") {
		t.Error("the log does not say so")
	}

	t.Log("then nothing is read from it and nothing added, and commands go on")
	if err := w.refuses(t.Context(), "archive_missing", past); err != nil {
		t.Error(err)
	}
	w.showsLists() // the views were kept
	if failure := w.archive(t.Context()); !strings.Contains(failure, "is not the archive of this ledger") {
		t.Errorf("archiving ends with %q", failure)
	}
	if now, err := other.End(t.Context()); err != nil || now != end {
		t.Errorf("it ends at %d now, after %d (%v)", now, end, err)
	}
	w.load.Await(t, 100, patience)

	t.Log("and a program that starts with it refuses to")
	w.program.Stop()
	if out, err := w.program.Command("serve", "--http.addr", "127.0.0.1:0").CombinedOutput(); err == nil || !strings.Contains(string(out), "is not that of this ledger") {
		t.Errorf("it ends with %v: %s", err, out)
	}

	t.Log("and when the right one is put back, all goes on without a restart")
	s.handler.Store(nil)
	w.program.Start()
	s.handler.Store(foreign)
	cluster.Within(t, patience, "it is found out again", func(ctx context.Context) error { return w.refuses(ctx, "archive_missing", past) })
	s.handler.Store(bucket)
	w.isBack()
}
