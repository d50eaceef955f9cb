package elasticviews_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"daybook/adapters/elasticviews"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

// before is the registry of a build whose accounts had no owner's name.
func before(t *testing.T) *es.Registry {
	t.Helper()
	m := account.Module(func(string) string { return "" })
	at, values := m.View.Field("ownerName"), m.View.Values
	m.View.Fields = slices.Delete(slices.Clone(m.View.Fields), at, at+1)
	m.View.Values = func(id string, f *es.Folded) []es.Value { return slices.Delete(values(id, f), at, at+1) }
	r, err := es.NewRegistry(m)
	must(t, err)
	return r
}

func TestABuildWhoseDocumentsHaveOtherFieldsFillsViewsOfItsOwn(t *testing.T) {
	t.Parallel()
	o := options(t, newRegistry(t))
	was := o
	was.Registry = before(t)
	build := func(o elasticviews.Options) (*elasticviews.Views, *es.View) {
		return open(t, o), &o.Registry.Module(accounts).View
	}
	old, oldView := build(was)
	now, view := build(o)
	must(t, old.Reset(t.Context(), 1))
	must(t, old.Write(t.Context(), 1, []ports.Change{change(oldView, 0, 2)}, 0, 2, es.Hash{}))
	must(t, old.Open(t.Context(), 1))
	shows(t, old, 2, 2)

	isReset(t, now) // and so its projector fills them
	isMoved(t, "Write", now.Write(t.Context(), 2, []ports.Change{change(view, 0, 3)}, 2, 3, es.Hash{}))
	must(t, now.Reset(t.Context(), 2))
	must(t, now.Write(t.Context(), 2, []ports.Change{change(view, 0, 3)}, 0, 3, es.Hash{}))
	must(t, now.Open(t.Context(), 2))
	shows(t, now, 3, 3)
	isReset(t, old) // it neither answers from documents that it does not know, nor writes among them
	isMoved(t, "Write", old.Write(t.Context(), 2, []ports.Change{change(oldView, 0, 4)}, 3, 4, es.Hash{}))
	if names := indices(t, o); len(names) != 2 {
		t.Errorf("there are the indices %v, want one of documents and one of the progress", names)
	}
	must(t, old.Reset(t.Context(), 3)) // whoever holds the lease last decides
	must(t, old.Open(t.Context(), 3))
	isReset(t, now)
}

func TestViewsOfTheFirstBuildsAreFilledAnewAndRemoved(t *testing.T) {
	t.Parallel()
	o := options(t, newRegistry(t))
	const generation = 1795421898852954
	first := fmt.Sprintf("%s-accounts-%d", o.Prefix, generation)
	other := o.Prefix + "-accounts-archive-7" // of a view whose name goes on where ours ends
	for _, name := range []string{first, other} {
		request(t, "PUT", o.URL+"/"+name, `{"mappings":{"dynamic":"strict"}}`)
	}
	request(t, "PUT", o.URL+"/"+o.Prefix+"-progress", `{"mappings":{"dynamic":"strict","properties":{"position":{"type":"long"},
		"open":{"type":"boolean"},"token":{"type":"long"},"generation":{"type":"long"},"change":{"type":"keyword"}}}}`)
	request(t, "PUT", fmt.Sprintf("%s/%s-progress/_doc/progress?refresh=true", o.URL, o.Prefix),
		fmt.Sprintf(`{"position":5,"open":true,"token":1,"generation":%d,"change":"X"}`, generation))
	v := open(t, o)
	isReset(t, v)
	must(t, v.Reset(t.Context(), 2))
	must(t, v.Write(t.Context(), 2, []ports.Change{change(&o.Registry.Module(accounts).View, 0, 1)}, 0, 5, es.Hash{7}))
	must(t, v.Open(t.Context(), 2))
	shows(t, v, 5, 1)
	if p, err := v.Progress(t.Context()); err != nil || p.Hash != (es.Hash{7}) {
		t.Errorf("the progress is %+v, %v, and lacks the hash that their index had no member for", p, err)
	}
	names := indices(t, o)
	if slices.Contains(names, first) || !slices.Contains(names, other) || len(names) != 3 {
		t.Errorf("there are the indices %s", strings.Join(names, ", "))
	}
	request(t, "DELETE", o.URL+"/"+other, "")
}
