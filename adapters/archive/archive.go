// Package archive keeps the oldest events of a ledger in files: in a folder, or in an object storage that speaks S3. Segments
// are lines of JSON, compressed, that anybody can read with zstd and jq; a manifest with their hashes makes them an archive.
// docs/archive.md says how they look. Over puts an archive behind a store, so that what the store has forgotten is still read
// from it. When events are moved, and which ones, may not live here.
package archive

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"daybook/core/es"
	"daybook/core/ports"
)

// How much is kept in memory of what was read, in bytes.
const (
	roomForFrames  = 32 << 20
	roomForIndexes = 4 << 20
)

// Archive is a ports.Archive in a storage. Open makes one.
type Archive struct {
	storage storage
	where   string // its URL, without what may be secret
	pack    *zstd.Encoder
	unpack  *zstd.Decoder

	adding  sync.Mutex
	known   atomic.Pointer[manifest] // as it was read last; nil until it was found
	frames  *recent[[]es.Recorded]   // by the number of their node of the tree
	indexes *recent[*index]          // by the first position of their segment
	closing sync.Once
	closed  atomic.Bool
}

// frameRoom is more than the events of a frame take. A frame that says it needs more is not given it.
const frameRoom = 64 << 20

func newArchive(s storage, where string) (*Archive, error) {
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true), zstd.WithEncoderLevel(zstd.SpeedBetterCompression))
	if err != nil {
		return nil, err
	}
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(frameRoom))
	if err != nil {
		return nil, err
	}
	return &Archive{
		storage: s, where: where, pack: pack, unpack: unpack,
		frames: newRecent[[]es.Recorded](roomForFrames), indexes: newRecent[*index](roomForIndexes),
	}, nil
}

// End implements ports.Archive.
func (a *Archive) End(ctx context.Context) (es.Position, error) {
	m, err := a.load(ctx)
	if err != nil {
		return 0, err
	}
	return m.end(), nil
}

// load reads the manifest. In an empty place it is one without segments.
func (a *Archive) load(ctx context.Context) (*manifest, error) {
	text, err := a.get(ctx, manifestName, 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		var used bool
		if used, err = a.used(ctx); err != nil {
			return nil, err
		}
		text, err = a.get(ctx, manifestName, 0, -1) // again: there is one before the first segment is there
		if errors.Is(err, fs.ErrNotExist) && used {
			return nil, damagedManifest("it is missing, and without it the segments do not count. Bring it back from a copy")
		}
		if errors.Is(err, fs.ErrNotExist) {
			return &manifest{}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(text)
	if err == nil {
		a.known.Store(m)
	}
	return m, err
}

// used reports whether there is, or was, anything in the place.
func (a *Archive) used(ctx context.Context) (bool, error) {
	names, err := a.list(ctx)
	return a.known.Load() != nil || slices.ContainsFunc(names, segmentName.MatchString), err
}

// holding gives a manifest that reaches the position, if there is one by now.
func (a *Archive) holding(ctx context.Context, p es.Position) (*manifest, error) {
	if m := a.known.Load(); m != nil && p <= m.end() {
		return m, a.usable(ctx)
	}
	m, err := a.load(ctx)
	if err == nil && p > m.end() {
		err = ports.ErrArchiveMissing.Say("The event at position %d is needed, and the archive %s ends at position %d.", p, a.where, m.end())
	}
	return m, err
}

// PositionAt implements ports.Archive.
func (a *Archive) PositionAt(ctx context.Context, t time.Time) (es.Position, error) {
	m := a.known.Load()
	if m == nil || m.end() == 0 || !t.Before(m.Segments[len(m.Segments)-1].LastAt) {
		var err error
		if m, err = a.load(ctx); err != nil {
			return 0, err
		}
	}
	s := m.segmentAt(t)
	if s == nil || !t.Before(s.LastAt) {
		return s.lastPosition(), a.usable(ctx)
	}
	x, err := a.index(ctx, s)
	if err != nil {
		return 0, err
	}
	n := x.frameAt(t)
	events, err := a.read(ctx, s, n, n)
	if err != nil {
		return 0, err
	}
	return lastAt(events[0], t), nil
}

// Healthy implements ports.Archive.
func (a *Archive) Healthy(ctx context.Context) error {
	_, err := a.get(ctx, manifestName, 0, 0)
	if errors.Is(err, fs.ErrNotExist) { // well if there never was one
		_, err = a.load(ctx)
	}
	return err
}

// Close implements ports.Archive.
func (a *Archive) Close() (err error) {
	a.closing.Do(func() {
		a.closed.Store(true)
		err = a.storage.close()
	})
	return err
}

// get reads a part of an object. Its error is a fault, the context's, or fs.ErrNotExist.
func (a *Archive) get(ctx context.Context, name string, offset, length int64) ([]byte, error) {
	if err := a.usable(ctx); err != nil {
		return nil, err
	}
	data, err := a.storage.get(ctx, name, offset, length)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = a.failed(ctx, "reading "+name, err)
	}
	return data, err
}

func (a *Archive) list(ctx context.Context) ([]string, error) {
	names, err := a.storage.list(ctx)
	if err != nil {
		err = a.failed(ctx, "listing what is there", err)
	}
	return names, err
}

// usable gives the reason why a call cannot go on: the archive is closed or the caller's context has ended.
func (a *Archive) usable(ctx context.Context) error {
	if a.closed.Load() {
		return ports.ErrArchiveUnavailable.Say("The archive %s is closed.", a.where)
	}
	return ctx.Err()
}

// failed says which step did not work. Why is for logs.
func (a *Archive) failed(ctx context.Context, step string, err error) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	return ports.ErrArchiveUnavailable.Say("The archive %s cannot be used right now: %s failed.", a.where, step).Because(err)
}
