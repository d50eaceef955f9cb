package elasticviews

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/go-json-experiment/json"

	"daybook/core/es"
	"daybook/core/ports"
)

// object is a JSON object of a request.
type object = map[string]any

// own is the member of a stored document that is not the view's. It holds what the views need besides the fields.
const own = "daybook"

// The members of own.
const (
	ownID      = "id"      // the document's id, to order ties by
	ownWords   = "words"   // what the Search fields hold, folded
	ownMicros  = "micros"  // times, exactly
	ownParked  = "parked"  // true, or not there
	ownReason  = "reason"  // why it is parked
	ownReaders = "readers" // whose own it is, in their order
)

// settings: one shard, so that a refresh shows all of a Write or nothing; a copy where there is a second node; and no refresh but
// those that are asked for.
func settings() object {
	return object{"number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "-1"}
}

// mapping says how the documents of a view are found. A member that is not named is refused.
func mapping(view *es.View) object {
	fields, micros := object{}, object{}
	for i := range view.Fields {
		f := &view.Fields[i]
		found := f.Sorted || f.Lookup != es.NoLookup
		switch {
		case f.Kind == es.KindTime: // a date is good for people, but it holds milliseconds
			fields[f.Name] = object{"type": "date", "index": false}
			micros[f.Name] = object{"type": "long", "index": found}
		case f.Kind.IsInteger():
			fields[f.Name] = object{"type": "long", "index": found}
		default:
			fields[f.Name] = object{"type": "keyword", "index": found}
		}
	}
	fields[own] = object{"properties": object{
		ownID:      object{"type": "keyword", "index": false},
		ownWords:   object{"type": "keyword", "doc_values": false},
		ownMicros:  object{"properties": micros},
		ownParked:  object{"type": "boolean", "doc_values": false},
		ownReason:  object{"type": "keyword", "index": false, "doc_values": false},
		ownReaders: object{"type": "keyword", "doc_values": false},
	}}
	return object{"dynamic": "strict", "properties": fields}
}

// create makes the indices of a generation. The templates say the same as the request: they are there so that a bulk to an index
// that was deleted fails, and so that the index of the progress makes itself.
func (v *Views) create(ctx context.Context, generation int64) error {
	err := v.putTemplate(ctx, v.alias(progressName), object{
		"index_patterns": []string{v.alias(progressName)}, "allow_auto_create": true, "priority": priority,
		"template": object{"settings": object{"number_of_shards": 1, "auto_expand_replicas": "0-1"}, "mappings": progressMapping()},
	})
	if err != nil {
		return err
	}
	for _, m := range v.registry.Modules {
		like := object{"settings": settings(), "mappings": mapping(&m.View)}
		err := v.putTemplate(ctx, v.alias(m.Name), object{
			"index_patterns": []string{v.alias(m.Name) + "-*"}, "allow_auto_create": false,
			"priority": priority + len(m.Name), // a view whose name goes on where another's ends goes first
			"template": like,
		})
		if err != nil {
			return err
		}
		if err := v.createIndex(ctx, v.index(m.Name, generation), like); err != nil {
			return err
		}
	}
	return nil
}

// priority is above that of the templates Elasticsearch brings along.
const priority = 500

func progressMapping() object {
	number := object{"type": "long"}
	return object{"dynamic": "strict", "properties": object{
		"position": number, "hash": object{"type": "keyword", "index": false}, "open": object{"type": "boolean"}, "token": number, "generation": number, "change": object{"type": "keyword"},
	}}
}

// mapProgress lets the index of the progress take what this build stores there.
func (v *Views) mapProgress(ctx context.Context) error {
	body, err := json.Marshal(progressMapping())
	if err != nil {
		return errRefused.Because(err)
	}
	a, err := v.ask(ctx, ofWriter(), func() esapi.Request {
		return esapi.IndicesPutMappingRequest{Index: []string{v.alias(progressName)}, Body: bytes.NewReader(body)}
	})
	if err != nil {
		return err
	}
	return a.into("map the index "+v.alias(progressName), nil)
}

func (v *Views) putTemplate(ctx context.Context, name string, template object) error {
	body, err := json.Marshal(template)
	if err != nil {
		return errRefused.Because(err)
	}
	a, err := v.ask(ctx, ofWriter(), func() esapi.Request {
		return esapi.IndicesPutIndexTemplateRequest{Name: name, Body: bytes.NewReader(body)}
	})
	if err != nil {
		return err
	}
	return a.into("store the index template "+name, nil)
}

func (v *Views) createIndex(ctx context.Context, name string, like object) error {
	body, err := json.Marshal(like)
	if err != nil {
		return errRefused.Because(err)
	}
	a, err := v.ask(ctx, ofWriter(), func() esapi.Request {
		return esapi.IndicesCreateRequest{Index: name, Body: bytes.NewReader(body)}
	})
	if err != nil {
		return err
	}
	if a.status == http.StatusBadRequest && a.reason().Type == alreadyExists {
		return nil // by an attempt that was not answered: nobody else uses this generation
	}
	return a.into("create the index "+name, nil)
}

// moveAliases lets the aliases stand for the indices of a generation, and removes those of earlier ones, all in one step. That
// it was taken although no answer came shows when the indices are listed again.
func (v *Views) moveAliases(ctx context.Context, generation int64) error {
	var refusal error
	const attempts = 2
	for range attempts {
		present, err := v.present(ctx)
		if err != nil {
			return err
		}
		actions := v.aliasActions(present, generation)
		if len(actions) == 0 {
			return nil
		}
		body, err := json.Marshal(object{"actions": actions})
		if err != nil {
			return errRefused.Because(err)
		}
		a, err := v.ask(ctx, ofWriter(), func() esapi.Request { return esapi.IndicesUpdateAliasesRequest{Body: bytes.NewReader(body)} })
		if err != nil {
			return err
		}
		if refusal = a.into("move the aliases", nil); refusal == nil {
			return nil
		}
	}
	v.logf("elasticviews: the aliases of %s could not be moved, and the views are opened without: %v", v.prefix, refusal)
	return nil
}

// aliasActions are what is left to do, given the aliases of the indices that are there.
func (v *Views) aliasActions(present map[string][]string, generation int64) (actions []object) {
	for _, m := range v.registry.Modules {
		for name := range present {
			if n, ok := v.generationOf(m.Name, name); ok && n < generation {
				actions = append(actions, object{"remove_index": object{"index": name}})
			}
		}
		alias, name := v.alias(m.Name), v.index(m.Name, generation)
		if !slices.Contains(present[name], alias) {
			actions = append(actions, object{"add": object{"index": name, "alias": alias}})
		}
	}
	return actions
}

// present gives the aliases of all indices that may be ours.
func (v *Views) present(ctx context.Context) (map[string][]string, error) {
	var patterns []string
	for view := range v.indices {
		patterns = append(patterns, v.alias(view)+"-*")
	}
	a, err := v.ask(ctx, ofWriter(), func() esapi.Request {
		return esapi.IndicesGetAliasRequest{Index: patterns, ExpandWildcards: "all"}
	})
	if err != nil {
		return nil, err
	}
	var said map[string]struct {
		Aliases map[string]any `json:"aliases"`
	}
	if err := a.into("list the indices", &said); err != nil {
		return nil, err
	}
	present := map[string][]string{}
	for name, index := range said {
		present[name] = []string{}
		for alias := range index.Aliases {
			present[name] = append(present[name], alias)
		}
	}
	return present, nil
}

// generationOf reads the name of an index of a view, of whatever shape; the first builds had no shape in it.
func (v *Views) generationOf(view, name string) (int64, bool) {
	rest, ours := strings.CutPrefix(name, v.alias(view)+"-")
	digits, shape, shaped := strings.Cut(rest, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, ours && err == nil && (!shaped || len(shape) == len(v.indices[view].shape) && !strings.Contains(shape, "-"))
}

// refresh shows what was written to indices.
func (v *Views) refresh(ctx context.Context, names []string) error {
	a, err := v.ask(ctx, ofWriter(), func() esapi.Request { return esapi.IndicesRefreshRequest{Index: names} })
	if err != nil {
		return err
	}
	if a.status == http.StatusNotFound {
		return deleted(names...)
	}
	var said struct {
		Shards struct {
			Failed   int `json:"failed"`
			Failures []struct {
				Reason failure `json:"reason"`
			} `json:"failures"`
		} `json:"_shards"`
	}
	if err := a.into("refresh", &said); err != nil {
		return err
	}
	if said.Shards.Failed > 0 {
		why := "no reason was given"
		if len(said.Shards.Failures) > 0 {
			why = said.Shards.Failures[0].Reason.String()
		}
		return v.unavailable(fmt.Errorf("%d shards could not be refreshed: %s", said.Shards.Failed, why))
	}
	return nil
}

// deleted is the fault of a writer whose indices somebody has taken away.
func deleted(names ...string) error {
	return ports.ErrCheckpointMoved.Say("The index %s was deleted while it was written: the views must be filled again.", strings.Join(names, " or "))
}
