package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
	bucket *blob.Bucket
	folder string // that the bucket is; empty if it is none
}

func (b blobs) get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	r, err := b.bucket.NewRangeReader(ctx, name, offset, length, nil)
	if err != nil {
		return nil, b.missing(ctx, name, offset, err)
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
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
	writing, abort := context.WithCancel(ctx) // closing a writer whose context has ended drops what was written
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
	all := b.bucket.List(nil)
	for {
		object, err := all.Next(ctx)
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

func (b blobs) remove(ctx context.Context, name string) error { return b.bucket.Delete(ctx, name) }

func (b blobs) close() error { return b.bucket.Close() }
