package memviews

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

func TestWhatWasKeptOfViewsBeforeASwapIsNeverFoundAfterIt(t *testing.T) {
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	v, err := Open(Options{Registry: registry, Dir: t.TempDir(), Failed: func(what string, err error) { t.Error(what, err) }})
	must(err)
	defer func() { must(v.Close()) }()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	m := registry.Modules[0]
	at := es.Position(1)
	write := func(set ports.ViewSet, from es.Position, version es.Version) {
		var changes []ports.Change
		for _, id := range []string{"a", "b", "c"} {
			values := m.View.Values(id, &es.Folded{Version: version, State: account.Account{}})
			changes = append(changes, ports.Change{View: m.Name, Document: es.Document{ID: id, Version: version, Values: values}})
		}
		must(set.Write(t.Context(), 0, changes, from, at, es.Hash{1}))
	}
	write(v, 0, 1)
	must(v.Open(t.Context(), 0))
	var keeping sync.WaitGroup
	v.keeper.end() // the test is the one goroutine that keeps
	v.keeper.runs.Wait()
	keeping.Go(func() {
		for ctx.Err() == nil {
			if err := v.keeper.save(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for version := es.Version(2); version < 50; version++ {
		set, err := v.Beside(t.Context(), 0)
		must(err)
		write(set, 0, version)
		must(set.Open(t.Context(), 0))
		must(v.Swap(t.Context(), 0))
		found := New(registry)
		file, err := os.ReadFile(filepath.Join(v.keeper.dir, fileName))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		must(err)
		must(found.readFile(file, v.keeper.shape))
		if got := found.views[m.Name].byID["b"].Version; got != version {
			t.Fatalf("version %d is found after the swap to version %d", got, version)
		}
	}
	stop()
	keeping.Wait()
}
