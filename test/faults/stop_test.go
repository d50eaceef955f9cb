package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"daybook/app"
	"daybook/test/cluster"
	"daybook/test/faulttable"
)

// balancer sends clients to the API processes that say that they are ready, as one in front of them does.
type balancer struct{ ready atomic.Pointer[[]string] }

// watch looks at readiness until the test ends.
func (b *balancer) watch(ctx context.Context, w *world) {
	for {
		var urls []string
		all := w.targets()
		ready := make([]bool, len(all))
		var asked sync.WaitGroup
		one, cancel := context.WithTimeout(ctx, time.Second) // a quarter of http.stop-delay
		for i, url := range all {
			asked.Go(func() { ready[i] = cluster.Get(one, url+"/readyz", nil) == nil })
		}
		asked.Wait()
		cancel()
		for i, url := range all {
			if ready[i] {
				urls = append(urls, url)
			}
		}
		if len(urls) > 0 {
			b.ready.Store(&urls)
		}
		if !cluster.Pass(ctx, 20*time.Millisecond) {
			return
		}
	}
}

// targets are those that were ready when it looked last.
func (b *balancer) targets() []string { return *b.ready.Load() }

func TestBehindABalancerProcessesAreStoppedInTurnAndNoRequestFails(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F8", faulttable.Production, again())
	faulttable.Covers(t, "F9", faulttable.Production, again())
	w := prepare(t, place{})
	b := &balancer{}
	w.balanced = func() []string {
		if b.ready.Load() == nil {
			return w.targets()
		}
		return b.targets()
	}
	w.settings = []string{"DAYBOOK_HTTP_STOP_DELAY=4"}
	w.up()
	ctx, end := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		b.watch(ctx, w)
	}()
	defer func() { end(); <-watched }()
	for range times(1) {
		for _, p := range w.cluster.Programs() {
			undisturbed(t, w.during("orderly stop of the "+p.Name()+" behind a balancer", func() { w.stopped(p) }))
		}
	}
	w.secondSignal(w.apis[0])
	w.settle()
}

// secondSignal stops a process while a request goes on for which it would wait, and then does not let it wait.
func (w *world) secondSignal(p *cluster.Program) {
	w.t.Helper()
	body, send := io.Pipe()
	defer send.Close()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, p.URL()+"/v1/commands", body)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	p.Signal(syscall.SIGTERM)
	cluster.Within(w.t, recovery, "readiness ends", func(ctx context.Context) error {
		if err := cluster.Get(ctx, p.URL()+"/readyz", nil); err == nil {
			return fmt.Errorf("the %s is ready", p.Name())
		}
		return nil
	})
	p.Signal(syscall.SIGINT)
	if code := p.Ended(app.DrainTimeout / 2); code != 1 {
		w.t.Errorf("after a second signal the exit code is %d", code)
	}
	p.Start()
}
