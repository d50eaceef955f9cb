// Package memviews keeps the views in memory: documents by id, and for every field that can be sorted by, a tree of the
// documents in that order. It is generic over the field tables of es.View and knows no module by name. So that a start
// need not fill them anew, they can be kept in a folder behind their use; without one nothing is left when the process ends.
package memviews

import (
	"context"
	"errors"
	"sync"

	"github.com/tidwall/btree"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

var (
	errUnknownView = fault.New(fault.Internal, "unknown_view", "No module has a view of this name.")
	errDocument    = fault.New(fault.Internal, "bad_document", "The document does not have one value per field of its view.")
	errField       = fault.New(fault.Internal, "bad_field", "The view cannot be asked by this field.")
)

// Views is a ports.Views. The slices of values that it is given it keeps, and gives to readers; nobody may change them.
//
// Writers take turns and do what takes long (folding words, building indexes) before they lock readers out. A reader of
// one document locks as long as a look-up takes. A reader of lists takes a copy-on-write snapshot of the trees, made at
// most once between two writes, and then walks for as long as it likes without holding up anyone.
type Views struct {
	writing sync.Mutex // held by whoever changes anything; so a writer may read without mu

	mu         sync.RWMutex
	views      map[string]*documents
	names      []string // of the views, in the order of the registry
	checkpoint es.Position
	hash       es.Hash     // of the event there
	token      ports.Token // the highest of a writer
	open       bool
	closed     bool
	snapshot   *snapshot // of the documents as they are; nil until a reader wants one
	beside     *Views    // the set that is being built; nil: none

	keeper  *keeper   // nil: nothing is kept
	changed []changed // while they are open, since the keeper last took it
	unnoted bool      // they were written while they were closed
}

// Options say what the views are of, and where they are kept.
type Options struct {
	Registry *es.Registry
	// Dir is the folder in which they are kept; "" keeps nothing. It belongs to one process at a time, and to one store: what is
	// kept of another is filled anew.
	Dir    string
	Failed func(what string, err error) // told what went wrong behind the callers; nil: nobody is
}

// Open gives the views that are kept, closed to readers until Open, or empty ones where what is kept is of no use: cut off, damaged,
// or of another shape. It fails if another process uses the folder.
func Open(o Options) (*Views, error) {
	v := New(o.Registry)
	if o.Dir == "" {
		return v, nil
	}
	if err := v.keep(&o); err != nil {
		return nil, err
	}
	return v, nil
}

var _ ports.Views = (*Views)(nil)

// New gives empty views, one for each module of the registry, closed to readers until Open.
func New(registry *es.Registry) *Views {
	v := &Views{views: map[string]*documents{}}
	for _, m := range registry.Modules {
		v.names = append(v.names, m.Name)
		v.views[m.Name] = newDocuments(&m.View)
	}
	return v
}

// Shared is false: every process has its own.
func (v *Views) Shared() bool { return false }

// Reset empties the views.
func (v *Views) Reset(ctx context.Context, token ports.Token) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.unwritable(ctx, token); err != nil {
		return err
	}
	defer v.keeper.drop()()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.empty()
	v.giveUp()
	v.checkpoint, v.hash, v.open = 0, es.Hash{}, false
	return nil
}

func (v *Views) empty() {
	for name, d := range v.views {
		v.views[name] = newDocuments(d.view)
	}
	v.snapshot = nil
}

// Open builds all indexes at once, which is many times faster than one document at a time.
func (v *Views) Open(ctx context.Context, token ports.Token) error {
	v.writing.Lock()
	defer v.writing.Unlock()
	if err := v.unwritable(ctx, token); err != nil || v.open {
		return err
	}
	built, read := map[string][]*index{}, map[string]*btree.BTreeG[reading]{}
	for name, d := range v.views {
		built[name], read[name] = d.build()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, d := range v.views {
		d.sorted, d.read = built[name], read[name]
	}
	v.open = true
	return nil
}

// Progress does not wait for a writer's work, only for its last step.
func (v *Views) Progress(ctx context.Context) (ports.Progress, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	progress := ports.Progress{Checkpoint: v.checkpoint, Hash: v.hash, Open: v.open}
	if v.beside != nil {
		v.beside.mu.RLock()
		progress.Beside = v.beside.checkpoint
		v.beside.mu.RUnlock()
	}
	return progress, v.unusable(ctx)
}

// Get gives the checkpoint also when the document is not there or parked.
func (v *Views) Get(ctx context.Context, view, id string) (es.Document, es.Position, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if err := v.unreadable(ctx); err != nil {
		return es.Document{}, 0, err
	}
	d := v.views[view]
	if d == nil {
		return es.Document{}, 0, errUnknownView.Say("No module has a view named %q.", view)
	}
	e := d.byID[id]
	switch {
	case e == nil:
		return es.Document{}, v.checkpoint, ports.ErrNoDocument
	case e.Parked != "":
		return es.Document{}, v.checkpoint, ports.ErrViewParked.Because(errors.New(e.Parked))
	}
	return e.Document, v.checkpoint, nil
}

// Parked gives them view by view, by id.
func (v *Views) Parked(ctx context.Context, limit int) (parked []ports.ParkedDocument, count int, err error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if err := v.unusable(ctx); err != nil {
		return nil, 0, err
	}
	for _, name := range v.names {
		d := v.views[name]
		count += d.parked.Len()
		d.parked.Scan(func(e *entry) bool {
			if len(parked) >= limit {
				return false
			}
			parked = append(parked, ports.ParkedDocument{View: name, ID: e.ID, Reason: e.Parked})
			return true
		})
	}
	return parked, count, nil
}

// Close keeps the documents, where they are kept, and lets them go; later calls fail with ErrViewUnavailable.
func (v *Views) Close() error {
	v.writing.Lock()
	defer v.writing.Unlock()
	if v.closed {
		return nil
	}
	err := v.keeper.close()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.empty()
	v.giveUp()
	v.closed, v.open = true, false
	return err
}

// unusable is why nothing can be done.
func (v *Views) unusable(ctx context.Context) error {
	if v.closed {
		return ports.ErrViewUnavailable.Because(errors.New("memviews: closed"))
	}
	return ctx.Err()
}

// unwritable is why this writer can change nothing; writing is held.
func (v *Views) unwritable(ctx context.Context, token ports.Token) error {
	if err := v.unusable(ctx); err != nil {
		return err
	}
	if token < v.token {
		return ports.ErrCheckpointMoved
	}
	v.token = token
	return nil
}

// unreadable is why documents cannot be read.
func (v *Views) unreadable(ctx context.Context) error {
	if err := v.unusable(ctx); err != nil || v.open {
		return err
	}
	return ports.ErrViewRebuilding
}
