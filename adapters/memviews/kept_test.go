package memviews_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"daybook/adapters/memviews"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

func registryOf(t testing.TB, change func(*es.Module)) *es.Registry {
	t.Helper()
	m := account.Module(func(string) string { return "" })
	change(&m)
	r, err := es.NewRegistry(m)
	must(t, err)
	return r
}

func asItIs(*es.Module) {}

// keeping is a folder in which views are kept, and what went wrong with that.
type keeping struct {
	memviews.Options
	mu   sync.Mutex
	told []string
}

func newKeeping(t testing.TB) *keeping {
	k := &keeping{Options: memviews.Options{Registry: registryOf(t, asItIs), Dir: filepath.Join(t.TempDir(), "views")}}
	k.Failed = func(what string, err error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.told = append(k.told, what+": "+err.Error())
	}
	return k
}

func (k *keeping) open(t testing.TB) *memviews.Views {
	t.Helper()
	v, err := memviews.Open(k.Options)
	must(t, err)
	return v
}

func (k *keeping) file() string { return filepath.Join(k.Dir, "views") }

func (k *keeping) view() *es.View { return &k.Registry.Module(accounts).View }

// filled writes what views with some documents keep, and gives it.
func (k *keeping) filled(t testing.TB, documents int) []byte {
	t.Helper()
	v := k.open(t)
	must(t, v.Open(t.Context(), 0))
	k.write(t, v, documents)
	must(t, v.Close())
	b, err := os.ReadFile(k.file())
	must(t, err)
	return b
}

// write writes documents, and one that is parked, each as an event of its own.
func (k *keeping) write(t testing.TB, v *memviews.Views, documents int) {
	t.Helper()
	p, err := v.Progress(t.Context())
	must(t, err)
	for i := range documents {
		c := change(k.view(), i, es.Version(p.Checkpoint+1))
		if i == 1 {
			c.Document.Parked, c.Document.Values = "broken", nil
		}
		must(t, v.Write(t.Context(), 0, []ports.Change{c}, p.Checkpoint, p.Checkpoint+1, es.Hash{byte(p.Checkpoint), 1}))
		p.Checkpoint++
	}
}

func TestViewsThatWereKeptAreThereAgainAndClosed(t *testing.T) {
	view := registryOf(t, asItIs).Module(accounts).View
	rapid.Check(t, func(rt *rapid.T) {
		k := newKeeping(t)
		v := k.open(t)
		must(t, v.Open(t.Context(), 0))
		var at es.Position
		for range rapid.IntRange(1, 3).Draw(rt, "lives") {
			for range rapid.IntRange(1, 5).Draw(rt, "writes") {
				var changes []ports.Change
				for range rapid.IntRange(0, 10).Draw(rt, "documents") {
					c := change(&view, rapid.IntRange(0, 20).Draw(rt, "id"), es.Version(rapid.IntRange(0, 9).Draw(rt, "version")))
					if rapid.IntRange(0, 5).Draw(rt, "parked") == 0 {
						c.Document.Parked, c.Document.Values = rapid.StringN(1, 9, -1).Draw(rt, "reason"), nil
					} else {
						c.Document.Values[view.Field("owner")].Str = rapid.String().Draw(rt, "owner")
						c.Document.Values[view.Field("balance")].Int = rapid.Int64().Draw(rt, "balance")
					}
					changes = append(changes, c)
				}
				must(t, v.Write(t.Context(), 0, changes, at, at+3, es.Hash{byte(at), 7}))
				at += 3
			}
			before := shown(t, v)
			must(t, v.Close())
			v = k.open(t)
			if p, err := v.Progress(t.Context()); err != nil || p != (ports.Progress{Checkpoint: at, Hash: es.Hash{byte(at - 3), 7}}) {
				rt.Fatalf("they are there as %+v, %v", p, err)
			}
			if _, err := v.List(t.Context(), accounts, ports.Query{Limit: 1}); !errors.Is(err, ports.ErrViewRebuilding) {
				rt.Fatalf("readers are let in before Open: %v", err)
			}
			must(t, v.Open(t.Context(), 0))
			if after := shown(t, v); after != before {
				rt.Fatalf("they show\n%s\nand showed\n%s", after, before)
			}
		}
		must(t, v.Close())
		if len(k.told) > 0 {
			rt.Fatalf("told: %q", k.told)
		}
	})
}

