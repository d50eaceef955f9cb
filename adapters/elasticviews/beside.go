package elasticviews

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"

	"daybook/core/ports"
)

// besideName is the id of the progress of the set beside. It stands in the same index; its generation is above that of the views
// for as long as there is such a set: a Swap makes it theirs, and so does a Reset, which begins one above it.
const besideName = "beside"

// readBeside takes the progress of the set beside, if there is one.
func (s *state) readBeside(i *item) error {
	if !i.Found {
		return nil
	}
	var p progress
	if err := json.Unmarshal(i.Source, &p); err != nil {
		return errRefused.Because(fmt.Errorf("elasticviews: the progress %s in %s cannot be read: %w", besideName, i.Index, err))
	}
	if p.Generation > s.Generation {
		s.beside = p
	}
	return nil
}

// Beside gives the set that any process has begun, or begins one.
func (v *Views) Beside(ctx context.Context, token ports.Token) (ports.ViewSet, error) {
	s, err := v.take(ctx, token)
	if err != nil {
		return nil, err
	}
	defer v.leave()
	switch {
	case !s.whole:
		s, err = v.begin(ctx, &s, token)
	case s.Token != token:
		next := s.progress
		next.Token = token
		s, err = v.move(ctx, &s, next)
	}
	if err != nil {
		return nil, err
	}
	b := v.besides()
	bs, err := b.take(ctx, token)
	if err != nil {
		return nil, err
	}
	defer b.leave()
	switch {
	case !bs.whole || bs.Generation <= s.Generation:
		bs.Generation = max(bs.Generation, s.Generation)
		_, err = b.begin(ctx, &bs, token)
	case bs.Token != token:
		next := bs.progress
		next.Token = token
		_, err = b.move(ctx, &bs, next)
	}
	return b, err
}

// besides gives the set beside as this process knows it.
func (v *Views) besides() *Views {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.beside == nil {
		v.beside = &Views{
			client: v.client, registry: v.registry, prefix: v.prefix, logf: v.logf, indices: v.indices,
			writing: make(chan struct{}, 1), slot: besideName,
		}
	}
	return v.beside
}

// retire ends the use of the set beside in this process.
func (v *Views) retire() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.beside != nil {
		v.beside.retired.Store(true)
		v.beside = nil
	}
}

// Swap moves the progress to the generation beside, which is the one step that readers see. The indices before it go afterwards,
// or when the views are opened next.
func (v *Views) Swap(ctx context.Context, token ports.Token) error {
	s, err := v.take(ctx, token)
	if err != nil {
		return err
	}
	defer v.leave()
	b := v.besides()
	bs, err := b.take(ctx, token)
	if err != nil {
		return err
	}
	defer b.leave()
	if !bs.whole || !bs.Open || bs.Generation <= s.Generation || bs.Position < s.Position {
		return ports.ErrCheckpointMoved.Say("No views stand beside these that are open and as far as these are, at position %d.", s.Position)
	}
	if _, err := v.move(ctx, &s, progress{Position: bs.Position, Hash: bs.Hash, Open: true, Token: token, Generation: bs.Generation}); err != nil {
		return err
	}
	// gofail: var elasticMidSwap struct{}
	v.retire()
	if err := v.tidy(ctx, bs.Generation); err != nil {
		v.logf("elasticviews: the views of %s before the swap could not be removed; they go when the views are opened next: %v", v.prefix, err)
	}
	return nil
}
