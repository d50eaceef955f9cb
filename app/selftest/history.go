package selftest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"daybook/adapters/logfile"
	"daybook/adapters/memstore"
	"daybook/core/engine"
	"daybook/core/es"
)

func provesThePast(ctx context.Context, l *lab) (string, error) {
	if err := l.open(ctx, "past", "ada", 1000); err != nil {
		return "", err
	}
	for i := range 30 { // back-dated, in no order, to five days
		data := fmt.Sprintf(`{"amount":%d,"effectiveAt":"2024-01-%02dT12:00:00Z"}`, i+1, (i*7)%5+1)
		command := "deposit"
		if i%3 == 0 {
			command = "withdraw"
		}
		if _, err := l.do(ctx, "past", command, data, ""); err != nil {
			return "", err
		}
	}
	events, err := l.stream(ctx, "past")
	if err != nil {
		return "", err
	}
	var days []time.Time
	for day := range 7 {
		days = append(days, time.Date(2024, 1, day, 12, 0, 0, 0, time.UTC))
	}
	days = append(days, events[len(events)-1].RecordedAt)
	asked := 0
	for known := range events {
		e := &events[known]
		for _, until := range []engine.Until{{Version: e.Version}, {Position: e.Position}, {At: e.RecordedAt}} {
			want, err := l.plainSum(events[:known+1], time.Time{})
			if err != nil {
				return "", err
			}
			got, err := l.balance(ctx, "past", until)
			switch asked++; {
			case err != nil:
				return "", err
			case got != want:
				return "", fmt.Errorf("as of %+v the balance is %d, and the sum of the entries %d", until, got, want)
			}
		}
		for _, day := range days {
			want, err := l.plainSum(events[:known+1], day)
			if err != nil {
				return "", err
			}
			got, err := l.engine.BalanceEffective(ctx, l.module, "past", day, engine.Until{Version: e.Version})
			switch asked++; {
			case err != nil:
				return "", err
			case got.Balance != want:
				return "", fmt.Errorf("by %s, as known at version %d, the balance is %d, and the sum of the entries %d", day.Format(time.DateOnly), e.Version, got.Balance, want)
			}
		}
	}
	return fmt.Sprintf("%d questions, each answered as the plain sum", asked), nil
}

// plainSum adds up the entries that had happened by a time; the zero time: all of them.
func (l *lab) plainSum(events []es.Recorded, by time.Time) (sum int64, err error) {
	for i := range events {
		e, err := l.Registry.Decode(&events[i])
		if err != nil {
			return 0, err
		}
		if change, moves := l.module.Ledger.Amount(e); moves && (by.IsZero() || !events[i].EffectiveAt.After(by)) {
			sum += change
		}
	}
	return sum, nil
}

func provesOrder(ctx context.Context, l *lab) (string, error) {
	versions := map[es.StreamID]es.Version{}
	var last es.Recorded
	for {
		page, err := l.store.ReadFeed(ctx, last.Position, 100)
		if err != nil {
			return "", err
		}
		for i := range page {
			e := &page[i]
			versions[e.Stream]++
			switch {
			case e.Position != last.Position+1:
				return "", fmt.Errorf("position %d comes after %d", e.Position, last.Position)
			case e.Version != versions[e.Stream]:
				return "", fmt.Errorf("version %d of %s comes after %d", e.Version, e.Stream, versions[e.Stream]-1)
			case e.RecordedAt.Before(last.RecordedAt):
				return "", fmt.Errorf("position %d was recorded before position %d", e.Position, last.Position)
			}
			last = *e
		}
		if len(page) < 100 {
			break
		}
	}
	head, err := l.store.Head(ctx)
	if err == nil && head != last.Position {
		err = fmt.Errorf("the feed ends at %d, and the head is at %d", last.Position, head)
	}
	return fmt.Sprintf("%d events of %d accounts, no gap, time never goes back", last.Position, len(versions)), err
}

func provesReopening(ctx context.Context, l *lab) (string, error) {
	if l.Forgets {
		return "", errSkipped
	}
	if err := l.open(ctx, "kept", "ada", 0); err != nil {
		return "", err
	}
	first, err := l.do(ctx, "kept", "deposit", `{"amount":77}`, "kept")
	if err != nil {
		return "", err
	}
	before, err := engine.LedgerOf(ctx, l.store)
	if err != nil {
		return "", err
	}
	if err := l.again(); err != nil {
		return "", err
	}
	after, err := engine.LedgerOf(ctx, l.store)
	if err == nil && (after.Head != before.Head || after.Root != before.Root) {
		err = fmt.Errorf("%d events with the root %s were stored, and %d with %s are there", before.Head, before.Root, after.Head, after.Root)
	}
	if err == nil {
		err = l.wantBalance(ctx, "kept", 77)
	}
	if err != nil {
		return "", err
	}
	again, err := l.do(ctx, "kept", "deposit", `{"amount":77}`, "kept")
	if err == nil && (!again.Replayed || again.Position != first.Position || again.Version != first.Version) {
		err = fmt.Errorf("the same key is answered with %+v, and was with %+v", again, first)
	}
	return fmt.Sprintf("%d events, the same root, the same answer under the key", after.Head), errors.Join(err, l.wantBalance(ctx, "kept", 77))
}

