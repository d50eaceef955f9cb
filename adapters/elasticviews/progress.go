package elasticviews

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/go-json-experiment/json"

	"daybook/core/es"
	"daybook/core/ports"
)

// progressName is both the end of the name of the progress' index and the id of its only document.
const progressName = "progress"

// progress is how far the views are, as it is stored. Every change of it is made by compare-and-set.
type progress struct {
	Position   es.Position `json:"position"`
	Hash       es.Hash     `json:"hash,omitzero"` // of the event there, in base64
	Open       bool        `json:"open"`
	Token      ports.Token `json:"token"`
	Generation int64       `json:"generation"` // of the indices
	Change     string      `json:"change"`     // names the change, for who made it and was not answered
}

// state is the progress as it was read.
type state struct {
	progress
	stored bool // there is a progress
	whole  bool // and all indices of its generation are there
	seqNo  int
	term   int
	beside progress // of the set beside; zero: there is none
}

// reading is the state on its way from the server, to all who asked since the one before it set out.
type reading struct {
	done chan struct{}
	s    state
	err  error
}

// read gives the state, no older than the call. However many ask at once, and those who wait for a position ask again and
// again, there is one request under way.
func (v *Views) read(ctx context.Context) (state, error) {
	if err := v.unusable(ctx); err != nil {
		return state{}, err
	}
	v.mu.Lock()
	if v.next == nil {
		v.next = &reading{done: make(chan struct{})}
		if !v.reads {
			v.reads = true
			go v.readOn()
		}
	}
	r := v.next
	v.mu.Unlock()
	select {
	case <-r.done:
		return r.s, r.err
	case <-ctx.Done():
		return state{}, ctx.Err()
	}
}

// readOn reads until nobody asks any more.
func (v *Views) readOn() {
	for {
		v.mu.Lock()
		r := v.next
		v.next, v.reads = nil, r != nil
		v.mu.Unlock()
		if r == nil {
			return
		}
		if r.s, r.err = v.readOnce(v.life); v.life.Err() != nil {
			r.err = v.unusable(v.life)
		}
		close(r.done)
	}
}

// readOnce asks for a document that does not exist in each index of the generation that was read last: so one request tells also
// whether they are still there, and a second one is needed only after a Reset.
func (v *Views) readOnce(ctx context.Context) (state, error) {
	const flips = 5 // generations that begin while this reads
	for range flips {
		s, probed, err := v.probe(ctx, v.generation.Load())
		if err != nil || !s.stored || s.Generation == probed {
			return s, err
		}
		v.generation.Store(s.Generation)
	}
	return state{}, v.unavailable(errors.New("the views are being reset again and again"))
}

// item is one document of a multi-get.
type item struct {
	hit
	Index string  `json:"_index"`
	Found bool    `json:"found"`
	SeqNo int     `json:"_seq_no"`
	Term  int     `json:"_primary_term"`
	Error failure `json:"error"`
}

// lost reports whether the index of the document does not exist.
func (i item) lost() bool { return i.Error.Type == noSuchIndex }

func (v *Views) probe(ctx context.Context, generation int64) (s state, probed int64, err error) {
	wanted := []wantedDocument{{v.alias(progressName), v.slot}, {v.alias(progressName), besideName}}
	if generation != 0 {
		for _, m := range v.registry.Modules {
			const nobody = "-"
			wanted = append(wanted, wantedDocument{v.index(m.Name, generation), nobody})
		}
	}
	items, err := v.multiGet(ctx, wanted, true)
	if err != nil {
		return state{}, 0, err
	}
	first := items[0]
	if !first.Found {
		return state{}, 0, nil
	}
	s = state{stored: true, whole: true, seqNo: first.SeqNo, term: first.Term}
	if err := json.Unmarshal(first.Source, &s.progress); err != nil {
		return state{}, 0, errRefused.Because(fmt.Errorf("elasticviews: the progress in %s cannot be read: %w", first.Index, err))
	}
	if err := s.readBeside(&items[1]); err != nil {
		return state{}, 0, err
	}
	if s.Generation != generation {
		return s, generation, nil
	}
	for _, i := range items[2:] {
		if !i.lost() {
			continue
		}
		s.whole = false
		if v.missed.Swap(generation) != generation {
			v.logf("elasticviews: there is no index %s: it was deleted, or the views are those of another build; they must be filled again", i.Index)
		}
	}
	return s, generation, nil
}

