package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"daybook/adapters/memviews"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
)

// keptViews are views in memory that a folder keeps.
func (w *world) keptViews(dir string) *memviews.Views {
	w.t.Helper()
	v, err := memviews.Open(memviews.Options{Registry: w.engine.Registry, Dir: dir, Failed: w.observed.Failed})
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// restart gives the engine new views from the folder, fills them to the head and keeps them again.
func (w *world) restart(dir string) {
	w.t.Helper()
	views := w.keptViews(dir)
	w.engine = w.again(func(o *Options) { o.Views = views })
	w.catchUp()
}

// stopped ends the views' use.
func (w *world) stopped() {
	w.t.Helper()
	if err := w.engine.Views.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// readStore counts the events that are read of the feed.
type readStore struct {
	ports.Store
	mu   sync.Mutex
	read int
}

func (s *readStore) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	events, err := s.Store.ReadFeed(ctx, after, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read += len(events)
	return events, err
}

func TestViewsThatWereKept(t *testing.T) {
	t.Run("go on where they were, without reading what is before", func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		s := &readStore{Store: w.store.Store}
		w.store.Store = s
		w.restart(dir)
		for i := range 400 {
			w.must(w.create(fmt.Sprint("a", i)), w.deposit(fmt.Sprint("a", i), i+1))
		}
		w.catchUp()
		w.stopped()
		w.must(w.deposit("a7", 100), w.create("b"))
		s.read = 0
		w.restart(dir)
		if s.read > 4 { // the last one that they show is read too, when they are opened and when they go on
			t.Errorf("%d events of the feed were read for two that are new", s.read)
		}
		for id, want := range map[string]int64{"a7": 108, "a99": 100, "b": 0} {
			if got, err := w.viewBalance(id); got != want || err != nil {
				t.Errorf("%s shows %d, %v, want %d", id, got, err, want)
			}
		}
		for range 3 {
			w.must(w.deposit("a7", 1))
		}
		w.stopped()
		s.read = 0
		w.restart(dir)
		if s.read < 805 {
			t.Errorf("%d events were read, which is slower than all when more than a three-hundredth is new", s.read)
		}
		w.stopped()
		if len(w.observed.failed) > 0 {
			t.Errorf("told: %q", w.observed.failed)
		}
	})
	t.Run("are dropped, and it is told, when another file is in their place, whatever it says", func(t *testing.T) {
		w, dir := newWorld(t), t.TempDir()
		for i := range 8 {
			w.must(w.create(fmt.Sprint("a", i)), w.deposit(fmt.Sprint("a", i), 10*i+1))
		}
		w.restart(dir)
		w.stopped() // with all of it in the file
		read := func(name string) []byte {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		whole := read("views")
		w.restart(dir)
		for i := range 8 {
			w.must(w.deposit(fmt.Sprint("a", i), 2))
		}
		w.catchUp()
		w.stopped() // with the rest in the log
		log := read("log")
		right := func(what string, file, log []byte, told bool) {
			t.Helper()
			for name, b := range map[string][]byte{"views": file, "log": log} {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w.observed.failed = nil
			w.restart(dir)
			defer w.stopped()
			for i := range 8 {
				if got, err := w.viewBalance(fmt.Sprint("a", i)); got != int64(10*i+3) || err != nil {
					t.Errorf("%s: a%d shows %d, %v", what, i, got, err)
				}
			}
			if (len(w.observed.failed) > 0) != told {
				t.Errorf("%s: told %q", what, w.observed.failed)
			}
		}
		right("as they were", whole, log, false)
		right("without the log", whole, nil, false)
		changed := func(b []byte, n int) []byte {
			b = slices.Clone(b)
			b[n] ^= byte(1 + rand.IntN(255))
			return b
		}
		for n := rand.IntN(5); n < len(whole); n += 1 + rand.IntN(9) { // each of them is passed over in a test of the adapter
			right(fmt.Sprint("the file cut off after ", n), whole[:n], log, true)
			right(fmt.Sprint("another byte ", n, " of the file"), changed(whole, n), log, true)
		}
		for n := 1 + rand.IntN(5); n < len(log); n += 1 + rand.IntN(9) {
			right(fmt.Sprint("the log cut off after ", n), whole, log[:n], true)
			right(fmt.Sprint("another byte ", n, " of the log"), whole, changed(log, n), true)
		}
		const position, hash = 16 + 32, 16 + 32 + 8 // behind the form and the shape
		forged := func(change func(b []byte)) []byte {
			b := slices.Clone(whole[:len(whole)-sha256.Size])
			change(b)
			sum := sha256.Sum256(b)
			return append(b, sum[:]...)
		}
		for _, at := range []uint64{0, 1, 15, 17, 24, 25, 1 << 40, 1<<64 - 1} {
			b := forged(func(b []byte) { binary.BigEndian.PutUint64(b[position:], at) })
			right(fmt.Sprint("of position ", at, " with a checksum"), b, nil, true)
		}
		for n := range 32 {
			b := forged(func(b []byte) { b[hash+n] ^= 1 })
			right(fmt.Sprint("of another event, in byte ", n, " of its hash, with a checksum"), b, nil, true)
		}
		for n := range hash + 32 + 8 {
			if n < position || n >= hash+32 {
				right(fmt.Sprint("with another head in byte ", n, " and a checksum"), forged(func(b []byte) { b[n]++ }), nil, true)
			}
		}
		right("of no documents, with a checksum", forged(func(b []byte) { clear(b[hash+32:]) }), nil, true)
	})
}

// pagedViews let a test do something before each page that is read of the set beside.
type pagedViews struct {
	ports.Views
	page func()
	at   []es.Position // of the pages
}

func (v *pagedViews) Beside(ctx context.Context, token ports.Token) (ports.ViewSet, error) {
	set, err := v.Views.Beside(ctx, token)
	return &pagedSet{set, v}, err
}

type pagedSet struct {
	ports.ViewSet
	of *pagedViews
}

func (s *pagedSet) List(ctx context.Context, view string, q ports.Query) (ports.Page, error) {
	s.of.page()
	page, err := s.ViewSet.List(ctx, view, q)
	s.of.at = append(s.of.at, page.At)
	return page, err
}

func TestTheViewsGoOnWhileARebuildIsCompared(t *testing.T) {
	faulttable.Covers(t, "F55", faulttable.Memory)
	var views *pagedViews
	w := newWorld(t, func(o *Options) {
		views = &pagedViews{Views: memviews.New(o.Registry)}
		o.Views = views
	})
	const accounts = 2*walkPage + 1
	for at := 0; at < accounts; {
		var batch []Request
		for ; len(batch) < 1000 && at < accounts; at++ {
			batch = append(batch, w.create(fmt.Sprintf("a%05d", at)))
		}
		w.must(batch...)
	}
	w.must(w.create("b"))
	w.catchUp()
	later := 0
	views.page = func() { // an account that was compared, one that is to be, one that is parked, and a new one
		later++
		w.must(w.deposit("a00001", 1), w.deposit("b", 2), w.create(fmt.Sprint("a0000", later, "-", later)), w.create(fmt.Sprint("c", later)))
		broken := es.Recorded{Type: "MoneyDeposited", Schema: 9, Data: []byte(`{"amount":1}`), Metadata: []byte(`{}`)}
		if _, err := ports.Append(t.Context(), w.store, w.now, es.StreamID(fmt.Sprintf("a0100%d", later)), 1, broken); err != nil {
			t.Error(err)
		}
	}
	c := w.rebuilt()[0]
	if len(views.at) < 3 || !slices.IsSorted(views.at) || views.at[0] == views.at[1] || views.at[1] == views.at[2] {
		t.Errorf("the pages were read at %v", views.at)
	}
	if !c.Equal() || c.Added+c.Removed+c.Changed > 0 || c.Same < accounts {
		t.Errorf("got %+v", c)
	}
	if got, err := w.viewBalance("b"); got != int64(2*later) || err != nil {
		t.Errorf("b shows %d, %v", got, err)
	}
	if len(w.observed.failed) > 0 {
		t.Errorf("told: %q", w.observed.failed)
	}
}