// shown is all that readers see, by each order, and by words.
func shown(t testing.TB, v *memviews.Views) string {
	t.Helper()
	var all []string
	for _, q := range []ports.Query{{}, {Sort: 4}, {Words: []string{"owner"}}} {
		q.Limit = 1000
		page, err := v.List(t.Context(), accounts, q)
		if err == nil {
			all = append(all, fmt.Sprintf("%+v", page))
		}
	}
	parked, n, err := v.Parked(t.Context(), 1000)
	must(t, err)
	return strings.Join(append(all, fmt.Sprint(parked, n)), "\n")
}

func TestAFileThatIsNotAsItWasWrittenIsPassedOverAndSaid(t *testing.T) {
	k := newKeeping(t)
	whole := k.filled(t, 6)
	passedOver := func(what string, b []byte, says string) {
		t.Helper()
		must(t, os.WriteFile(k.file(), b, 0o600))
		v := k.open(t)
		if p, err := v.Progress(t.Context()); err != nil || p != (ports.Progress{}) {
			t.Errorf("%s: the views are at %+v, %v", what, p, err)
		}
		if len(k.told) != 1 || !strings.Contains(k.told[0], "use the views that were kept") || !strings.Contains(k.told[0], says) {
			t.Errorf("%s: told %q, want words with %q", what, k.told, says)
		}
		must(t, v.Close())
		k.told = nil
	}
	for n := range whole {
		passedOver(fmt.Sprint("cut off after ", n, " bytes"), whole[:n], "")
		b := slices.Clone(whole)
		b[n] ^= byte(1 + rand.IntN(255))
		passedOver(fmt.Sprint("another byte ", n), b, "")
		passedOver(fmt.Sprint("a byte less at ", n), slices.Delete(slices.Clone(whole), n, n+1), "")
	}
	passedOver("a byte more", append(slices.Clone(whole), 0), "checksum")
	passedOver("nothing", nil, "form")
	for what, r := range map[string]*es.Registry{
		"values of another meaning": registryOf(t, func(m *es.Module) { m.View.Meaning++ }),
		"other fields":              registryOf(t, func(m *es.Module) { m.View.Fields = m.View.Fields[:4] }),
		"states of another shape":   registryOf(t, func(m *es.Module) { m.State = es.StateType{} }),
		"other events":              registryOf(t, func(m *es.Module) { m.Events = m.Events[1:] }),
	} {
		was := k.Registry
		k.Registry = r
		passedOver("a build with "+what, whole, "shape")
		k.Registry = was
	}
	must(t, os.WriteFile(k.file(), whole, 0o600))
	v := k.open(t)
	if p, err := v.Progress(t.Context()); err != nil || p.Checkpoint != 6 || len(k.told) > 0 {
		t.Errorf("the whole file gives %+v, %v, told %q", p, err, k.told)
	}
	must(t, v.Close())
}

func TestOneProcessAtATimeKeepsItsViewsInAFolder(t *testing.T) {
	k := newKeeping(t)
	v := k.open(t)
	if _, err := memviews.Open(k.Options); err == nil || !strings.Contains(err.Error(), "another process keeps its views in "+k.Dir) {
		t.Errorf("a second one: %v", err)
	}
	must(t, v.Close())
	must(t, k.open(t).Close())
}

// keptAt gives the position that a process would find which is killed now; 0: none.
func (k *keeping) keptAt(t testing.TB) es.Position {
	t.Helper()
	copied := newKeeping(t)
	must(t, os.CopyFS(copied.Dir, os.DirFS(k.Dir)))
	v := copied.open(t)
	p, err := v.Progress(t.Context())
	must(t, err)
	must(t, v.Close())
	if len(copied.told) > 0 {
		t.Errorf("told: %q", copied.told)
	}
	return p.Checkpoint
}

// pass lets so much time of the bubble's clock pass.
func pass(t testing.TB, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	<-ctx.Done()
	synctest.Wait()
}

