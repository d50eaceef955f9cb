package acceptance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/app"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// seen are the events that a reactor was shown, by their positions.
type seen struct {
	mu  sync.Mutex
	all []es.Position
}

func (s *seen) reactor() app.Extension {
	return app.Extension{Reactors: []engine.Reactor{{Name: "new", React: func(_ context.Context, e *es.Recorded) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, e.Position)
		return nil
	}}}}
}

func (s *seen) positions() []es.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]es.Position(nil), s.all...)
}

// The disk of the archive is not mounted when Daybook starts. A reactor is new, and needs every event there ever was.
func TestWithoutTheDiskOfItsArchiveDaybookStartsAndNothingSkipsWhatLiesThere(t *testing.T) {
	faulttable.Covers(t, "F65", faulttable.Embedded)
	faulttable.Covers(t, "F65", faulttable.Production)
	for where, on := range map[string]func(*testing.T) func(*app.Config){
		"embedded":      func(t *testing.T) func(*app.Config) { return onPebble(t.TempDir()) },
		"in production": inProduction,
	} {
		t.Run(where, func(t *testing.T) {
			place, disk := on(t), filepath.Join(t.TempDir(), "disk")
			with := func(c *app.Config) {
				place(c)
				c.Archive.URL = "file://" + disk
			}
			if err := os.Mkdir(disk, 0o700); err != nil {
				t.Fatal(err)
			}
			d := start(t, with)
			const events = 530
			d.post("/v1/accounts/a/create", `{"owner":"Ada","currency":"EUR"}`).want(t, 201)
			var deposits strings.Builder
			for i := range events - 1 {
				fmt.Fprintf(&deposits, `{"id":"%d","account":"a","command":"deposit","data":{"amount":1}}`+"\n", i)
			}
			d.do("POST", "/v1/commands", "application/x-ndjson", strings.NewReader(deposits.String())).want(t, 200)
			d.eventually(fmt.Sprintf("/v1/accounts/a?minPosition=%d", events), 200)
			d.archiveHalf(nil)
			d.stop()
			if err := os.Rename(disk, disk+".away"); err != nil {
				t.Fatal(err)
			}
			c := app.Default()
			with(&c)
			if l, err := app.OpenLedger(c, slog.New(slog.DiscardHandler)); !errors.Is(err, ports.ErrArchiveUnavailable) {
				t.Errorf("a command that needs everything gets %+v, %v", l, err)
			}

			var s seen
			d = begin(t, with, s.reactor())
			d.post("/v1/accounts/a/deposit", `{"amount":1}`).want(t, 200)
			if a := d.get("/v1/accounts/a?version=1").want(t, 503); a.member("code") != "archive_unavailable" || a.header.Get("Retry-After") == "" {
				t.Errorf("got %s, to be tried again after %q", a.body, a.header.Get("Retry-After"))
			}
			d.eventually(fmt.Sprintf("/v1/accounts/a?minPosition=%d", events+1), 200) // the views were kept
			if shown := s.positions(); len(shown) > 0 {
				t.Errorf("the reactor was shown the events at %v", shown)
			}
			if err := os.Rename(disk+".away", disk); err != nil {
				t.Fatal(err)
			}
			d.eventually("/v1/accounts/a?version=1", 200)
			d.eventually("/v1/accounts/a", 200)
			patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			for len(s.positions()) < events+1 && patience.Err() == nil {
				d.get("/v1/status").want(t, 200)
			}
			for i, p := range append(s.positions(), events+2) {
				if p != es.Position(i+1) {
					t.Fatalf("the reactor was shown the event at %d after that at %d", p, i)
				}
			}
		})
	}
}