func provesRebuilding(ctx context.Context, l *lab) (string, error) {
	head, err := l.store.Head(ctx)
	if err == nil {
		err = l.engine.AwaitView(ctx, head, patience)
	}
	if err != nil {
		return "", err
	}
	op, err := l.engine.Rebuild(ctx)
	if err != nil {
		return "", err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for op.State == engine.OperationRunning {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if op, err = l.engine.Operation(ctx, op.ID); err != nil {
			return "", err
		}
	}
	if op.State != engine.OperationDone || len(op.Compared) == 0 {
		return "", fmt.Errorf("the rebuild has %s: %s", op.State, op.Error)
	}
	documents := 0
	for i := range op.Compared {
		c := &op.Compared[i]
		if !c.Equal() {
			return "", errors.New(c.String())
		}
		documents += c.Same
	}
	if documents == 0 {
		return "", errors.New("there was no document to compare")
	}
	return fmt.Sprintf("%d documents, the same digest %.16s…", documents, op.Compared[0].New), nil
}

// altered shows a store in which an event was changed, or is gone.
type altered struct {
	engine.StoreHistory
	at     es.Position
	change func(e es.Recorded) (es.Recorded, bool)
}

func (a altered) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	page, err := a.StoreHistory.ReadFeed(ctx, after, limit)
	var shown []es.Recorded
	for _, e := range page {
		keep := true
		if e.Position == a.at {
			e, keep = a.change(e)
		}
		if keep {
			shown = append(shown, e)
		}
	}
	return shown, err
}

// later is an event as somebody would leave it who moved it a second, and nothing else.
func later(e *es.Recorded) es.Recorded {
	return es.Recorded{
		Stream: e.Stream, Version: e.Version, Position: e.Position, Type: e.Type, Schema: e.Schema, EffectiveAt: e.EffectiveAt.Add(time.Second),
		RecordedAt: e.RecordedAt, Data: e.Data, Metadata: e.Metadata, Hash: e.Hash,
	}
}

func provesIntegrity(ctx context.Context, l *lab) (string, error) {
	kept := engine.StoreHistory{Store: l.store}
	whole := engine.Verification{History: kept}
	if err := whole.Run(ctx); err != nil {
		return "", err
	}
	at := whole.Verified.Size / 2
	for what, change := range map[string]func(e es.Recorded) (es.Recorded, bool){
		"an event that was changed": func(e es.Recorded) (es.Recorded, bool) {
			return later(&e), true
		},
		"an event that is gone": func(e es.Recorded) (es.Recorded, bool) { return e, false },
	} {
		err := (&engine.Verification{History: altered{kept, at, change}}).Run(ctx)
		var found *engine.TamperedError
		switch {
		case !errors.As(err, &found):
			return "", fmt.Errorf("%s is not found: %w", what, errors.Join(err, errors.New("the verification found nothing")))
		case found.Event != at:
			return "", fmt.Errorf("%s at position %d is looked for at position %d: %w", what, at, found.Event, err)
		}
	}
	return fmt.Sprintf("%d events are as they were written; both changes were found, at position %d", whole.Verified.Size, at), nil
}

func provesOneEvent(ctx context.Context, l *lab) (string, error) {
	head, err := l.store.Head(ctx)
	if err != nil {
		return "", err
	}
	p, err := l.engine.Prove(ctx, head/2)
	if err != nil {
		return "", err
	}
	if err := p.Check(); err != nil {
		return "", err
	}
	p.Event = later(&p.Event)
	if p.Check() == nil {
		return "", errors.New("the proof holds for an event that was changed")
	}
	return fmt.Sprintf("%s among %d by %d hashes; not when a second is added", p.Event.Position.EventID(), p.Checkpoint.Size, len(p.Path)), nil
}

func provesMoving(ctx context.Context, l *lab) (string, error) {
	var file bytes.Buffer
	from, err := engine.Export(ctx, l.store, logfile.NewWriter(&file))
	if err != nil {
		return "", err
	}
	r, err := logfile.NewReader(&file)
	if err != nil {
		return "", err
	}
	other := memstore.New()
	defer other.Close()
	if _, err := engine.Import(ctx, other, r, func(_, _ es.Position) {}); err != nil {
		return "", err
	}
	to, err := engine.LedgerOf(ctx, other)
	if err == nil && (to.Head != from.Head || to.Root != from.Root) {
		err = fmt.Errorf("%d events with the root %s came out as %d with %s", from.Head, from.Root, to.Head, to.Root)
	}
	return fmt.Sprintf("%d events, the same root %.16s…", to.Head, to.Root), err
}
