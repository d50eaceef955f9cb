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

// What is new goes to the end of the log so often, and when the views are closed: what a start after a crash has to fold again is what
// came after that. When the log is longer than the file, the file is written anew.
const (
	keepEvery = 250 * time.Millisecond
	keepAgain = 30 * time.Second // after a failure
	logLeast  = 1 << 20          // bytes; a log that is shorter is no reason to write the file
)

// Names in the folder.
const (
	fileName = "views"
	tempName = "views.unfinished"
	logName  = "log"
	lockName = "lock" // held by the process that uses the folder
)

// keeper keeps views in a file and a log, behind those who write and read them.
type keeper struct {
	views  *Views
	dir    string
	shape  es.Hash
	failed func(what string, err error)
	lock   *os.File
	life   context.Context // of what it does behind its callers
	end    context.CancelFunc
	runs   sync.WaitGroup

	mu       sync.Mutex // held while either is changed
	log      *os.File
	size     int64 // of the log
	fileSize int64
	kept     point // what both reflect together
	whole    bool  // the file must be written, for it lacks what the log does not have
	era      int   // counts how often both were taken away: a file made before is not put in place any more
}

// keep takes the folder for this process, and from it the views, if they are of any use.
func (v *Views) keep(o *Options) (err error) {
	k := &keeper{views: v, dir: o.Dir, shape: o.Registry.ViewsShape(), failed: o.Failed}
	if k.failed == nil {
		k.failed = func(string, error) {}
	}
	for _, name := range v.names {
		if !v.views[name].sortable() {
			return fmt.Errorf("memviews: the view %s cannot be kept, for no field of it can be sorted by", name)
		}
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	if k.lock, err = os.OpenFile(k.path(lockName), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := lock(k.lock); err != nil {
		return errors.Join(fmt.Errorf("another process keeps its views in %s; each needs a folder of its own: %w", k.dir, err), k.lock.Close())
	}
	if k.log, err = os.OpenFile(k.path(logName), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return errors.Join(err, k.lock.Close())
	}
	if err := k.read(); err != nil {
		return errors.Join(err, k.log.Close(), k.lock.Close())
	}
	k.life, k.end = context.WithCancel(context.Background())
	k.runs.Go(k.run)
	v.keeper = k
	return nil
}

func (k *keeper) path(name string) string { return filepath.Join(k.dir, name) }

// read takes over what is kept, and leaves in the log what was of use.
func (k *keeper) read() error {
	file, err := os.ReadFile(k.path(fileName))
	if err == nil {
		k.fileSize = int64(len(file))
		err = k.views.readFile(file, k.shape)
	}
	used := 0
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		k.failed("use the views that were kept", fmt.Errorf("%s is passed over, and the views are filled anew; no figure is wrong: %w", k.path(fileName), err))
	default:
		log, err := os.ReadFile(k.path(logName))
		if err != nil {
			return err
		}
		if used, err = k.views.readLog(log); err != nil {
			k.failed("use the views that were kept", fmt.Errorf("%s is passed over behind position %d, and the views go on from there; no figure is wrong: %w",
				k.path(logName), k.views.checkpoint, err))
		}
	}
	k.kept = point{k.views.checkpoint, k.views.hash}
	k.whole = k.kept.at == 0
	k.size = int64(used)
	return k.log.Truncate(k.size)
}

// run keeps what is new until the views are closed.
func (k *keeper) run() {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	var rest time.Time
	for {
		select {
		case <-tick.C:
		case <-k.life.Done():
			return
		}
		if time.Now().Before(rest) {
			continue
		}
		if err := k.save(k.life); err != nil && k.life.Err() == nil {
			rest = time.Now().Add(keepAgain)
			k.failed("keep the views", err)
		}
	}
}

// save keeps what is new. One goroutine at a time does it.
func (k *keeper) save(ctx context.Context) error {
	k.mu.Lock()
	whole := k.whole || k.size > max(k.fileSize, logLeast)
	if !whole {
		defer k.mu.Unlock()
		return k.append()
	}
	era := k.era
	k.whole = true // until it is there: what was new is forgotten when it is begun
	k.mu.Unlock()
	s := k.views.whole()
	if s == nil || s.hash == (es.Hash{}) { // closed to readers, or it could not be held against a store
		return nil
	}
	return k.replace(ctx, s, era)
}

// append adds a record to the log; mu is held.
func (k *keeper) append() error {
	to, all, ok := k.views.news()
	if !ok || to.hash == (es.Hash{}) {
		k.whole = true
		return nil
	}
	if to == k.kept {
		k.whole = len(all) > 0 // a record must lead on
		return nil
	}
	record := k.views.appendRecord(nil, k.kept, to, all)
	if _, err := k.log.Write(record); err != nil {
		k.whole = true
		return errors.Join(err, k.log.Truncate(k.size))
	}
	// gofail: var memviewsMidKeep struct{}
	k.size += int64(len(record))
	k.kept = to
	return nil
}

// replace writes the file and puts it in place, unless the views were emptied or swapped meanwhile.
func (k *keeper) replace(ctx context.Context, s *snapshot, era int) error {
	temp := k.path(tempName)
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = k.views.writeFile(ctx, f, s, k.shape)
	if err == nil {
		err = f.Sync()
	}
	info, failed := f.Stat()
	if err = errors.Join(err, failed, f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.era != era {
		return os.Remove(temp)
	}
	// gofail: var memviewsBeforeRename struct{}
	if err := os.Rename(temp, k.path(fileName)); err != nil {
		return err
	}
	// gofail: var memviewsAfterRename struct{}
	if err := errors.Join(k.syncDir(), k.log.Truncate(0)); err != nil {
		return err
	}
	k.fileSize, k.size, k.kept, k.whole = info.Size(), 0, point{s.at, s.hash}, false
	return nil
}

// drop takes both away, before the views become others than those they were made of; call done when they have.
func (k *keeper) drop() (done func()) {
	if k == nil {
		return func() {}
	}
	k.mu.Lock()
	k.era++
	k.whole, k.size, k.kept = true, 0, point{}
	err := k.log.Truncate(0)
	if failed := os.Remove(k.path(fileName)); !errors.Is(failed, fs.ErrNotExist) {
		err = errors.Join(err, failed, k.syncDir())
	}
	if err != nil {
		k.failed("keep the views", fmt.Errorf("what was kept before cannot be removed: %w", err))
	}
	return k.mu.Unlock
}

// syncDir makes names durable.
func (k *keeper) syncDir() error {
	d, err := os.Open(k.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// close keeps what is new and gives the folder back.
func (k *keeper) close() error {
	if k == nil {
		return nil
	}
	k.end()
	k.runs.Wait()
	if err := errors.Join(k.save(context.Background()), k.log.Sync()); err != nil {
		k.failed("keep the views", err)
	}
	return errors.Join(k.log.Close(), k.lock.Close())
}
