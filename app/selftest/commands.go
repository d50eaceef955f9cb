package selftest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// proofs are all of them, in the order in which they are tried.
func proofs() []proof {
	return []proof{
		{"one effect and one answer per key", "a deposit twice under one key, at once and later; then another amount under that key", provesKeys},
		{"all or nothing", "a transfer to nowhere, a transfer, and an atomic request whose last command is refused", provesWholes},
		{"a refusal has no effect", "more than there is, an account that is there already, an amount that is none, a version that is past", provesRefusals},
		{"money does not overflow", "the largest balance and one more", provesLimits},
		{"concurrent commands are as one after another", "8 clients pay in, pay out and transfer at once between 3 accounts", provesConcurrency},
		{"read your writes", "a query that waits for the position of each of 20 answers", provesFreshness},
		{"nobody sees what is another's", "a stranger reads, lists, pays out of and follows another's account", provesStrangers},
		{"any past balance, on both axes", "every version, position and moment of an account with back-dated entries, beside a plain sum", provesThePast},
		{"the order is one order", "the whole feed: positions, versions, recorded times", provesOrder},
		{"what is stored outlives the process", "the store closed and opened again: head, root, balances and answers under keys", provesReopening},
		{"any view can be built again", "all views built anew beside the old ones, and compared", provesRebuilding},
		{"what was written is not changed unnoticed", "every hash, chain and seal; then one event a second later, and one gone", provesIntegrity},
		{"one event can be proved", "the proof of an event, then of one that was changed", provesOneEvent},
		{"the ledger can be moved", "all of it exported, and imported into an empty store", provesMoving},
	}
}

func provesKeys(ctx context.Context, l *lab) (string, error) {
	if err := l.open(ctx, "key", "ada", 0); err != nil {
		return "", err
	}
	const data = `{"amount":500}`
	answers := make([]engine.Answer, 8)
	failures := make([]error, len(answers))
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i], failures[i] = l.do(ctx, "key", "deposit", data, "salary") })
	}
	all.Wait()
	again, err := l.do(ctx, "key", "deposit", data, "salary")
	if err := errors.Join(append(failures, err)...); err != nil {
		return "", err
	}
	if !again.Replayed {
		return "", errors.New("the second answer does not say that it is the first one again")
	}
	for _, a := range answers {
		if a.Replayed = true; !reflect.DeepEqual(a, again) {
			return "", fmt.Errorf("the answers differ: %+v and %+v", a, again)
		}
	}
	_, err = l.do(ctx, "key", "deposit", `{"amount":501}`, "salary")
	if err := wantCode(err, "another amount under the same key", engine.ErrKeyMismatch.Code); err != nil {
		return "", err
	}
	if err := l.wantBalance(ctx, "key", 500); err != nil {
		return "", err
	}
	return "9 requests, one deposit, one answer; the other amount was refused", nil
}

func (l *lab) wantBalance(ctx context.Context, account string, want int64) error {
	got, err := l.balance(ctx, account, engine.Until{})
	if err == nil && got != want {
		err = fmt.Errorf("the balance of %s is %d, not %d", account, got, want)
	}
	return err
}

func provesWholes(ctx context.Context, l *lab) (string, error) {
	if err := errors.Join(l.open(ctx, "from", "ada", 100), l.open(ctx, "to", "bob", 0)); err != nil {
		return "", err
	}
	_, err := l.do(ctx, "from", "transfer", `{"to":"nowhere","amount":40}`, "")
	if err := errors.Join(wantCode(err, "a transfer to nowhere", "unknown_counterparty"), l.wantBalance(ctx, "from", 100)); err != nil {
		return "", err
	}
	if _, err := l.do(ctx, "from", "transfer", `{"to":"to","amount":40}`, ""); err != nil {
		return "", err
	}
	if err := errors.Join(l.wantBalance(ctx, "from", 60), l.wantBalance(ctx, "to", 40)); err != nil {
		return "", err
	}
	head, err := l.store.Head(ctx)
	if err != nil {
		return "", err
	}
	var requests []engine.Request
	for _, data := range []string{`{"to":"to","amount":10}`, `{"to":"to","amount":10}`, `{"to":"to","amount":1000}`} {
		r, err := l.request("from", "transfer", data)
		if err != nil {
			return "", err
		}
		requests = append(requests, r)
	}
	ticket, err := l.engine.Submit(ctx, true, requests...)
	if err != nil {
		return "", err
	}
	results, err := ticket.Wait(ctx)
	if err != nil {
		return "", err
	}
	for i, r := range results {
		if r.Err == nil {
			return "", fmt.Errorf("command %d of an atomic request that was refused was accepted", i+1)
		}
	}
	if err := errors.Join(l.wantHead(ctx, head), l.wantBalance(ctx, "from", 60), l.wantBalance(ctx, "to", 40)); err != nil {
		return "", err
	}
	return "both legs or neither; of the atomic request nothing", nil
}

