package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"daybook/core/es"
	"daybook/test/faulttable"
)

func joined(words []string) string { return strings.Join(words, " ") }

func TestAReactor(t *testing.T) {
	faulttable.Covers(t, "F55", faulttable.Memory)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.must(w.create("a"), w.deposit("a", 1))
		w.setClock(w.clock().Add(time.Hour))
		var mu sync.Mutex
		var seen []string
		failures := 0
		reactor := Reactor{
			Name: "notes", Types: []string{"MoneyDeposited", "MoneyWithdrawn"}, Since: w.clock(),
			React: func(_ context.Context, e *es.Recorded) error {
				mu.Lock()
				defer mu.Unlock()
				if e.Version == 4 && failures < 2 {
					if failures++; failures == 1 {
						panic("the first time")
					}
					return errors.New("the second time")
				}
				seen = append(seen, fmt.Sprintf("%s-%d", e.Stream, e.Version))
				return nil
			},
		}
		saw := func(want string) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if got := joined(seen); got != want {
				t.Errorf("it saw %s, want %s", got, want)
			}
		}
		run := func(e *Engine) (stop func()) {
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				e.RunReactors(ctx)
			}()
			return func() {
				cancel()
				<-ended
			}
		}
		withReactor := func(o *Options) { o.Reactors = []Reactor{reactor} }

		stop := run(w.again(withReactor))
		w.must(w.deposit("a", 2), w.deposit("a", 3), w.withdraw("a", 1)) // versions 3, 4 and 5
		saw("a-3 a-4 a-5")
		t.Log("filling the views anew shows it nothing")
		w.catchUp()
		if _, err := w.engine.projector.rebuild(t.Context(), false, 0); err != nil {
			t.Fatal(err)
		}
		saw("a-3 a-4 a-5")
		stop()
		t.Log("after a restart it goes on where it was")
		w.must(w.deposit("a", 4))
		stop = run(w.again(withReactor))
		saw("a-3 a-4 a-5 a-6")
		stop()
	})
}
