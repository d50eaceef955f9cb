package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Footprint is what a process holds that it must give back.
type Footprint struct {
	Goroutines int64
	Files      int64 // that are open, connections among them, but for the tables of an embedded store, which grows
	Heap       int64 // bytes that could still be reached when garbage was collected last
	Resident   int64 // bytes of memory, caches and what is not yet given back among them
	Collected  int64 // how often garbage was collected
}

func (f Footprint) String() string {
	return fmt.Sprintf("%d goroutines, %d files, a heap of %.1f MiB, %.0f MiB resident", f.Goroutines, f.Files, float64(f.Heap)/(1<<20), float64(f.Resident)/(1<<20))
}

// By how much a process may hold more at rest than at its first rest. A fault leaves a pool of connections as full as it may get: 14 to
// PostgreSQL, and one for each request that was with Elasticsearch at once, which stay for a while, with two goroutines each. What leaks
// with each request of a fault is hundreds.
const (
	moreGoroutines = 40
	moreFiles      = 20
)

// Footprint is what the process says of itself.
func (p *Program) Footprint(ctx context.Context) (f Footprint, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+"/metrics", http.NoBody)
	if err != nil {
		return f, err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return f, err
	}
	defer res.Body.Close()
	wanted := map[string]*int64{
		"go_goroutines": &f.Goroutines, "process_open_fds": &f.Files, "go_gc_heap_live_bytes": &f.Heap,
		"process_resident_memory_bytes": &f.Resident, "go_gc_duration_seconds_count": &f.Collected,
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if into := wanted[name]; into != nil {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return f, fmt.Errorf("%s: %w", lines.Text(), err)
			}
			*into = int64(n)
			delete(wanted, name)
		}
	}
	if len(wanted) > 0 {
		return f, fmt.Errorf("the metrics of %s (%s) say nothing of %d figures: %w", p.name, res.Status, len(wanted), lines.Err())
	}
	f.Files -= p.tables()
	return f, nil
}

// tables is how many tables of an embedded store are open, where the system tells.
func (p *Program) tables() (n int64) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.Pid())) // the pattern is right
	for _, f := range files {
		if name, err := os.Readlink(f); err == nil && strings.Contains(name, ".sst") {
			n++
		}
	}
	return n
}

// AtRest is what the process holds when nothing is left of the last requests: the least heap of a few collections of garbage, which
// come of asking. What it is asked for is little, as some of it is in the heap while garbage is collected.
func (p *Program) AtRest(t testing.TB, limit time.Duration) (least Footprint) {
	t.Helper()
	const collections = 5
	first := Footprint{}
	Within(t, limit, "garbage of "+p.name+" is collected", func(ctx context.Context) error {
		for ctx.Err() == nil {
			f, err := p.Footprint(ctx)
			switch {
			case err != nil:
				return err
			case first.Collected == 0:
				first = f
			case f.Collected > first.Collected && (least.Heap == 0 || f.Heap < least.Heap):
				least = f
			case f.Collected > first.Collected+collections:
				return nil
			}
			_ = Get(ctx, p.URL()+"/v1/events?limit=10", nil) // for the garbage that it makes; not every role answers it
		}
		return ctx.Err()
	})
	return least
}

// running are the processes that live and listen.
func (c *Cluster) running() (all []*Program) {
	for _, p := range c.programs {
		if p.cmd != nil && p.cmd.ProcessState == nil && p.URL() != "" {
			all = append(all, p)
		}
	}
	return all
}

// Rest notes what each process holds, while nobody uses it: what it comes back to after a fault.
func (c *Cluster) Rest(limit time.Duration) {
	c.t.Helper()
	for _, p := range c.running() {
		Within(c.t, limit, p.name+" is ready", func(ctx context.Context) error {
			err := Get(ctx, p.URL()+"/readyz", nil)
			if err == nil {
				p.rest, err = p.Footprint(ctx)
				p.rested = p.Pid()
			}
			return err
		})
	}
}

// checkFootprints waits until each process that lives since its first rest holds what it held then, and nothing unfinished lies about. Of
// a process that began its life later this is the first rest.
func (c *Cluster) checkFootprints(limit time.Duration) {
	c.t.Helper()
	for _, p := range c.running() {
		var now Footprint
		Within(c.t, limit, p.name+" gives back what it holds", func(ctx context.Context) (err error) {
			transport.CloseIdleConnections() // they are ours
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			if now, err = p.Footprint(ctx); err != nil {
				return err
			}
			if p.rested == p.Pid() && (now.Goroutines > p.rest.Goroutines+moreGoroutines || now.Files > p.rest.Files+moreFiles) {
				return fmt.Errorf("at first it held %v, now %v", p.rest, now)
			}
			return nil
		})
		if p.rested != p.Pid() {
			p.rested, p.rest = p.Pid(), now
		} else {
			c.t.Logf("%s held %v at first, and now %v", p.name, p.rest, now)
		}
		Within(c.t, limit, p.name+" leaves no unfinished file", func(context.Context) error {
			left, err := p.unfinished()
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("there are %v", left)
			}
			return err
		})
	}
}

// temporary is where the process is told to put what it needs for a while.
func (p *Program) temporary() string { return filepath.Join(p.dir, "tmp") }

// unfinished are the files of the process that are there for a while only: all of its temporary folder, and those with such a name
// beside and in its store.
func (p *Program) unfinished() (left []string, err error) {
	folders := []string{p.dir}
	for _, e := range p.env {
		if path, is := strings.CutPrefix(e, "DAYBOOK_STORE_PEBBLE_PATH="); is {
			folders = append(folders, filepath.Dir(path))
		}
	}
	for _, folder := range folders {
		err = errors.Join(err, filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist): // it was removed meanwhile
				return nil
			case err != nil:
				return err
			case filepath.Dir(path) == p.temporary(), slices.Contains([]string{".tmp", ".dbtmp", ".new", ".partial"}, filepath.Ext(path)),
				strings.HasPrefix(filepath.Base(path), "daybook-selftest-"):
				left = append(left, path)
			}
			return nil
		}))
	}
	return left, err
}