func (l *lab) wantHead(ctx context.Context, want es.Position) error {
	head, err := l.store.Head(ctx)
	if err == nil && head != want {
		err = fmt.Errorf("something was written: the head is at %d, not %d", head, want)
	}
	return err
}

func provesRefusals(ctx context.Context, l *lab) (string, error) {
	if err := l.open(ctx, "poor", "ada", 10); err != nil {
		return "", err
	}
	head, err := l.store.Head(ctx)
	if err != nil {
		return "", err
	}
	for _, c := range []struct{ command, data, code string }{
		{"withdraw", `{"amount":11}`, "insufficient_funds"},
		{"create", `{"owner":"eve","currency":"EUR"}`, "account_exists"},
		{"deposit", `{"amount":-1}`, "invalid_field"}, {"deposit", `{"amount":0}`, "invalid_field"}, {"deposit", `{"amount":1.5}`, "invalid_field"},
		{"deposit", `{"amount":1,"balance":5}`, "invalid_field"},
	} {
		_, err := l.do(ctx, "poor", c.command, c.data, "")
		if err := wantCode(err, c.command+" "+c.data, c.code); err != nil {
			return "", err
		}
	}
	r, err := l.request("poor", "deposit", `{"amount":1}`)
	if err != nil {
		return "", err
	}
	r.Expected = new(es.Version)
	_, err = l.engine.Execute(ctx, r)
	if err := errors.Join(wantCode(err, "a deposit to another version", engine.ErrVersionMismatch.Code), l.wantHead(ctx, head)); err != nil {
		return "", err
	}
	return "7 refusals, and nothing was written", nil
}

func provesLimits(ctx context.Context, l *lab) (string, error) {
	if err := l.open(ctx, "rich", "ada", es.MaxAmount); err != nil {
		return "", err
	}
	_, err := l.do(ctx, "rich", "deposit", `{"amount":1}`, "")
	if err := errors.Join(wantCode(err, "one more than the largest balance", "balance_limit"), l.wantBalance(ctx, "rich", es.MaxAmount)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d stays %d", int64(es.MaxAmount), int64(es.MaxAmount)), nil
}

func provesConcurrency(ctx context.Context, l *lab) (string, error) {
	const clients, each = 8, 25
	accounts := []string{"hot-1", "hot-2", "hot-3"}
	for _, id := range accounts {
		if err := l.open(ctx, id, "ada", 50); err != nil {
			return "", err
		}
	}
	var moved, refused atomic.Int64 // into all of them together, by commands that were accepted
	failures := make([]error, clients)
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for i := range each {
				failures[c] = errors.Join(failures[c], l.moveAbout(ctx, accounts, c, i, &moved, &refused))
			}
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return "", err
	}
	var sum int64
	for _, id := range accounts {
		events, err := l.stream(ctx, id)
		if err != nil {
			return "", err
		}
		var balance int64
		for i := range events {
			e, err := l.Registry.Decode(&events[i])
			if err != nil {
				return "", err
			}
			change, _ := l.module.Ledger.Amount(e)
			if balance += change; balance < 0 {
				return "", fmt.Errorf("%s is overdrawn at version %d: %d", id, events[i].Version, balance)
			}
		}
		if err := l.wantBalance(ctx, id, balance); err != nil {
			return "", err
		}
		sum += balance
	}
	if want := 150 + moved.Load(); sum != want {
		return "", fmt.Errorf("the accounts hold %d together, and %d was paid in and not out", sum, want)
	}
	if refused.Load() == 0 {
		return "", errors.New("nothing was refused: the accounts were never empty, and this proves nothing")
	}
	return fmt.Sprintf("%d commands, %d refused, no account below zero, every cent is there", clients*each, refused.Load()), nil
}

