package machine

import (
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"daybook/test/cluster"
	"daybook/test/faulttable"
)

var soak = flag.Duration("machine.soak", 8*time.Second, "for how long everything goes wrong, one thing after another")

// mishap is a fault of the soak.
type mishap struct {
	name string
	do   func()
}

// For a third of the time the program is ended as well. The life that it has then goes through all else, and gives back what it holds.
func TestAllThatCanGoWrongOneAfterAnotherLeavesEverythingRightAndMemoryFlat(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F66", faulttable.Embedded, again(), fmt.Sprint("-machine.soak=", *soak))
	if info, ok := debug.ReadBuildInfo(); !ok || !slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"}) {
		t.Skip("SKIPPED: without cgo the blocks that the store has in memory are in the heap, so that it tells nothing so soon")
	}
	w := start(t, place{env: []string{cluster.Thrifty}})
	var memory cluster.Soak
	leg := min(time.Minute, *soak/2)
	began := time.Now()
	for legs := 1; ; legs++ {
		seen, worst := map[string]int{}, cluster.Spell{}
		for begun := time.Now(); time.Since(begun) < leg; {
			all := w.gentle()
			if time.Since(began) < *soak/3 {
				all = append(all, w.deadly()...)
			}
			m := all[w.random.IntN(len(all))]
			w.load.Mark()
			m.do()
			w.load.Await(t, 200, patience)
			seen[m.name]++
			if s := w.load.Spell(); s.Silence > worst.Silence {
				worst = s
			}
		}
		t.Logf("%v; the worst: %v", seen, worst)
		if time.Since(began) >= *soak {
			w.load.Await(t, memory.Missing(w.program), 10*patience)
		}
		books := w.settle()
		memory.Rest(t, books, patience, w.program)
		w.load.Forget()
		if t.Failed() || time.Since(began) >= *soak && memory.Told(w.program) {
			break
		}
		w.begin(fmt.Sprintf("leg-%d-", legs), books.Head)
	}
	memory.Log(t, w.program)
	w.program.Stop()
	cluster.CheckVerified(t, w.program)
}

// gentle are the mishaps that a process lives through.
func (w *world) gentle() []mishap {
	return []mishap{
		{"the program stands still", func() {
			w.program.Signal(syscall.SIGSTOP)
			cluster.Pass(w.t.Context(), moment)
			w.program.Signal(syscall.SIGCONT)
		}},
		{"clients take connections", func() {
			leave := w.crowd()
			w.load.Await(w.t, 50, patience)
			leave()
		}},
		{"requests that are huge or deep", w.improper},
		{"a backup", func() {
			dir := filepath.Join(w.t.TempDir(), "backup")
			request(w.t, http.DefaultClient, http.MethodPost, w.program.URL()+"/v1/admin/backup?dir="+url.QueryEscape(dir))
			if err := os.RemoveAll(dir); err != nil {
				w.t.Error(err)
			}
		}},
	}
}

// deadly are those that end it.
func (w *world) deadly() []mishap {
	return []mishap{
		{"kill -9", func() {
			w.program.Kill()
			w.program.Start()
		}},
		{"an orderly stop", func() {
			w.program.Stop()
			w.program.Start()
		}},
	}
}
