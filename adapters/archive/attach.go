package archive

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// Attached is the archive of a store, which may be out of reach when a process starts, and later. Until it was reached and is that of
// the store (Match), nothing is read from it and nothing added: every call fails at once with what the last Try failed with. A call that
// cannot reach it any more leads back there, so that one alone waits for a storage that does not answer. Attach makes one.
type Attached struct {
	store  ports.Store
	open   func(context.Context) (*Archive, error)
	trying sync.Mutex
	closed bool // under trying
	stand  atomic.Pointer[stand]
	lost   chan error
	slot   chan struct{} // of the one who opens it
}

var _ ports.Archive = (*Attached)(nil)

// stand is how things stand: the archive, if it was ever opened, and why it is not used now.
type stand struct {
	archive *Archive
	why     error // nil: it is used
}

// Attach gives the archive at a URL (see Open) as that of the store, and does not look for it yet: that is what Try is for.
func Attach(store ports.Store, address string) *Attached {
	return attach(store, func(ctx context.Context) (*Archive, error) { return Open(ctx, address) })
}

func attach(store ports.Store, open func(context.Context) (*Archive, error)) *Attached {
	a := &Attached{store: store, open: open, lost: make(chan error, 1), slot: make(chan struct{}, 1)}
	a.stand.Store(&stand{why: ports.ErrArchiveUnavailable.Say("The archive was not reached yet.")})
	return a
}

// Lost tells, by the error of the call that found it, that the archive is out of reach since the last Try that succeeded.
func (a *Attached) Lost() <-chan error { return a.lost }

// Try opens the archive and holds it against the store, unless it is in use. Its error is ErrArchiveUnavailable when
// that is to be tried again, or one of the store; else the archive, or where it is to lie, is the wrong one: ErrPlace, ErrForeign,
// ErrArchiveMissing or ErrArchiveDamaged. A folder that is missing or empty, although events were moved there, counts as the place of
// a disk that is not mounted, and so as out of reach.
func (a *Attached) Try(ctx context.Context) error {
	a.trying.Lock()
	defer a.trying.Unlock()
	now := a.stand.Load()
	if now.why == nil || a.closed {
		return now.why
	}
	found, err := now.archive, error(nil)
	if found == nil {
		found, err = a.find(ctx)
	} else if err = Match(ctx, a.store, found); err != nil {
		err = outOfReach(ctx, err)
	}
	a.stand.Store(&stand{found, refused(err)})
	return err
}

// find opens the archive for the first time.
func (a *Attached) find(ctx context.Context) (*Archive, error) {
	found, err := apart(ctx, a.slot, func() (*Archive, error) { return a.open(ctx) }, func(late *Archive) { _ = late.Close() })
	if errors.As(err, new(missingFolder)) {
		return nil, a.unmounted(ctx, err)
	}
	if err != nil {
		return nil, outOfReach(ctx, err)
	}
	if err := Match(ctx, a.store, found); err != nil {
		return nil, errors.Join(outOfReach(ctx, err), found.Close())
	}
	return found, nil
}

// unmounted tells a folder that was never made from one that was there.
func (a *Attached) unmounted(ctx context.Context, missing error) error {
	archived, err := a.store.Archived(ctx)
	if err != nil || archived == 0 {
		return errors.Join(missing, err)
	}
	return ports.ErrArchiveUnavailable.Say("The folder of the archive is missing, and the events of this ledger up to position %d were moved there: is its disk mounted?", archived)
}

// outOfReach is for an archive that did not answer for as long as it was waited for: whatever the error is then, it says no more.
func outOfReach(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ports.ErrArchiveUnavailable.Say("The archive does not answer.").Because(err)
	}
	return err
}

// refused is why a wrong archive is not read, for those who would read it.
func refused(err error) error {
	if errors.Is(err, ErrForeign) || errors.Is(err, ErrPlace) {
		return ports.ErrArchiveMissing.Say("What archive.url names is not the archive of this ledger, and nothing is read from it.").Because(err)
	}
	return err
}

// use calls the archive, if it is in use, and looks whether it still was reached.
func (a *Attached) use(call func(*Archive) error) error {
	now := a.stand.Load()
	if now.why != nil {
		return now.why
	}
	err := call(now.archive)
	if errors.Is(err, ports.ErrArchiveUnavailable) && a.stand.CompareAndSwap(now, &stand{now.archive, err}) {
		select {
		case a.lost <- err:
		default: // nobody has heard of the time before
		}
	}
	return err
}

// End implements ports.Archive.
func (a *Attached) End(ctx context.Context) (end es.Position, err error) {
	err = a.use(func(archive *Archive) (err error) {
		end, err = archive.End(ctx)
		return err
	})
	return end, err
}

// Add implements ports.Archive.
func (a *Attached) Add(ctx context.Context, events []es.Recorded) error {
	return a.use(func(archive *Archive) error { return archive.Add(ctx, events) })
}

// Read implements ports.Archive.
func (a *Attached) Read(ctx context.Context, at []es.Position) (events []es.Recorded, err error) {
	err = a.use(func(archive *Archive) (err error) {
		events, err = archive.Read(ctx, at)
		return err
	})
	return events, err
}

// PositionAt implements ports.Archive.
func (a *Attached) PositionAt(ctx context.Context, t time.Time) (p es.Position, err error) {
	err = a.use(func(archive *Archive) (err error) {
		p, err = archive.PositionAt(ctx, t)
		return err
	})
	return p, err
}

// Check implements ports.Archive.
func (a *Attached) Check(ctx context.Context, done func(es.Position)) error {
	return a.use(func(archive *Archive) error { return archive.Check(ctx, done) })
}

// Healthy implements ports.Archive.
func (a *Attached) Healthy(ctx context.Context) error {
	return a.use(func(archive *Archive) error { return archive.Healthy(ctx) })
}

// Close implements ports.Archive.
func (a *Attached) Close() error {
	a.trying.Lock()
	defer a.trying.Unlock()
	a.closed = true
	now := a.stand.Swap(&stand{why: ports.ErrArchiveUnavailable.Say("The archive is closed.")})
	if now.archive == nil {
		return nil
	}
	return now.archive.Close()
}
