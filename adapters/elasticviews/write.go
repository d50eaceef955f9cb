package elasticviews

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/elastic/go-elasticsearch/v8/esapi"

	"daybook/core/es"
	"daybook/core/ports"
)

// Write stores the documents, shows them by one refresh if the views are open, and then moves the checkpoint.
func (v *Views) Write(ctx context.Context, token ports.Token, changes []ports.Change, from, to es.Position, hash es.Hash) error {
	s, err := v.take(ctx, token)
	if err != nil {
		return err
	}
	defer v.leave()
	if !s.whole {
		s.Position, s.Hash = 0, es.Hash{}
	}
	if s.Position != from {
		return ports.ErrCheckpointMoved.Say("The view is at position %d and not at %d: another projector has written since.", s.Position, from)
	}
	latest, err := v.latest(changes)
	if err != nil {
		return err
	}
	if !s.whole {
		if s, err = v.begin(ctx, &s, token); err != nil {
			return err
		}
	}
	if err := v.store(ctx, s.Generation, latest); err != nil {
		return err
	}
	if s.Open && len(latest) > 0 {
		var names []string
		for view := range latest {
			names = append(names, v.index(view, s.Generation))
		}
		if err := v.refresh(ctx, names); err != nil {
			return err
		}
	}
	// gofail: var afterProjectBeforeCheckpoint struct{}
	next := s.progress
	next.Position, next.Hash, next.Token = to, hash, token
	_, err = v.move(ctx, &s, next)
	return err
}

// latest checks all changes, so that they are stored all or none, and gives those of each view. Of several documents with one id
// only the last of the highest version counts, so that it does not matter which is stored first.
func (v *Views) latest(changes []ports.Change) (map[string][]*es.Document, error) {
	latest, places := map[string][]*es.Document{}, map[string]map[string]int{}
	for i := range changes {
		view, d := changes[i].View, &changes[i].Document
		x := v.indices[view]
		if x == nil {
			return nil, errUnknownView.Say("No module has a view named %q.", view)
		}
		if !x.complete(d) && d.Parked == "" {
			return nil, errDocument.Say("Document %q of the view %s has %d values for %d fields.", d.ID, view, len(d.Values), len(x.view.Fields))
		}
		if places[view] == nil {
			places[view] = make(map[string]int, len(changes))
		}
		place, twice := places[view][d.ID]
		switch {
		case !twice:
			places[view][d.ID] = len(latest[view])
			latest[view] = append(latest[view], d)
		case d.Version >= latest[view][place].Version:
			latest[view][place] = d
		}
	}
	return latest, nil
}

// The limits of a bulk, and how many are under way at once.
const (
	bulkDocuments = 2000
	bulkBytes     = 1 << 20
	bulksAtOnce   = 3
)

// store sends the documents in bulks. The first that fails ends the others.
func (v *Views) store(ctx context.Context, generation int64, latest map[string][]*es.Document) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var sending sync.WaitGroup
	room := make(chan struct{}, bulksAtOnce)
	for view, documents := range latest {
		for len(documents) > 0 && ctx.Err() == nil {
			room <- struct{}{}
			b := bulk{index: v.index(view, generation)}
			documents = b.take(v.indices[view], documents)
			sending.Go(func() {
				defer func() { <-room }()
				if err := v.send(ctx, &b); err != nil {
					fail(err)
				}
			})
		}
	}
	sending.Wait()
	return context.Cause(ctx)
}

// bulk is documents of one index on their way.
type bulk struct {
	index string
	items []bulkItem
	bytes int
}

type bulkItem struct {
	id    string
	lines []byte // as the bulk says it: what to do, and the document
}

// take moves as many documents into an empty bulk as have room, and gives the others.
func (b *bulk) take(x *index, documents []*es.Document) []*es.Document {
	n := min(len(documents), bulkDocuments)
	b.items = make([]bulkItem, 0, n)
	buffer := make([]byte, 0, bulkBytes/4)
	for len(b.items) < n && b.bytes < bulkBytes {
		d := documents[len(b.items)]
		start := len(buffer)
		buffer = append(buffer, `{"index":{"_id":`...)
		buffer = es.AppendString(buffer, d.ID)
		buffer = append(buffer, `,"version":`...)
		buffer = strconv.AppendUint(buffer, uint64(d.Version), 10)
		buffer = append(buffer, `,"version_type":"external_gte"}}`+"\n"...)
		buffer = append(x.append(buffer, d), '\n')
		b.items = append(b.items, bulkItem{id: d.ID, lines: buffer[start:]})
		b.bytes += len(buffer) - start
	}
	return documents[len(b.items):]
}

// body is the lines of all items.
func (b *bulk) body() []byte {
	body := make([]byte, 0, b.bytes)
	for _, i := range b.items {
		body = append(body, i.lines...)
	}
	return body
}

// send sends a bulk, and again what the server had no room for.
func (v *Views) send(ctx context.Context, b *bulk) error {
	for attempt := 0; ; attempt++ {
		busy, err := v.sendOnce(ctx, b)
		if err != nil || len(b.items) == 0 {
			return err
		}
		if attempt+1 >= ofWriter().attempts {
			return v.unavailable(fmt.Errorf("%d documents of a bulk to %s were not taken: %s", len(b.items), b.index, busy))
		}
		if err := v.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

// sendOnce leaves in the bulk what must be sent again, and gives the reason.
func (v *Views) sendOnce(ctx context.Context, b *bulk) (busy failure, err error) {
	body := b.body()
	a, err := v.ask(ctx, ofWriter(), func() esapi.Request {
		return esapi.BulkRequest{
			Index: b.index, Body: bytes.NewReader(body),
			FilterPath: []string{"errors", "items.*.status", "items.*.error.type", "items.*.error.reason"},
		}
	})
	if err != nil {
		return busy, err
	}
	var said struct {
		Errors bool `json:"errors"`
		Items  []map[string]struct {
			Status int     `json:"status"`
			Error  failure `json:"error"`
		} `json:"items"`
	}
	if a.status == http.StatusNotFound {
		return busy, deleted(b.index)
	}
	if bytes.HasPrefix(a.body, []byte(`{"errors":false,`)) { // the usual case, in which the items need not be read
		said.Errors = false
	} else if err := a.into("store documents", &said); err != nil {
		return busy, err
	}
	sent := b.items
	b.items = nil
	if !said.Errors {
		return busy, nil
	}
	if len(said.Items) != len(sent) {
		return busy, errRefused.Because(fmt.Errorf("elasticviews: a bulk of %d documents was answered with %d items", len(sent), len(said.Items)))
	}
	for i, item := range said.Items {
		for _, result := range item { // there is one, under the name of what was done
			switch status := result.Status; {
			case status/100 == 2, status == http.StatusConflict: // a later version is there
			case passing(status):
				b.items, busy = append(b.items, sent[i]), result.Error
			case status == http.StatusNotFound:
				return busy, deleted(b.index)
			default:
				return busy, errRefused.Because(fmt.Errorf("elasticviews: document %q was not taken into %s: status %d: %s",
					sent[i].id, b.index, status, result.Error))
			}
		}
	}
	return busy, nil
}
