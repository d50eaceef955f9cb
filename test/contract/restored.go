package contract

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"daybook/adapters/memstore"
	"daybook/core/access"
	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// Restored checks that views which followed one store are filled anew, and it is told, when their process finds another one in its
// place: put back to an earlier state, or as long but with another history. open gives views of its own to each case.
func Restored(t *testing.T, open func(t *testing.T, r *es.Registry) ports.Views) {
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		t.Fatal(err)
	}
	deposits := func(n, amount int) ports.Store {
		s := memstore.New()
		t.Cleanup(func() { _ = s.Close() })
		for v := range n {
			rec := es.Recorded{Type: "MoneyDeposited", Schema: 1, Metadata: []byte(`{}`), Data: fmt.Appendf(nil, `{"amount":%d}`, amount)}
			if v == 0 {
				rec.Type, rec.Data = "AccountCreated", []byte(`{"owner":"Ann Lee","currency":"EUR","overdraftLimit":0}`)
			}
			if _, err := ports.Append(t.Context(), s, time.Now(), "a", es.Version(v), rec); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	balance := registry.Modules[0].View.Field("balance")
	for name, c := range map[string]struct {
		store ports.Store // in the place of one with nine deposits of 1
		want  int64
		told  int
	}{
		"put back to an earlier state": {deposits(5, 1), 4, 1},
		"as long, of another history":  {deposits(10, 7), 63, 1},
		"longer, of another history":   {deposits(15, 7), 98, 1},
	} {
		t.Run(name, func(t *testing.T) {
			views := open(t, registry)
			shows := func(s ports.Store, want int64) (told int) {
				failures := &failures{}
				e := engine.New(engine.Options{
					Anonymous: access.Local,
					Registry:  registry, Store: s, Bus: quietBus{}, Views: views, Observer: failures, Now: time.Now, EventsTopic: "events",
				})
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { e.RunProjector(ctx) })
				defer running.Wait()
				defer stop()
				for deadline := time.Now().Add(30 * time.Second); ; {
					d, _, err := views.Get(ctx, registry.Modules[0].Name, "a")
					if err == nil && d.Values[balance].Int == want {
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("the view shows %+v, %v, want %d", d, err, want)
					}
				}
				return failures.count()
			}
			if told := shows(deposits(10, 1), 9); told != 0 {
				t.Errorf("%d failures were told of views that had nothing yet", told)
			}
			if told := shows(c.store, c.want); told != c.told {
				t.Errorf("%d failures were told, want %d", told, c.told)
			}
			if told := shows(c.store, c.want); told != 0 {
				t.Errorf("%d failures were told of views that go on", told)
			}
		})
	}
}

// failures counts what an observer is told went wrong.
type failures struct {
	ports.Silent
	mu sync.Mutex
	n  int
}

func (f *failures) Failed(string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
}

func (f *failures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}
