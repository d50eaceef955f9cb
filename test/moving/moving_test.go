// Package moving moves whole ledgers between stores, through files, and looks whether they are the same there.
package moving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"daybook/adapters/logfile"
	"daybook/adapters/memstore"
	"daybook/adapters/wire"
	"daybook/app"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

func pebble(t *testing.T) app.Config {
	c := app.Default()
	c.HTTP.Addr, c.Store.Pebble.Path = "127.0.0.1:0", t.TempDir()
	return c
}

func postgres(t *testing.T) app.Config {
	c := app.Default()
	c.HTTP.Addr, c.Store.Driver, c.Store.Postgres.URL = "127.0.0.1:0", "postgres", servers.PostgresDatabase(t)
	return c
}

// answers runs Daybook, gives it commands, and gives what it answers to each.
func answers(t *testing.T, c app.Config, commands []string) []string {
	t.Helper()
	a, err := app.New(c, app.Build{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var all []string
	for _, line := range commands {
		envelope, err := wire.DecodeEnvelope(a.Engine().Registry, []byte(line))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := a.Engine().Execute(access.As(ctx, access.Local), envelope.Request(es.Metadata{}))
		all = append(all, fmt.Sprintf("%d %d %d %v %v", answer.Version, answer.Position, answer.Balance, answer.Events, err))
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return all
}

func commands(accounts, each int) []string {
	var all []string
	for a := range accounts {
		all = append(all, fmt.Sprintf(`{"id":"c%d","account":"acc-%d","command":"create","data":{"owner":"Ada \"é\"","currency":"EUR"}}`, a, a))
		for i := range each {
			all = append(all, fmt.Sprintf(`{"id":"d%d-%d","account":"acc-%d","command":"deposit","data":{"amount":%d}}`, a, i, a, i+1))
		}
		all = append(all, fmt.Sprintf(`{"id":"w%d","account":"acc-%d","command":"withdraw","data":{"amount":1000000}}`, a, a))
	}
	return all
}

func with(t *testing.T, c app.Config, do func(s ports.Store)) {
	t.Helper()
	l, err := app.OpenLedger(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	do(l.Store)
}

func export(t *testing.T, s ports.Store) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := engine.Export(t.Context(), s, logfile.NewWriter(&out)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func load(ctx context.Context, s ports.Store, file []byte) error {
	r, err := logfile.NewReader(bytes.NewReader(file))
	if err == nil {
		_, err = engine.Import(ctx, s, r, func(es.Position, es.Position) {})
	}
	return err
}

func TestALedgerIsTheSameAfterItWasMovedToPostgreSQLAndBack(t *testing.T) {
	faulttable.Covers(t, "F63", faulttable.PostgreSQL)
	first, second, third := pebble(t), postgres(t), pebble(t)
	work := commands(5, 20)
	before := answers(t, first, work)
	var file []byte
	with(t, first, func(s ports.Store) { file = export(t, s) })
	for _, c := range []app.Config{second, third} {
		with(t, c, func(s ports.Store) {
			if err := load(t.Context(), s, file); err != nil {
				t.Fatal(err)
			}
			again := export(t, s)
			if !bytes.Equal(again, file) {
				t.Fatalf("the store gives another file: %d bytes, not %d", len(again), len(file))
			}
			file = again
		})
	}
	for _, c := range []app.Config{second, third} {
		if after := answers(t, c, work); !slices.Equal(after, before) {
			t.Errorf("retries are answered otherwise than at first:\n%s\n%s", after, before)
		}
		with(t, c, func(s ports.Store) {
			if !bytes.Equal(export(t, s), file) {
				t.Error("retries have changed the ledger")
			}
		})
	}
}

// small gives a ledger as lines.
func small(t *testing.T) [][]byte {
	c := pebble(t)
	answers(t, c, commands(2, 3))
	var file []byte
	with(t, c, func(s ports.Store) { file = export(t, s) })
	lines := bytes.SplitAfter(file, []byte("\n"))
	return lines[:len(lines)-1]
}

func TestEveryLineThatIsChangedCutSwappedOrTakenAwayIsRefusedByItsNumber(t *testing.T) {
	lines := small(t)
	refused := func(what string, line int, changed ...[]byte) {
		t.Helper()
		err := load(t.Context(), memstore.New(), bytes.Join(changed, nil))
		if !errors.Is(err, logfile.ErrDamaged) {
			t.Fatalf("line %d %s: %v", line, what, err)
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("Line %d:", line)) {
			t.Fatalf("line %d %s is said to be %v", line, what, err)
		}
	}
	for i, line := range lines {
		before, after := bytes.Join(lines[:i], nil), bytes.Join(lines[i+1:], nil)
		for at := 0; at < len(line)-1; at++ {
			changed := bytes.Clone(line)
			changed[at] ^= 1
			if changed[at] != '\n' {
				refused(fmt.Sprintf("changed at byte %d", at), i+1, before, changed, after)
			}
		}
		refused("cut", i+1, before, line[:len(line)/2])
		refused("without its end", i+1, before, line[:len(line)-1])
		refused("missing with all after it", i+1, before)
		refused("twice", i+2, before, line, line, after)
		if i+1 < len(lines) {
			refused("taken away", i+1, before, after)
			refused("swapped", i+1, before, lines[i+1], line, bytes.Join(lines[i+2:], nil))
		}
	}
}

// dying is a store whose caller gives up at a commit, before or after it.
type dying struct {
	ports.Store
	left  int
	after bool
	die   func()
}

func (d *dying) Begin(ctx context.Context, needs ports.Needs) (ports.Unit, error) {
	u, err := d.Store.Begin(ctx, needs)
	return dyingUnit{u, d}, err
}

type dyingUnit struct {
	ports.Unit
	store *dying
}

func (u dyingUnit) Commit(ctx context.Context, b ports.Batch) error {
	d := u.store
	d.left--
	if d.left < 0 && !d.after {
		d.die()
	}
	err := u.Unit.Commit(ctx, b)
	if d.left < 0 && d.after {
		d.die()
	}
	return errors.Join(err, ctx.Err())
}

func TestAnImportThatWasStoppedGoesOnWhereItWas(t *testing.T) {
	c := pebble(t)
	answers(t, c, commands(20, 300))
	var file []byte
	with(t, c, func(s ports.Store) { file = export(t, s) })
	for _, after := range []bool{false, true} {
		for stop, finished := 0, false; !finished; stop++ {
			store := memstore.New()
			ctx, cancel := context.WithCancel(t.Context())
			err := load(ctx, &dying{store, stop, after, cancel}, file)
			cancel()
			if finished = err == nil; !finished {
				if err := engine.ImportFinished(t.Context(), store); !errors.Is(err, engine.ErrImportUnfinished) {
					t.Fatalf("stopped at commit %d: the store can be used: %v", stop, err)
				}
				if err := load(t.Context(), store, file); err != nil {
					t.Fatalf("stopped at commit %d: %v", stop, err)
				}
			}
			if err := engine.ImportFinished(t.Context(), store); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(export(t, store), file) {
				t.Fatalf("stopped at commit %d: the store gives another file", stop)
			}
		}
	}
}

func TestAStoreWithOtherEventsIsRefusedAndLeftAlone(t *testing.T) {
	file := bytes.Join(small(t), nil)
	c := pebble(t)
	answers(t, c, commands(1, 1))
	with(t, c, func(s ports.Store) {
		before := export(t, s)
		if err := load(t.Context(), s, file); !errors.Is(err, engine.ErrOtherLedger) {
			t.Fatalf("got %v", err)
		}
		if err := engine.ImportFinished(t.Context(), s); err != nil || !bytes.Equal(export(t, s), before) {
			t.Fatalf("the store was touched: %v", err)
		}
	})
}
