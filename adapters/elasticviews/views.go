// Package elasticviews keeps the views in Elasticsearch, where several processes share them. One document of an index of its
// own says how far they are; the documents of a view are in an index per generation, and Reset begins the next one. It is
// generic over the field tables of es.View and knows no module by name.
//
// Nothing may be needed of the server but indices, templates, aliases, bulks, refreshes and searches: no scripts, no
// delete-by-query, no pipelines. What the server answers stays here: callers get the faults of core/ports.
package elasticviews

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

var (
	errOptions     = fault.New(fault.Invalid, "bad_elasticsearch_options", "The views in Elasticsearch cannot be set up like this.")
	errUnknownView = fault.New(fault.Internal, "unknown_view", "No module has a view of this name.")
	errDocument    = fault.New(fault.Internal, "bad_document", "The document does not have one value per field of its view.")
	errField       = fault.New(fault.Internal, "bad_field", "The view cannot be asked by this field.")
	errRefused     = fault.New(fault.Internal, "view_refused", "Elasticsearch refused what it was asked.")
)

// Options say where the views are.
type Options struct {
	URL       string // of one node, or of several with commas between; a user and password in it are sent along
	APIKey    string // as Elasticsearch encodes it; sent where the URL has no user
	Prefix    string // of the names of all indices, templates and aliases
	Registry  *es.Registry
	Logf      func(format string, args ...any) // what an operator should know; nil: nobody is told
	Transport http.RoundTripper                // nil: one of its own
}

// Views is a ports.Views. A Write stores its documents, shows them by one refresh, and then moves the checkpoint, so that
// readers, who ask for the checkpoint first, never get documents older than it.
//
// There are two limits. A server that crashes inside a Write shows what it has of it when it is back, until the projector has
// repeated the Write. And of two projectors that write at once without a lease, the one that fails may have stored documents:
// being no older than those that were there, they do no harm.
type Views struct {
	client
	registry *es.Registry
	prefix   string
	logf     func(format string, args ...any)
	indices  map[string]*index
	writing  chan struct{} // has room for the one that changes anything
	slot     string        // the id of the document that says how far this set is: progressName, or besideName
	retired  atomic.Bool   // this set was swapped or given up

	generation atomic.Int64 // as last read; 0: none was ever seen
	missed     atomic.Int64 // the generation whose loss was told

	mu    sync.Mutex
	next  *reading // what those who ask for the state now will get; nil: nobody does
	reads bool     // readOn runs

	beside *Views // the set beside, as this process knows it; nil: it does not
}

var _ ports.Views = (*Views)(nil)

// name is what Elasticsearch takes as part of an index's name.
const name = `^[a-z0-9][a-z0-9_-]{0,99}$`

// Open gives the views of a prefix. It does not ask the server anything: one that is down answers later calls with
// ErrViewUnavailable, and is used as soon as it is there.
func Open(_ context.Context, o Options) (*Views, error) {
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	valid := regexp.MustCompile(name)
	if !valid.MatchString(o.Prefix) {
		return nil, errOptions.Say("The prefix %q of the indices must be 1 to 100 of a-z 0-9 _ - and start with a letter or a digit.", o.Prefix)
	}
	v := &Views{
		registry: o.Registry, prefix: o.Prefix, logf: o.Logf,
		indices: map[string]*index{}, writing: make(chan struct{}, 1), slot: progressName,
	}
	for _, m := range o.Registry.Modules {
		x, err := newIndex(m)
		if err != nil {
			return nil, err
		}
		if !valid.MatchString(m.Name) || m.Name == progressName {
			return nil, errOptions.Say("No index can be named after the view %q.", m.Name)
		}
		v.indices[m.Name] = x
	}
	return v, v.connect(&o)
}

// Shared is true.
func (v *Views) Shared() bool { return true }

// Reset begins the next generation: empty indices, which the checkpoint then moves to. The ones before it go when it opens.
func (v *Views) Reset(ctx context.Context, token ports.Token) error {
	s, err := v.take(ctx, token)
	if err != nil {
		return err
	}
	defer v.leave()
	if _, err = v.begin(ctx, &s, token); err == nil {
		v.retire()
	}
	return err
}

