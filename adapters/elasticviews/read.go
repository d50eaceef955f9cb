package elasticviews

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/go-json-experiment/json"

	"daybook/core/es"
	"daybook/core/ports"
)

// errGone: the index that was asked is no longer there.
var errGone = errors.New("elasticviews: the index is gone")

// whileOpen calls read with the state of views that are open. If their generation ends meanwhile, it starts over.
func (v *Views) whileOpen(ctx context.Context, view string, read func(s *state, x *index) error) error {
	const generations = 3
	for range generations {
		s, err := v.read(ctx)
		switch {
		case err != nil:
			return err
		case !s.whole || !s.Open:
			return ports.ErrViewRebuilding
		case v.indices[view] == nil:
			return errUnknownView.Say("No module has a view named %q.", view)
		}
		if err := read(&s, v.indices[view]); !errors.Is(err, errGone) {
			return err
		}
	}
	return ports.ErrViewRebuilding
}

// Get gives the checkpoint also when the document is not there or parked.
func (v *Views) Get(ctx context.Context, view, id string) (d es.Document, at es.Position, err error) {
	err = v.whileOpen(ctx, view, func(s *state, x *index) error {
		at = s.Position
		if id == "" {
			return ports.ErrNoDocument
		}
		items, err := v.multiGet(ctx, []wantedDocument{{v.index(view, s.Generation), id}}, false)
		if err != nil {
			return err
		}
		switch i := &items[0]; {
		case i.lost():
			return errGone
		case !i.Found:
			return ports.ErrNoDocument
		default:
			d, err = x.document(&i.hit)
		}
		if err == nil && d.Parked != "" {
			d, err = es.Document{}, ports.ErrViewParked.Because(errors.New(d.Parked))
		}
		return err
	})
	return d, at, err
}

// maxHits is the most that the server gives at once.
const maxHits = 10_000

// List asks for one document more than wanted, to know whether it is there.
func (v *Views) List(ctx context.Context, view string, q ports.Query) (page ports.Page, err error) {
	err = v.whileOpen(ctx, view, func(s *state, x *index) error {
		if err := x.check(&q); err != nil {
			return err
		}
		limit := min(q.Limit, maxHits-1)
		found, err := v.search(ctx, v.index(view, s.Generation), x.request(&q, limit+1))
		if err != nil {
			return err
		}
		hits := found.Hits.Hits
		page = ports.Page{More: len(hits) > limit, At: s.Position}
		for i := range hits[:min(limit, len(hits))] {
			d, err := x.document(&hits[i])
			if err != nil {
				return err
			}
			page.Documents = append(page.Documents, d)
		}
		return nil
	})
	if err != nil {
		return ports.Page{}, err
	}
	return page, nil
}

func (x *index) check(q *ports.Query) error {
	fields := x.view.Fields
	if q.Sort < 0 || q.Sort >= len(fields) || !fields[q.Sort].Sorted {
		return errField.Say("The view %s cannot be sorted by field %d.", x.name, q.Sort)
	}
	for _, f := range q.Filters {
		if f.Field < 0 || f.Field >= len(fields) {
			return errField.Say("The view %s has no field %d to filter by.", x.name, f.Field)
		}
	}
	return nil
}

// request is a query as the server takes it.
func (x *index) request(q *ports.Query, size int) object {
	filters := []object{}
	for _, f := range q.Filters {
		filters = append(filters, x.filter(f))
	}
	for _, w := range q.Words {
		filters = append(filters, object{"prefix": object{own + "." + ownWords: object{"value": w}}})
	}
	if q.Reader != "" {
		filters = append(filters, object{"term": object{own + "." + ownReaders: object{"value": q.Reader}}})
	}
	order := "asc"
	if q.Desc {
		order = "desc"
	}
	request := object{
		"size": size, "track_total_hits": false, "version": true,
		"query": object{"bool": object{"filter": filters, "must_not": parked()}},
		"sort":  []object{{x.path(q.Sort): order}, {own + "." + ownID: order}},
	}
	if q.After != nil {
		request["search_after"] = []any{x.plain(q.Sort, q.After.Key), q.After.ID}
	}
	return request
}

func (x *index) filter(f ports.Filter) object {
	path := x.path(f.Field)
	if f.Min != nil && f.Max != nil && *f.Min == *f.Max {
		return object{"term": object{path: object{"value": x.plain(f.Field, *f.Min)}}}
	}
	bounds := object{}
	if f.Min != nil {
		bounds["gte"] = x.plain(f.Field, *f.Min)
	}
	if f.Max != nil {
		bounds["lte"] = x.plain(f.Field, *f.Max)
	}
	return object{"range": object{path: bounds}}
}

func parked() object { return object{"term": object{own + "." + ownParked: true}} }

// found is the answer to a search.
type found struct {
	Hits struct {
		Total struct {
			Value int `json:"value"`
		} `json:"total"`
		Hits []hit `json:"hits"`
	} `json:"hits"`
}

func (v *Views) search(ctx context.Context, index string, request object) (f found, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return f, errRefused.Because(err)
	}
	partial := false
	a, err := v.ask(ctx, ofReader(), func() esapi.Request {
		return esapi.SearchRequest{Index: []string{index}, Body: bytes.NewReader(body), AllowPartialSearchResults: &partial}
	})
	if err != nil {
		return f, err
	}
	if a.status == http.StatusNotFound {
		return f, errGone
	}
	return f, a.into("search", &f)
}

// Parked gives them view by view, by id. Of views that are closed it first shows what was written.
func (v *Views) Parked(ctx context.Context, limit int) (parked []ports.ParkedDocument, count int, err error) {
	s, err := v.read(ctx)
	if err != nil || !s.whole {
		return nil, 0, err
	}
	for _, m := range v.registry.Modules {
		x, index := v.indices[m.Name], v.index(m.Name, s.Generation)
		if !s.Open {
			err = v.refresh(ctx, []string{index})
		}
		var some []ports.ParkedDocument
		n := 0
		if err == nil {
			some, n, err = v.parkedIn(ctx, x, index, limit-len(parked))
		}
		if errors.Is(err, errGone) || errors.Is(err, ports.ErrCheckpointMoved) { // deleted meanwhile
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, err
		}
		parked, count = append(parked, some...), count+n
	}
	return parked, count, nil
}

// parkedIn gives the parked documents of one view, in several pages where they are many.
func (v *Views) parkedIn(ctx context.Context, x *index, index string, limit int) (documents []ports.ParkedDocument, count int, err error) {
	const page = 1000
	request := object{"track_total_hits": true, "query": parked(), "sort": []object{{own + "." + ownID: "asc"}}}
	for {
		request["size"] = min(limit-len(documents), page)
		found, err := v.search(ctx, index, request)
		if err != nil {
			return nil, 0, err
		}
		hits := found.Hits.Hits
		count = max(count, found.Hits.Total.Value)
		for i := range hits {
			d, err := x.document(&hits[i])
			if err != nil {
				return nil, 0, err
			}
			documents = append(documents, ports.ParkedDocument{View: x.name, ID: d.ID, Reason: d.Parked})
		}
		if len(hits) < page || len(documents) >= limit {
			return documents, count, nil
		}
		request["search_after"] = []any{hits[len(hits)-1].ID}
	}
}
