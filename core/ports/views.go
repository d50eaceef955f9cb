package ports

import (
	"context"

	"daybook/core/es"
	"daybook/core/fault"
)

// Faults of views.
var (
	// ErrNoDocument: there is no document with this id.
	ErrNoDocument = fault.New(fault.NotFound, "not_found", "There is nothing with this id.")
	// ErrViewRebuilding: the view is being filled from the store, and nobody is answered from a half-built view.
	ErrViewRebuilding = fault.New(fault.Unavailable, "view_rebuilding", "The view is being built from the store. History and commands go on meanwhile.")
	// ErrViewParked: the last events of this account could not be projected.
	ErrViewParked = fault.New(fault.Unavailable, "view_parked", "The view of this account is behind: one of its events could not be projected. Its history can be read.")
	// ErrViewUnavailable: the views cannot be reached.
	ErrViewUnavailable = fault.New(fault.Unavailable, "view_unavailable", "The views cannot be reached right now.")
	// ErrCheckpointMoved: another projector has written since, or has taken over.
	ErrCheckpointMoved = fault.New(fault.Conflict, "checkpoint_moved", "The view was written by another projector.")
)

// Views keeps one view of documents per module, and how far they reflect the store. It is a cache: it may be emptied and
// filled again at any time. All methods may be called concurrently; readers never see half of a Write. Those that change
// anything carry the writer's token: one below the highest that was seen is ErrCheckpointMoved, and nothing changes.
type Views interface {
	ViewSet
	// Shared reports whether other processes see the same views. Who writes to shared views must hold a lease for it.
	Shared() bool
	// Beside gives a second set of the same views, which is built while readers are answered from these: an empty closed one, or
	// the one that is there, as far as it was built. Of shared views every process finds the same. Nothing done to one of the sets
	// changes what the other one shows, but for two things: Reset of these views gives the set beside up, and Swap does.
	Beside(ctx context.Context, token Token) (ViewSet, error)
	// Swap puts the set beside in the place of these views, with its checkpoint, and removes what they were, all in one step for
	// readers. It fails with ErrCheckpointMoved, and changes nothing, if there is no set beside that is open and as far as these
	// views. What Beside gave before a Swap, or a Reset of these views, fails with ErrViewUnavailable afterwards.
	Swap(ctx context.Context, token Token) error
	// Close ends all use, also of the set beside: calls after it fail with ErrViewUnavailable. Closing twice is no error.
	Close() error
}

// ViewSet is one set of views, whoever reads it.
type ViewSet interface {
	// Reset empties all views, moves the checkpoint to zero and closes the views to readers until Open.
	Reset(ctx context.Context, token Token) error
	// Open lets readers in. Views that were never reset and opened are closed.
	Open(ctx context.Context, token Token) error
	// Progress is how far the views are and whether they are open. Views that somebody else has deleted, whole or in part, are
	// as if they had been reset.
	Progress(ctx context.Context) (Progress, error)
	// Write stores whole documents and moves the checkpoint from one position to another, all in one step. hash is that of the
	// event at to, which Progress gives back with it, or zero. A document whose version is below the stored one's changes nothing.
	// It fails with ErrCheckpointMoved, and writes nothing, if the checkpoint is not at from.
	Write(ctx context.Context, token Token, changes []Change, from, to es.Position, hash es.Hash) error
	// Get gives one document of a view and the checkpoint it was read at. ErrNoDocument: none has this id.
	// ErrViewParked: the document is parked; its Parked text is the fault's cause. ErrViewRebuilding: closed.
	Get(ctx context.Context, view, id string) (es.Document, es.Position, error)
	// List gives the documents that match, in the order asked for, and the checkpoint they were read at. Parked documents
	// are left out. A page that goes on After the last document of the one before repeats none and, while nothing is
	// written, misses none. ErrViewRebuilding: closed.
	List(ctx context.Context, view string, q Query) (Page, error)
	// Parked gives up to limit parked documents of all views, and how many there are.
	Parked(ctx context.Context, limit int) ([]ParkedDocument, int, error)
}

// Progress is how far views are.
type Progress struct {
	Checkpoint es.Position // every event up to here is reflected
	Hash       es.Hash     // of the event there, to see whether a store has the history they were made of; zero: it is not known
	Open       bool
	Beside     es.Position // the checkpoint of the set that is being built beside; zero if there is none
}

// Change is one whole document of a view.
type Change struct {
	View     string
	Document es.Document
}

// ParkedDocument says which document is parked and why.
type ParkedDocument struct{ View, ID, Reason string }

// Query asks for a page of documents.
type Query struct {
	Filters []Filter
	Words   []string // folded as es.Words does; each must equal or begin a word of a Search field
	Reader  string   // only documents that have it among their Readers; "": all
	Sort    int      // the field to sort by; ties are broken by id, in the same direction
	Desc    bool
	After   *Cursor // nil: from the start
	Limit   int
}

// Filter keeps documents whose field lies between Min and Max, both included; nil is open. Equality is Min = Max.
type Filter struct {
	Field    int
	Min, Max *es.Value
}

// Cursor is the place of the last document seen.
type Cursor struct {
	Key es.Value // its value in the field sorted by
	ID  string
}

// Page is what List gives.
type Page struct {
	Documents []es.Document
	More      bool // there are documents behind the last one
	At        es.Position
}
