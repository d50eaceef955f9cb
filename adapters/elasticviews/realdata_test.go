package elasticviews_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"daybook/adapters/memstore"
	"daybook/adapters/memviews"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// posting is one row of a bank's book: what it moved, and the balance that the bank kept after it.
type posting struct {
	account         string
	amount, balance int64
}

// bank reads the rows of a file of real bank data beside the repository, or skips loudly.
func bank(t *testing.T, name string) (postings []posting) {
	t.Helper()
	dir := os.Getenv("DAYBOOK_TEST_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("SKIPPED: there is no %s in %s. Set DAYBOOK_TEST_DATA to the folder with the real bank data to run this.", name, dir)
	}
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	rows, err := csv.NewReader(z).ReadAll()
	must(t, err)
	for _, row := range rows[1:] {
		column := func(name string) string {
			if i := slices.Index(rows[0], name); i >= 0 {
				return row[i]
			}
			return ""
		}
		number := func(name string) int64 {
			n, err := strconv.ParseInt(column(name), 10, 64)
			if err != nil && column(name) != "" {
				t.Fatal(err)
			}
			return n
		}
		amount := number("amount_minor")
		if column("kind") == "debit" {
			amount = -amount
		}
		amount += number("rounding_minor")
		postings = append(postings, posting{account: column("account_id"), amount: amount, balance: number("balance_after_minor")})
	}
	return postings
}

// ledger is one store with two engines on it: one decides and projects into memory, the other projects into Elasticsearch.
type ledger struct {
	*testing.T
	module           *es.Module
	commands, shared *engine.Engine
}

func newLedger(t *testing.T, registry *es.Registry, memory, elastic ports.Views) *ledger {
	store := memstore.New()
	t.Cleanup(func() { must(t, store.Close()) })
	of := func(views ports.Views) *engine.Engine {
		return engine.New(engine.Options{
			Anonymous: access.Local,
			Registry:  registry, Store: store, Bus: noBus{}, Views: views, Observer: observer{t: t}, Now: time.Now, EventsTopic: "events",
		})
	}
	l := &ledger{T: t, module: registry.Module(accounts), commands: of(memory), shared: of(elastic)}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, run := range []func(context.Context){l.commands.RunCommands, l.commands.RunProjector, l.shared.RunProjector} {
		running.Go(func() { run(ctx) })
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return l
}

// noBus delivers nothing: projectors look at the store by themselves.
type noBus struct{ ports.Bus }

func (noBus) Subscribe(context.Context, ports.Subscription, ports.Handler) error { return nil }

// observer fails the test for what nobody else would hear of.
type observer struct {
	ports.Silent
	t *testing.T
}

func (o observer) Parked(view, id string, err error) {
	o.t.Errorf("%s %s is parked: %v", view, id, err)
}
func (o observer) Failed(what string, err error) { o.t.Errorf("%s: %v", what, err) }

// request makes a command as a driving adapter does.
func (l *ledger) request(id, name string, fields map[string]any) engine.Request {
	ct := l.module.Command(name)
	body := ct.New()
	for i, spec := range ct.Fields {
		switch slot := ct.Slot(body, i).(type) {
		case *int64:
			*slot, _ = fields[spec.Name].(int64)
		case *string:
			*slot, _ = fields[spec.Name].(string)
		}
	}
	return engine.Request{
		Command: es.Command{Module: l.module, Type: ct, Stream: l.module.Stream(id), Body: body},
	}
}

// post executes one row, whose account is created before its first, and gives the position it came to.
func (l *ledger) post(p posting, first bool) (at es.Position) {
	l.Helper()
	if first {
		a, err := l.commands.Execute(l.Context(), l.request(p.account, "create", map[string]any{
			"owner": "Owner of " + p.account, "currency": "CZK", "overdraftLimit": int64(100_000_000),
		}))
		must(l, err)
		at = a.Position
	}
	command, amount := "deposit", p.amount
	if amount < 0 {
		command, amount = "withdraw", -amount
	}
	if amount == 0 {
		return at
	}
	a, err := l.commands.Execute(l.Context(), l.request(p.account, command, map[string]any{"amount": amount}))
	must(l, err)
	if a.Balance != p.balance {
		l.Fatalf("account %s has the balance %d, want %d", p.account, a.Balance, p.balance)
	}
	return a.Position
}

// reached waits until both views have the position.
func (l *ledger) reached(at es.Position) {
	l.Helper()
	for _, e := range []*engine.Engine{l.commands, l.shared} {
		for {
			err := e.AwaitView(l.Context(), at, time.Minute)
			if err == nil {
				break
			}
			if !errors.Is(err, ports.ErrViewRebuilding) && !errors.Is(err, ports.ErrViewUnavailable) { // until the projector has begun
				l.Fatal(err)
			}
		}
	}
}

func TestRealDataGivesTheSameAnswersAsInMemoryWhileItIsPostedAndFilledAnew(t *testing.T) {
	for _, file := range []string{"savings.csv.gz", "berka.csv.gz"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			postings := bank(t, file)
			o := options(t, newRegistry(t))
			memory, elastic := memviews.New(o.Registry), open(t, o)
			l := newLedger(t, o.Registry, memory, elastic)
			p := &pair{T: t, elastic: elastic, memory: memory, view: &l.module.View, random: rand.New(rand.NewPCG(3, 4))}
			balances := map[string]int64{}
			for i, posting := range postings {
				_, known := balances[posting.account]
				at := l.post(posting, !known)
				balances[posting.account] = posting.balance
				if i%(len(postings)/8) == 0 && at > 0 { // what was just posted is seen, in both
					l.reached(at)
					p.same(3)
				}
			}
			status, err := l.commands.Status(t.Context())
			must(t, err)
			l.reached(status.Head)
			p.same(60)
			p.hasBalances(balances)

			op, err := l.shared.Rebuild(t.Context())
			for err == nil && op.State == engine.OperationRunning {
				op, err = l.shared.Operation(t.Context(), op.ID)
			}
			if err != nil || op.State != engine.OperationDone {
				t.Fatalf("the rebuild ended as %+v, %v", op, err)
			}
			l.reached(status.Head)
			p.same(60)
			p.hasBalances(balances)
		})
	}
}

// hasBalances checks every account against the bank's book.
func (p *pair) hasBalances(want map[string]int64) {
	p.Helper()
	balance := p.view.Field("balance")
	if len(p.documents) != len(want) {
		p.Errorf("there are %d accounts, want %d", len(p.documents), len(want))
	}
	for _, d := range p.documents {
		if d.Values[balance].Int != want[d.ID] {
			p.Errorf("account %s has the balance %d, want %d", d.ID, d.Values[balance].Int, want[d.ID])
		}
	}
}
