package ports

import (
	"context"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
)

// Faults of an archive.
var (
	// ErrArchiveUnavailable: nothing was read or added; a retry is safe.
	ErrArchiveUnavailable = fault.New(fault.Unavailable, "archive_unavailable", "The archive cannot be reached right now; nothing was done.")
	// ErrArchiveMissing: events that are needed were moved away, and no archive that holds them is at hand.
	ErrArchiveMissing = fault.New(fault.Unavailable, "archive_missing", "The oldest events of this ledger were moved to an archive that is not at hand.")
	// ErrArchiveDamaged: what lies in the archive is not what was put there.
	ErrArchiveDamaged = fault.New(fault.Internal, "archive_damaged", "A part of the archive is damaged or missing.")
)

// ArchiveSegment is how many events one segment of an archive holds at the most; it holds full nodes of the tree alone.
const ArchiveSegment = 1 << 16

// Archive holds the oldest events of a store, from the first one on, byte for byte as they were stored. Events are only ever added to
// it. All methods may be called concurrently, also by several processes, but one at a time adds. Errors are faults:
// ErrArchiveUnavailable, ErrArchiveDamaged, which says which file and which positions are meant, or ErrArchiveMissing for events
// that it does not hold.
type Archive interface {
	// End is the position of the last event it holds, zero in an empty archive, also when another process has added it.
	End(ctx context.Context) (es.Position, error)
	// Add adds the events that follow End, as many as make full nodes of level 1 of the tree, and ArchiveSegment at the most; it refuses
	// others (ErrBatchRefused). When it returns nil they have been written durably, read back from there, and were the same. An
	// error, or a crash, leaves the archive as it was, or with all of them.
	Add(ctx context.Context, events []es.Recorded) error
	// Read gives the events at the positions, which rise. Each is checked against the file's own hashes.
	Read(ctx context.Context, at []es.Position) ([]es.Recorded, error)
	// PositionAt is the position of the last of its events recorded at or before t, zero if there is none. It does not scan.
	PositionAt(ctx context.Context, t time.Time) (es.Position, error)
	// Check reads every file whole and compares it with the hash kept of it; done is told the position it has got to.
	Check(ctx context.Context, done func(es.Position)) error
	// Healthy is nil if it can be used now. It asks for little, however much the archive holds.
	Healthy(ctx context.Context) error
	// Close ends all use. Closing twice is no error.
	Close() error
}