// moveAbout gives the client's next command and notes what it moved.
func (l *lab) moveAbout(ctx context.Context, accounts []string, client, i int, moved, refused *atomic.Int64) error {
	n := client*31 + i*17
	id, amount := accounts[n%3], int64(n%40+1)
	var err error
	switch n % 4 {
	case 0:
		if _, err = l.do(ctx, id, "deposit", fmt.Sprintf(`{"amount":%d}`, amount), ""); err == nil {
			moved.Add(amount)
		}
	case 1:
		_, err = l.do(ctx, id, "transfer", fmt.Sprintf(`{"to":%q,"amount":%d}`, accounts[(n+1)%3], amount), "")
	default:
		if _, err = l.do(ctx, id, "withdraw", fmt.Sprintf(`{"amount":%d}`, amount), ""); err == nil {
			moved.Add(-amount)
		}
	}
	if fault.KindOf(err) == fault.Rejected {
		refused.Add(1)
		return nil
	}
	return err
}

func provesFreshness(ctx context.Context, l *lab) (string, error) {
	if err := l.open(ctx, "fresh", "ada", 0); err != nil {
		return "", err
	}
	for i := range 20 {
		a, err := l.do(ctx, "fresh", "deposit", `{"amount":1}`, "")
		if err == nil {
			err = l.engine.AwaitView(ctx, a.Position, patience)
		}
		if err != nil {
			return "", err
		}
		d, at, err := l.engine.View(ctx, l.module, "fresh")
		if err != nil {
			return "", err
		}
		if at < a.Position || d.Version < a.Version {
			return "", fmt.Errorf("query %d waited for position %d and saw the view at %d, the account at version %d instead of %d", i+1, a.Position, at, d.Version, a.Version)
		}
	}
	return "all 20 saw what had been written", nil
}

func provesStrangers(ctx context.Context, l *lab) (string, error) {
	if err := l.open(ctx, "private", "ada", 100); err != nil {
		return "", err
	}
	head, err := l.store.Head(ctx)
	if err == nil {
		err = l.engine.AwaitView(ctx, head, patience)
	}
	if err != nil {
		return "", err
	}
	stranger := access.As(ctx, &access.Principal{Subject: "mallory", Roles: []access.Role{access.Customer}})
	ask := map[string]func(id string) error{
		"the document": func(id string) error { _, _, err := l.engine.View(stranger, l.module, id); return err },
		"the past":     func(id string) error { _, err := l.engine.StateAt(stranger, l.module, id, engine.Until{}); return err },
		"the events":   func(id string) error { _, _, err := l.engine.Stream(stranger, l.module, id, 0, 10); return err },
		"the statement": func(id string) error {
			_, err := l.engine.Statement(stranger, l.module, id, engine.Period{})
			return err
		},
		"paying out": func(id string) error { _, err := l.do(stranger, id, "withdraw", `{"amount":1}`, ""); return err },
	}
	for what, try := range ask {
		private, none := try("private"), try("none")
		if err := errors.Join(wantCode(private, what+" of another's account", "account_not_found"), wantCode(none, what+" of no account", "account_not_found")); err != nil {
			return "", err
		}
		if fault.Of(private).Msg != fault.Of(none).Msg {
			return "", fmt.Errorf("%s of another's account is answered in other words than that of none", what)
		}
	}
	_, _, _, err = l.engine.Feed(stranger, 0, 10, "")
	if err := wantCode(err, "the feed", access.ErrForbidden.Code); err != nil {
		return "", err
	}
	page, err := l.engine.Documents(stranger, l.module, ports.Query{Limit: 1000})
	switch {
	case err != nil:
		return "", err
	case len(page.Documents) > 0:
		return "", fmt.Errorf("the list shows %d accounts of others", len(page.Documents))
	}
	own, err := l.engine.StateAt(access.As(ctx, &access.Principal{Subject: "ada", Roles: []access.Role{access.Customer}}), l.module, "private", engine.Until{})
	if err == nil && own.Version != 2 {
		err = fmt.Errorf("their account is at version %d", own.Version)
	}
	if err != nil {
		return "", fmt.Errorf("the owner does not see their own account: %w", err)
	}
	return "as if there were no such account; its owner sees it", l.wantBalance(ctx, "private", 100)
}