// Open shows what was written, moves the aliases to it and removes the generations before it.
func (v *Views) Open(ctx context.Context, token ports.Token) error {
	s, err := v.take(ctx, token)
	if err != nil {
		return err
	}
	defer v.leave()
	switch {
	case s.whole && s.Open && s.Token == token:
		return nil
	case !s.whole && (s.stored || v.generation.Load() != 0):
		return ports.ErrCheckpointMoved.Say("The views were deleted, and must be filled before they can be opened.")
	case !s.whole:
		if s, err = v.begin(ctx, &s, token); err != nil {
			return err
		}
	}
	if s.Open {
		err = v.tidy(ctx, s.Generation) // after one that was killed before it had
	} else {
		err = v.show(ctx, &s)
	}
	if err != nil {
		return err
	}
	next := s.progress
	next.Open, next.Token = true, token
	_, err = v.move(ctx, &s, next)
	return err
}

// show makes all that was written visible, also to those who come by the aliases.
func (v *Views) show(ctx context.Context, s *state) error {
	var names []string
	for view := range v.indices {
		names = append(names, v.index(view, s.Generation))
	}
	if err := v.refresh(ctx, names); err != nil {
		return err
	}
	return v.tidy(ctx, s.Generation)
}

// tidy moves the aliases to a generation that readers see, and removes those before it.
func (v *Views) tidy(ctx context.Context, generation int64) error {
	if v.slot != progressName {
		return nil
	}
	return v.moveAliases(ctx, generation)
}

// take waits until nobody in this process writes, and gives the state that a writer with this token may change. Unless it
// fails, leave must follow.
func (v *Views) take(ctx context.Context, token ports.Token) (state, error) {
	if err := v.unusable(ctx); err != nil {
		return state{}, err
	}
	select {
	case v.writing <- struct{}{}:
	case <-ctx.Done():
		return state{}, ctx.Err()
	}
	s, err := v.read(ctx)
	if err == nil && s.stored && token < s.Token {
		err = ports.ErrCheckpointMoved.Say("Another projector has taken over: its token is %d, and %d is older.", s.Token, token)
	}
	if err != nil {
		v.leave()
	}
	return s, err
}

func (v *Views) leave() { <-v.writing }

// begin creates the indices of a new generation and moves the progress there. Its number follows the clock, so that none is
// ever used twice, whatever was deleted: who still writes to an old one finds nothing.
func (v *Views) begin(ctx context.Context, s *state, token ports.Token) (state, error) {
	generation := max(s.Generation, s.beside.Generation, v.generation.Load(), time.Now().UnixMicro()-1) + 1
	if err := v.create(ctx, generation); err != nil {
		return state{}, err
	}
	return v.move(ctx, s, progress{Token: token, Generation: generation})
}

// Progress asks for the checkpoint and, in the same request, whether the indices are there.
func (v *Views) Progress(ctx context.Context) (ports.Progress, error) {
	s, err := v.read(ctx)
	if err != nil || !s.whole {
		return ports.Progress{}, err
	}
	return ports.Progress{Checkpoint: s.Position, Hash: s.Hash, Open: s.progress.Open, Beside: s.beside.Position}, nil
}

// Close ends what is under way; later calls fail with ErrViewUnavailable.
func (v *Views) Close() error {
	v.end()
	return nil
}

// unusable is why nothing can be done.
func (v *Views) unusable(ctx context.Context) error {
	if v.life.Err() != nil {
		return ports.ErrViewUnavailable.Because(errors.New("elasticviews: closed"))
	}
	if v.retired.Load() {
		return ports.ErrViewUnavailable.Because(errors.New("elasticviews: these views were swapped or given up"))
	}
	return ctx.Err()
}

// index is the name of the index of a view's documents. The shape of the documents is part of it: to a build whose documents are
// of another shape the views are as if somebody had deleted them, and it fills its own. So neither writes into, nor answers from,
// what the other one keeps.
func (v *Views) index(view string, generation int64) string {
	return fmt.Sprintf("%s-%s-%d-%s", v.prefix, view, generation, v.indices[view].shape)
}

// alias is the name under which others find the documents of a view.
func (v *Views) alias(view string) string { return v.prefix + "-" + view }
