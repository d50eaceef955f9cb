package engine

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

func customer(subject string) *access.Principal {
	return &access.Principal{Subject: subject, Roles: []access.Role{access.Customer}}
}

// asked is every method of the engine that does something for whoever asks.
func asked(w *world) map[string]func(ctx context.Context) error {
	e, m := w.engine, w.module
	return map[string]func(ctx context.Context) error{
		"Execute": func(ctx context.Context) error { _, err := e.Execute(ctx, w.deposit("a", 1)); return err },
		"Submit":  func(ctx context.Context) error { _, err := e.Submit(ctx, false, w.deposit("a", 1)); return err },
		"Lane": func(ctx context.Context) error {
			_, err := e.Lane().Submit(ctx, w.deposit("a", 1).keyed("k"))
			return err
		},
		"View":      func(ctx context.Context) error { _, _, err := e.View(ctx, m, "a"); return err },
		"Documents": func(ctx context.Context) error { _, err := e.Documents(ctx, m, ports.Query{Limit: 1}); return err },
		"AwaitView": func(ctx context.Context) error { return e.AwaitView(ctx, 1, time.Second) },
		"Reached":   func(ctx context.Context) error { return e.Reached(ctx, 1) },
		"StateAt":   func(ctx context.Context) error { _, err := e.StateAt(ctx, m, "a", Until{}); return err },
		"Stream":    func(ctx context.Context) error { _, _, err := e.Stream(ctx, m, "a", 0, 1); return err },
		"BalanceEffective": func(ctx context.Context) error {
			_, err := e.BalanceEffective(ctx, m, "a", w.clock(), Until{})
			return err
		},
		"Statement":        func(ctx context.Context) error { _, err := e.Statement(ctx, m, "a", Period{}); return err },
		"Event":            func(ctx context.Context) error { _, err := e.Event(ctx, 1); return err },
		"Prove":            func(ctx context.Context) error { _, err := e.Prove(ctx, 1); return err },
		"Feed":             func(ctx context.Context) error { _, _, _, err := e.Feed(ctx, 0, 1, ""); return err },
		"Follow":           func(ctx context.Context) error { return e.Follow(ctx, 0, func([]es.Recorded) error { return nil }) },
		"MayFollow":        func(ctx context.Context) error { return e.MayFollow(ctx, 0) },
		"Export":           func(ctx context.Context) error { _, err := e.Export(ctx, nil); return err },
		"MayExport":        func(ctx context.Context) error { return e.MayExport(ctx) },
		"Backup":           func(ctx context.Context) error { _, err := e.Backup(ctx, "/nowhere"); return err },
		"Checkpoint":       func(ctx context.Context) error { _, _, err := e.Checkpoint(ctx); return err },
		"Status":           func(ctx context.Context) error { _, err := e.Status(ctx); return err },
		"Operation":        func(ctx context.Context) error { _, err := e.Operation(ctx, "op-1"); return err },
		"Rebuild":          func(ctx context.Context) error { _, err := e.Rebuild(ctx); return err },
		"Archive":          func(ctx context.Context) error { _, err := e.Archive(ctx, w.clock(), nil); return err },
		"DeadLetters":      func(ctx context.Context) error { _, err := e.DeadLetters(ctx, 1); return err },
		"DeadLetter":       func(ctx context.Context) error { _, err := e.DeadLetter(ctx, "m"); return err },
		"SettleDeadLetter": func(ctx context.Context) error { _, err := e.SettleDeadLetter(ctx, "m", false); return err },
	}
}

// forTheProcess is what the engine does for the process it is part of, and for nobody.
var forTheProcess = []string{"RunCommands", "RunRelay", "RunSnapshots", "RunReactors", "RunProjector", "Queued"}