func TestViewsAreKeptBehindTheirUseWhileThereIsAnythingNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeping(t)
		v := k.open(t)
		wait := func(d time.Duration, want es.Position) {
			t.Helper()
			pass(t, d)
			if got := k.keptAt(t); got != want {
				t.Fatalf("position %d is kept, want %d", got, want)
			}
		}
		k.write(t, v, 10)
		wait(time.Hour, 0) // not while they are closed
		must(t, v.Open(t.Context(), 0))
		wait(time.Second, 10)
		k.write(t, v, 3)
		wait(time.Second, 13)
		file, err := os.Stat(k.file())
		must(t, err)
		k.write(t, v, 5)
		wait(time.Second, 18)
		must(t, v.Write(t.Context(), 0, nil, 18, 1000, es.Hash{2}))
		wait(time.Second, 1000)
		if again, err := os.Stat(k.file()); err != nil || !os.SameFile(file, again) {
			t.Errorf("the file was written again for a few documents: %v", err)
		}
		must(t, v.Reset(t.Context(), 0))
		wait(0, 0)
		must(t, v.Close())
		wait(0, 0)
		if len(k.told) > 0 {
			t.Errorf("told: %q", k.told)
		}
	})
}

func TestTheFileIsWrittenAnewWhenTheLogIsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeping(t)
		v := k.open(t)
		must(t, v.Open(t.Context(), 0))
		longest, at := int64(0), es.Position(0)
		for range 60 {
			k.write(t, v, 500)
			at += 500
			pass(t, time.Second)
			info, err := os.Stat(filepath.Join(k.Dir, "log"))
			must(t, err)
			longest = max(longest, info.Size())
			if got := k.keptAt(t); got != at {
				t.Fatalf("position %d is kept, want %d", got, at)
			}
		}
		if longest < 1<<19 || longest > 5<<18 {
			t.Errorf("the log came to %d bytes", longest)
		}
		must(t, v.Close())
		if len(k.told) > 0 {
			t.Errorf("told: %q", k.told)
		}
	})
}

func TestALogThatIsNotAsItWasWrittenIsUsedAsFarAsItIs(t *testing.T) {
	k := newKeeping(t)
	k.filled(t, 6)
	file, err := os.ReadFile(k.file())
	must(t, err)
	want := map[es.Position]string{}
	logName := filepath.Join(k.Dir, "log")
	note := func(v *memviews.Views) {
		p, err := v.Progress(t.Context())
		must(t, err)
		must(t, v.Open(t.Context(), 0))
		want[p.Checkpoint] = shown(t, v)
	}
	var log []byte
	var ends []int // of records
	for range 3 {  // each life leaves a record
		v := k.open(t)
		note(v)
		k.write(t, v, 2)
		note(v)
		must(t, v.Close())
		log, err = os.ReadFile(logName)
		must(t, err)
		ends = append(ends, len(log))
	}
	found := func(what string, log []byte, at es.Position, told bool) {
		t.Helper()
		must(t, os.WriteFile(k.file(), file, 0o600))
		must(t, os.WriteFile(logName, log, 0o600))
		v := k.open(t)
		defer func() { must(t, v.Close()) }()
		p, err := v.Progress(t.Context())
		must(t, err)
		must(t, v.Open(t.Context(), 0))
		if p.Checkpoint != at || shown(t, v) != want[at] || (len(k.told) > 0) != told {
			t.Errorf("%s: position %d, want %d, told %q\n%s\nwant\n%s", what, p.Checkpoint, at, k.told, shown(t, v), want[at])
		}
		k.told = nil
	}
	found("as it was", log, 12, false)
	for n := range log {
		at := es.Position(6)
		for _, end := range ends {
			if n >= end {
				at += 2
			}
		}
		found(fmt.Sprint("cut off after ", n), log[:n], at, !slices.Contains(ends, n) && n > 0)
		b := slices.Clone(log)
		b[n] ^= byte(1 + rand.IntN(255))
		found(fmt.Sprint("another byte ", n), b, at, true)
	}
	found("without its first record", log[ends[0]:], 6, true)
	found("without its second record", slices.Concat(log[:ends[0]], log[ends[1]:]), 8, true)
	found("twice", slices.Concat(log, log), 12, false)
	found("none", nil, 6, false)
}

func TestAFolderThatCannotBeWrittenIsSaidAndHoldsUpNothing(t *testing.T) {
	k := newKeeping(t)
	v := k.open(t)
	must(t, v.Open(t.Context(), 0))
	k.write(t, v, 3)
	must(t, os.Mkdir(filepath.Join(k.Dir, "views.unfinished"), 0o700))
	must(t, v.Close())
	if len(k.told) == 0 || !strings.Contains(k.told[0], "keep the views: ") {
		t.Errorf("told: %q", k.told)
	}
}
