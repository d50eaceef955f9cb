package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

// storage holds objects by name. An object that is not there is fs.ErrNotExist.
type storage interface {
	// get reads length bytes from the offset on, fewer where the object ends before; to its end if length is below zero.
	get(ctx context.Context, name string, offset, length int64) ([]byte, error)
	// put writes an object durably, in the place of what was there; half of it is never found under that name.
	put(ctx context.Context, name string, data []byte) error
	list(ctx context.Context) ([]string, error)
	remove(ctx context.Context, name string) error
	close() error
}

// blobs is a storage in a bucket.
type blobs struct {
	bucket   *blob.Bucket
	folder   string        // that the bucket is; empty if it is none
	patience time.Duration // for a storage that stands still
	slots    chan struct{} // of readings that may hang
}

// newBlobs is the storage in a bucket, which is the folder unless that is empty.
func newBlobs(bucket *blob.Bucket, folder string, patience time.Duration) blobs {
	return blobs{bucket, folder, patience, make(chan struct{}, aparts)}
}

// patience is for how long a storage may stand still in the middle of a request, as one does whose network swallows everything.
// Commands on old accounts wait for it, and all other commands behind them.
const patience = 5 * time.Second

// slowest is what an upload must get on by, in bytes a second.
const slowest = 100_000

var errStill = errors.New("nothing came from it for too long")

// watch gives a context that ends when nothing has come for as long as patience: whoever gets on calls on, and in the end stop.
func (b blobs) watch(ctx context.Context) (_ context.Context, on, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	still := time.AfterFunc(b.patience, func() { cancel(errStill) })
	return ctx, func() { still.Reset(b.patience) }, func() {
		still.Stop()
		cancel(nil)
	}
}

// stood says of an error in a watched context whether it is that nothing came. What the context's own error says is that of the caller.
func stood(watched context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(watched), errStill) {
		return errStill
	}
	return err
}

func (b blobs) get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	ctx, on, stop := b.watch(ctx)
	defer stop()
	data, err := apart(ctx, b.slots, func() ([]byte, error) {
		r, err := b.bucket.NewRangeReader(ctx, name, offset, length, nil)
		if err != nil {
			return nil, b.missing(ctx, name, offset, err)
		}
		data, err := io.ReadAll(steps{r, on})
		return data, errors.Join(err, r.Close())
	}, func([]byte) {})
	return data, stood(ctx, err)
}

// steps tells of each step of reading.
type steps struct {
	io.Reader
	on func()
}

func (s steps) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.on()
	return n, err
}

// missing tells what is not there from what cannot be reached. Some storages refuse to read from behind an object's end.
func (b blobs) missing(ctx context.Context, name string, offset int64, err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fs.ErrNotExist
	}
	if offset > 0 {
		if attributes, unseen := b.bucket.Attributes(ctx, name); unseen == nil && attributes.Size <= offset {
			return nil
		}
	}
	return err
}

func (b blobs) put(ctx context.Context, name string, data []byte) error {
	limit := 6*b.patience + time.Duration(len(data))*time.Second/slowest
	writing, abort := context.WithTimeout(ctx, limit) // closing a writer whose context has ended drops what was written
	defer abort()
	var file *os.File
	w, err := b.bucket.NewWriter(writing, name, &blob.WriterOptions{
		ContentType: contentType(name),
		BeforeWrite: func(as func(any) bool) error {
			if as(&file) {
				return file.Chmod(0o600)
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	if _, err = w.Write(data); err == nil && file != nil {
		err = file.Sync()
	}
	if err != nil {
		abort()
		return errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil || b.folder == "" {
		return err
	}
	return errors.Join(syncFolder(filepath.Dir(filepath.Join(b.folder, filepath.FromSlash(name)))), syncFolder(b.folder))
}

func contentType(name string) string {
	if name == manifestName {
		return "application/json"
	}
	return "application/zstd"
}

func syncFolder(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (b blobs) list(ctx context.Context) (names []string, err error) {
	ctx, on, stop := b.watch(ctx)
	defer stop()
	names, err = apart(ctx, b.slots, func() ([]string, error) { return b.names(ctx, on) }, func([]string) {})
	return names, stood(ctx, err)
}

// names lists the objects, and calls on with each.
func (b blobs) names(ctx context.Context, on func()) (names []string, err error) {
	all := b.bucket.List(nil)
	for {
		object, err := all.Next(ctx)
		on()
		switch {
		case errors.Is(err, io.EOF):
			return names, nil
		case b.folder != "" && gcerrors.Code(err) == gcerrors.NotFound: // a file got another name meanwhile
			names, all = nil, b.bucket.List(nil)
		case err != nil:
			return nil, err
		default:
			names = append(names, object.Key)
		}
	}
}

func (b blobs) remove(ctx context.Context, name string) error {
	ctx, _, stop := b.watch(ctx)
	defer stop()
	return stood(ctx, b.bucket.Delete(ctx, name))
}

// close waits for readings that are under way, but not for one that hangs.
func (b blobs) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), b.patience)
	defer cancel()
	closed := func() (struct{}, error) { return struct{}{}, b.bucket.Close() }
	_, err := apart(ctx, make(chan struct{}, 1), closed, func(struct{}) {})
	if ctx.Err() != nil {
		return nil
	}
	return err
}