func TestNothingIsDoneForNobody(t *testing.T) {
	w := newWorld(t)
	w.must(w.create("a"))
	w.engine.Anonymous = nil
	for what, ask := range asked(w) {
		if err := ask(t.Context()); !errors.Is(err, access.ErrUnauthenticated) {
			t.Errorf("%s for nobody: %v", what, err)
		}
	}
	w.asking = &access.Principal{Roles: access.Roles}
	wantErr(t, w.step(w.deposit("a", 1))[0].Err, access.ErrUnauthenticated)
	w.asking = &access.Principal{Subject: "x"}
	wantErr(t, w.step(w.deposit("a", 1))[0].Err, access.ErrForbidden)
	for what, ask := range asked(w) {
		if slices.Contains([]string{"Execute", "Submit", "Lane"}, what) { // each command has an answer of its own
			continue
		}
		if err := ask(access.As(t.Context(), w.asking)); !errors.Is(err, access.ErrForbidden) {
			t.Errorf("%s for somebody without roles: %v", what, err)
		}
	}
}

func TestEveryMethodOfTheEngineIsKnownToThisTest(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	known := asked(newWorld(t))
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil || !f.Name.IsExported() {
				continue
			}
			of, ok := f.Recv.List[0].Type.(*ast.StarExpr)
			if !ok || of.X.(*ast.Ident).Name != "Engine" {
				continue
			}
			if name := f.Name.Name; known[name] == nil && !slices.Contains(forTheProcess, name) && name != "RelayCheckpoint" {
				t.Errorf("%s: ask the policy in it, and add it to this test", name)
			}
		}
	}
}

func TestACommandIsJudgedByWhoseTheAccountIsWhenItIsDecided(t *testing.T) {
	for _, batches := range []string{"in one batch", "in a batch of its own"} {
		t.Run(batches, func(t *testing.T) {
			w := newWorld(t)
			w.must(w.create("a"), w.deposit("a", 10), w.command("a", "add-holder", fields{"holder": "hal"}))
			remove := w.ticket(false, w.command("a", "remove-holder", fields{"holder": "hal"}))
			w.asking = customer("hal")
			before, after := w.ticket(false, w.withdraw("a", 1)), w.ticket(false, w.withdraw("a", 1).keyed("k"))
			if batches == "in one batch" {
				w.engine.sequencer.step(t.Context(), []*Ticket{before, remove, after})
			} else {
				for _, ticket := range []*Ticket{before, remove, after} {
					w.engine.sequencer.step(t.Context(), []*Ticket{ticket})
				}
			}
			if err := before.jobs[0].result.Err; err != nil {
				t.Errorf("a holder's withdrawal: %v", err)
			}
			if err := after.jobs[0].result.Err; !errors.Is(err, account.ErrNotFound) {
				t.Errorf("that of one who was a holder: %v", err)
			}
			w.asking = nil
			w.must(w.command("a", "add-holder", fields{"holder": "hal"}))
			w.asking = customer("hal")
			if kept := w.step(w.withdraw("a", 1).keyed("k"))[0]; !errors.Is(kept.Err, account.ErrNotFound) || !kept.Answer.Replayed {
				t.Errorf("the answer kept under the key is %+v", kept)
			}
		})
	}
}

func TestWhatIsForbiddenHasNoEffectAndIsNotKept(t *testing.T) {
	w := newWorld(t)
	w.must(w.create("a"))
	w.asking = customer("eve")
	events := len(w.feed())
	other := w.command("b", "create", fields{"owner": "ada", "currency": "EUR"})
	for _, r := range []Request{other.keyed("k"), w.command("a", "freeze", fields{"reason": "x"}).keyed("l")} {
		for range 2 {
			got := w.step(r)[0]
			if wantErr(t, got.Err, access.ErrForbidden); got.Answer.Replayed {
				t.Errorf("%s: it was kept", r.Command.Type.Name)
			}
		}
	}
	own := w.command("c", "create", fields{"owner": "eve", "currency": "EUR"})
	ticket := w.ticket(true, own, other)
	w.engine.sequencer.step(t.Context(), []*Ticket{ticket})
	wantErr(t, ticket.jobs[0].result.Err, ErrAtomicRefused)
	if len(w.feed()) != events {
		t.Errorf("%d events were written", len(w.feed())-events)
	}
	w.must(own)
}

