package memviews

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"daybook/core/es"
)

// The file is written anew, while there is anything new, after so much time or so many events, and when the views are closed. All
// of these are what a start after a crash has to fold again at the most, about.
const (
	keepEvery  = 30 * time.Second
	keepEvents = 20_000
	keepShare  = 40 // of the time, one part in so many at the most goes into writing
	keepLook   = time.Second
)

// Names in the folder.
const (
	fileName = "views"
	tempName = "views.unfinished"
	lockName = "lock" // held by the process that uses the folder
)

// keeper keeps views in a file, behind those who write and read them.
type keeper struct {
	views  *Views
	dir    string
	shape  es.Hash
	failed func(what string, err error)
	lock   *os.File
	life   context.Context // of what it does behind its callers
	end    context.CancelFunc
	runs   sync.WaitGroup

	mu   sync.Mutex  // held while the file is put in place or taken away
	era  int         // counts how often it was taken away: what was made before is not put in place any more
	kept es.Position // that the file reflects
}

// keep takes the folder for this process, and from it the views, if they are of any use.
func (v *Views) keep(o *Options) error {
	k := &keeper{views: v, dir: o.Dir, shape: o.Registry.ViewsShape(), failed: o.Failed}
	if k.failed == nil {
		k.failed = func(string, error) {}
	}
	for _, name := range v.names {
		if s := v.views[name]; !s.sortable() {
			return fmt.Errorf("memviews: the view %s cannot be kept, for no field of it can be sorted by", name)
		}
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	var err error
	if k.lock, err = os.OpenFile(filepath.Join(k.dir, lockName), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := lock(k.lock); err != nil {
		return errors.Join(fmt.Errorf("another process keeps its views in %s; each needs a folder of its own: %w", k.dir, err), k.lock.Close())
	}
	switch err := v.readFile(k.path(fileName), k.shape); {
	case err == nil:
		k.kept = v.checkpoint
	case !errors.Is(err, fs.ErrNotExist):
		k.failed("use the views that were kept", fmt.Errorf("%s is passed over, and the views are filled anew; no figure is wrong: %w", k.path(fileName), err))
	}
	k.life, k.end = context.WithCancel(context.Background())
	k.runs.Go(k.run)
	v.keeper = k
	return nil
}

func (k *keeper) path(name string) string { return filepath.Join(k.dir, name) }

// run writes the file now and then.
func (k *keeper) run() {
	tick := time.NewTicker(keepLook)
	defer tick.Stop()
	ended := time.Now()
	var rest time.Time
	for {
		select {
		case <-tick.C:
		case <-k.life.Done():
			return
		}
		began, fresh := time.Now(), k.fresh()
		if fresh == 0 || began.Before(rest) || fresh < keepEvents && began.Sub(ended) < keepEvery {
			continue
		}
		err := k.save(k.life)
		ended = time.Now()
		rest = ended.Add(keepShare * ended.Sub(began))
		if err != nil && k.life.Err() == nil {
			rest = ended.Add(keepEvery)
			k.failed("keep the views", err)
		}
	}
}

// fresh is by how much the views differ from the file, in events.
func (k *keeper) fresh() es.Position {
	p, err := k.views.Progress(k.life)
	if err != nil || !p.Open {
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(p.Checkpoint, k.kept) - min(p.Checkpoint, k.kept)
}

// save writes the views as they are and puts the file in place, unless they were emptied or swapped meanwhile. One goroutine at a
// time does it.
func (k *keeper) save(ctx context.Context) error {
	k.mu.Lock()
	era := k.era
	k.mu.Unlock()
	s, err := k.views.read(ctx)
	if err != nil {
		return err
	}
	if s.hash == (es.Hash{}) { // it could not be held against a store
		return nil
	}
	temp := k.path(tempName)
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = k.views.writeFile(ctx, f, s, k.shape)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.era != era {
		return os.Remove(temp)
	}
	if err := os.Rename(temp, k.path(fileName)); err != nil {
		return err
	}
	k.kept = s.at
	return k.syncDir()
}

// drop takes the file away, before the views become others than those it was made of.
func (k *keeper) drop() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.era++
	k.kept = 0
	err := os.Remove(k.path(fileName))
	if err == nil {
		err = k.syncDir()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.failed("keep the views", fmt.Errorf("what was kept before cannot be removed: %w", err))
	}
}

// syncDir makes names durable.
func (k *keeper) syncDir() error {
	d, err := os.Open(k.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// close writes what is new and gives the folder back.
func (k *keeper) close() error {
	if k == nil {
		return nil
	}
	fresh := k.fresh()
	k.end()
	k.runs.Wait()
	if fresh > 0 {
		if err := k.save(context.Background()); err != nil {
			k.failed("keep the views", err)
		}
	}
	return k.lock.Close()
}
