package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybook/adapters/memstore"
	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// Rebuilt checks that views which followed a random history, and views built again from it, have the same documents at the same
// position, and that readers are answered throughout. open gives views of its own to each history.
func Rebuilt(t *testing.T, open func(t *testing.T, r *es.Registry) ports.Views) {
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		views := open(t, registry)
		defer func() { _ = views.Close() }()
		store := memstore.New()
		defer func() { _ = store.Close() }()
		l := &living{t: rt, store: store, versions: map[string]es.Version{}, engine: engine.New(engine.Options{
			Anonymous: access.Local,
			Registry:  registry, Store: store, Bus: quietBus{}, Views: views, Observer: ports.Silent{}, Now: time.Now, EventsTopic: "events",
		})}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		running.Go(func() { l.engine.RunProjector(ctx) })
		l.happens("before")
		l.reach()
		running.Go(func() {
			for ctx.Err() == nil {
				if _, err := views.List(ctx, registry.Modules[0].Name, ports.Query{Limit: 3}); err != nil && ctx.Err() == nil {
					t.Errorf("a reader is refused: %v", err)
					return
				}
			}
		})
		op, err := l.engine.Rebuild(ctx)
		l.happens("meanwhile")
		l.reach()
		for err == nil && op.State == engine.OperationRunning {
			op, err = l.engine.Operation(ctx, op.ID)
		}
		stop()
		running.Wait()
		if err != nil || op.State != engine.OperationDone || len(op.Compared) != 1 {
			rt.Fatalf("the rebuild ends as %+v, %v", op, err)
		}
		if c := op.Compared[0]; !c.Equal() || c.Added+c.Removed+c.Changed > 0 {
			rt.Fatalf("%s\n%s\n%s", c.String(), c.Old, c.New)
		}
	})
}

// living is a ledger with a history that goes on.
type living struct {
	t        *rapid.T
	store    ports.Store
	engine   *engine.Engine
	versions map[string]es.Version
	head     es.Position
}

// happens writes events of few accounts, some of which nobody can read.
func (l *living) happens(when string) {
	for range rapid.IntRange(0, 40).Draw(l.t, when) {
		id := fmt.Sprint("a", rapid.IntRange(0, 6).Draw(l.t, "id"))
		rec := es.Recorded{Type: "MoneyDeposited", Schema: 1, Metadata: []byte(`{}`)}
		rec.Data, _ = json.Marshal(map[string]int{"amount": rapid.IntRange(1, 1000).Draw(l.t, "amount")})
		switch {
		case l.versions[id] == 0:
			rec.Type, rec.Data = "AccountCreated", []byte(`{"owner":"Ann Lee","currency":"EUR","overdraftLimit":0}`)
		case rapid.IntRange(0, 30).Draw(l.t, "unreadable") == 0:
			rec.Schema = 99
		}
		if _, err := ports.Append(context.Background(), l.store, time.Now(), es.StreamID(id), l.versions[id], rec); err != nil {
			l.t.Fatal(err)
		}
		l.versions[id]++
		l.head++
	}
}

// reach waits until readers see all of it.
func (l *living) reach() {
	for {
		err := l.engine.AwaitView(context.Background(), l.head, 30*time.Second)
		if err == nil {
			return
		}
		if !errors.Is(err, ports.ErrViewRebuilding) && !errors.Is(err, ports.ErrViewUnavailable) { // until the projector has begun
			l.t.Fatal(err)
		}
	}
}

// quietBus delivers nothing.
type quietBus struct{ ports.Bus }

func (quietBus) Subscribe(ctx context.Context, _ ports.Subscription, _ ports.Handler) error {
	<-ctx.Done()
	return ctx.Err()
}