func TestARuleThatTakesWhatIsNotThereIsNotAskedAboutAnothers(t *testing.T) {
	w := newWorld(t)
	w.must(w.create("a"))
	lax := *w.module.Command("close")
	w.asking = customer("eve")
	r := w.command("a", "close", fields{"reason": "x"})
	r.Command.Type = &lax
	*r.Command.Type = es.Rule("close", "Closes anything.", func(es.Decision[account.Account], *struct{ es.Common }) ([]es.Emitted, error) {
		return es.Emit(account.AccountClosed{Reason: "x"}), nil
	}).For(access.Use)
	r.Command.Body = lax.New()
	if err := w.step(r)[0].Err; fault.KindOf(err) != fault.NotFound || len(w.feed()) != 1 {
		t.Errorf("got %v and %d events", err, len(w.feed()))
	}
}

func TestAStateOfAnotherStreamIsToldOnlyToThoseWhoMayReadThat(t *testing.T) {
	w := newWorld(t)
	w.must(w.create("a"), w.command("b", "create", fields{"owner": "bob", "currency": "EUR"}), w.command("b", "close", fields{"reason": "x"}), w.deposit("a", 5))
	pay := w.command("a", "transfer", fields{"to": "b", "amount": 1})
	wantErr(t, w.step(pay)[0].Err, account.ErrCounterpartyClosed)
	w.asking = customer("Ada")
	wantErr(t, w.step(pay)[0].Err, ErrNotAccepted)
	if err := w.step(w.withdraw("a", 6))[0].Err; !errors.Is(err, account.ErrInsufficientFunds) || !strings.Contains(err.Error(), "insufficient") {
		t.Errorf("got %v", err)
	}
}

// The two refusals are the same to whoever gets one; their cause, which no answer shows, is what the audit log goes by.
func TestThatAnAccountIsAnothersIsForTheAuditLogAlone(t *testing.T) {
	w := newWorld(t)
	w.must(w.create("a"))
	if err := w.engine.projector.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	eve := access.As(t.Context(), customer("eve"))
	w.asking = customer("eve")
	for what, ask := range map[string]func(id string) error{
		"a command": func(id string) error { return w.step(w.withdraw(id, 1))[0].Err },
		"the view":  func(id string) error { _, _, err := w.engine.View(eve, w.module, id); return err },
		"the past":  func(id string) error { _, err := w.engine.StateAt(eve, w.module, id, Until{Version: 1}); return err },
		"history":   func(id string) error { _, _, err := w.engine.Stream(eve, w.module, id, 0, 1); return err },
		"a statement": func(id string) error {
			_, err := w.engine.Statement(eve, w.module, id, Period{})
			return err
		},
	} {
		anothers, none := ask("a"), ask("b")
		if !errors.Is(anothers, access.ErrForbidden) || errors.Is(none, access.ErrForbidden) {
			t.Errorf("%s: of another's %v, of none %v", what, anothers, none)
		}
		if a, b := fault.Of(anothers), fault.Of(none); a.Kind != fault.NotFound || a.Code != b.Code || a.Msg != b.Msg {
			t.Errorf("%s: of another's %+v, of none %+v", what, a, b)
		}
	}
}

func TestThePastOfAnAccountIsForThoseWhoseItIsNow(t *testing.T) {
	for _, between := range []int{0, 1, 7, 30} { // events, with a snapshot after every eighth
		for _, every := range []int{-1, 8} {
			w := newWorld(t, func(o *Options) { o.SnapshotEvery = every })
			w.must(w.create("a"), w.command("a", "add-holder", fields{"holder": "hal"}))
			for range between {
				w.must(w.deposit("a", 1))
			}
			w.must(w.command("a", "remove-holder", fields{"holder": "hal"}), w.command("a", "add-holder", fields{"holder": "ida"}))
			for range between {
				w.must(w.deposit("a", 1))
			}
			if every > 0 {
				w.keepSnapshots(w.engine)
			}
			for v := es.Version(1); v <= es.Version(2*between+4); v++ {
				for who, may := range map[string]bool{"hal": false, "ida": true} {
					got, err := w.engine.StateAt(access.As(t.Context(), customer(who)), w.module, "a", Until{Version: v})
					if may && (err != nil || got.Version != v) || !may && !errors.Is(err, access.ErrForbidden) {
						t.Errorf("%d events between, a snapshot after each %d: %s asks for version %d and gets %d, %v", between, every, who, v, got.Version, err)
					}
				}
			}
		}
	}
}