type wantedDocument struct {
	Index string `json:"_index"`
	ID    string `json:"_id"`
}

// multiGet gets documents by id, as last written or else as last refreshed. Ids are in the body, where they may hold anything.
// Of the errors an item can have, only that its index does not exist is given back.
func (v *Views) multiGet(ctx context.Context, wanted []wantedDocument, realtime bool) ([]item, error) {
	body, err := json.Marshal(object{"docs": wanted})
	if err != nil {
		return nil, errRefused.Because(err)
	}
	for attempt := 0; ; attempt++ {
		a, err := v.ask(ctx, ofReader(), func() esapi.Request { return esapi.MgetRequest{Body: bytes.NewReader(body), Realtime: &realtime} })
		if err != nil {
			return nil, err
		}
		var said struct {
			Docs []item `json:"docs"`
		}
		if err := a.into("get documents", &said); err != nil {
			return nil, err
		}
		if len(said.Docs) != len(wanted) {
			return nil, errRefused.Because(fmt.Errorf("elasticviews: %d documents were asked for and %d answered", len(wanted), len(said.Docs)))
		}
		broken := slices.IndexFunc(said.Docs, func(i item) bool { return i.Error.Type != "" && !i.lost() })
		if broken < 0 {
			return said.Docs, nil
		}
		if attempt+1 >= ofReader().attempts {
			return nil, v.unavailable(fmt.Errorf("%s: %s", said.Docs[broken].Index, said.Docs[broken].Error))
		}
		if err := v.pause(ctx, attempt); err != nil { // an index that is just being created has no shard for a moment
			return nil, err
		}
	}
}

// move changes the progress if it still is as it was read. A change whose answer was lost is recognised by its name.
func (v *Views) move(ctx context.Context, s *state, next progress) (state, error) {
	if s.stored && s.Hash == (es.Hash{}) && next.Hash != s.Hash { // the index may be of a build from before there were hashes
		if err := v.mapProgress(ctx); err != nil {
			return state{}, err
		}
	}
	next.Change = rand.Text()
	body, err := json.Marshal(next)
	if err != nil {
		return state{}, errRefused.Because(err)
	}
	a, err := v.ask(ctx, ofWriter(), func() esapi.Request {
		if !s.stored {
			return esapi.CreateRequest{Index: v.alias(progressName), DocumentID: v.slot, Body: bytes.NewReader(body)}
		}
		return esapi.IndexRequest{
			Index: v.alias(progressName), DocumentID: v.slot, Body: bytes.NewReader(body), IfSeqNo: &s.seqNo, IfPrimaryTerm: &s.term,
		}
	})
	if err != nil {
		return state{}, err
	}
	if a.status == http.StatusConflict {
		return v.moved(ctx, next)
	}
	var said struct {
		SeqNo int `json:"_seq_no"`
		Term  int `json:"_primary_term"`
	}
	if err := a.into("store the progress", &said); err != nil {
		return state{}, err
	}
	v.generation.Store(next.Generation)
	return state{progress: next, stored: true, whole: true, seqNo: said.SeqNo, term: said.Term, beside: s.beside}, nil
}

// moved looks who made the change that was in the way.
func (v *Views) moved(ctx context.Context, next progress) (state, error) {
	s, err := v.read(ctx)
	if err == nil && s.Change != next.Change {
		err = ports.ErrCheckpointMoved.Say("The view was changed by another projector, which took it to position %d.", s.Position)
	}
	return s, err
}
