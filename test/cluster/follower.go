package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"daybook/test/books"
)

// Follower is a client of the live feed. When its connection ends it connects again, to any process, and goes on after the last
// event that it saw.
type Follower struct {
	mu    sync.Mutex
	seen  []books.Event
	wrong error // what it saw that cannot be
}

// Follow starts to follow, until the test ends. targets are called from any goroutine.
func Follow(t testing.TB, targets func() []string) *Follower {
	t.Helper()
	f := &Follower{}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var following sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		following.Wait()
	})
	following.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			all := targets()
			f.listen(ctx, all[n%len(all)])
			Pass(ctx, 20*time.Millisecond)
		}
	})
	return f
}

// listen takes what one connection gives, for as long as there is one.
func (f *Follower) listen(ctx context.Context, base string) {
	f.mu.Lock()
	after := len(f.seen)
	f.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/feed", http.NoBody)
	if err != nil {
		return // where nothing listens yet
	}
	req.Header.Set("Last-Event-ID", fmt.Sprint(after))
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return
	}
	defer res.Body.Close()
	var data []byte
	for in := bufio.NewReader(res.Body); res.StatusCode == http.StatusOK; {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return // what was begun and did not end comes again
		}
		if text, is := bytes.CutPrefix(line, []byte("data: ")); is {
			data = text
		}
		if len(line) == 1 && len(data) > 0 {
			f.take(data)
			data = nil
		}
	}
}

// take notes one event.
func (f *Follower) take(data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var e books.Event
	err := json.Unmarshal(data, &e)
	if next := int64(len(f.seen)) + 1; err == nil && e.Position != next {
		err = fmt.Errorf("position %d came where %d comes next", e.Position, next)
	}
	if err != nil && f.wrong == nil {
		f.wrong = err
	}
	if err == nil {
		f.seen = append(f.seen, e)
	}
}

// Check waits until it has seen everything, and checks that it saw each event once, in order, and as it is in the store: none that was
// not durable and is another one now.
func (f *Follower) Check(t testing.TB, b *books.Books, limit time.Duration) {
	t.Helper()
	Within(t, limit, "the follower has seen everything", func(context.Context) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.seen) < len(b.Events) && f.wrong == nil {
			return fmt.Errorf("%d of %d events", len(f.seen), len(b.Events))
		}
		return nil
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wrong != nil {
		t.Errorf("the follower of the feed: %v", f.wrong)
		return
	}
	for i := range f.seen {
		if i >= len(b.Events) || f.seen[i] != b.Events[i] {
			t.Errorf("the follower was shown %+v, which the store does not have", f.seen[i])
			return
		}
	}
}
