package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/es"
	"daybook/core/ports"
)

// listParams are what documents of a module can be found and sorted by, as its view declares it.
func listParams(m *es.Module) []*huma.Param {
	var params []*huma.Param
	for i := range m.View.Fields {
		f := &m.View.Fields[i]
		switch f.Lookup {
		case es.Equal:
			params = append(params, queryParam(f.Name, fieldSchema(&f.Spec), "Only with this "+f.Name+"."))
		case es.Between:
			params = append(params,
				queryParam(bounded("min", f.Name), fieldSchema(&f.Spec), "Only from this "+f.Name+" up, included."),
				queryParam(bounded("max", f.Name), fieldSchema(&f.Spec), "Only up to this "+f.Name+", included."))
		}
	}
	if searched(m) {
		params = append(params, queryParam("q", textSchema(es.MaxText), "Words, case-folded: each must equal or begin a word of "+strings.Join(searchedFields(m), " or ")+"."))
	}
	sort := &huma.Schema{Type: "string", Default: "id"}
	for _, name := range sortNames(m) {
		sort.Enum = append(sort.Enum, name)
	}
	return append(params, queryParam("sort", sort, "- before for descending; ties by id."), cursorParam(), limitParam(),
		minPositionParam("query", "minPosition"), minPositionParam("header", "Daybook-Min-Position"))
}

// bounded is the name of the parameter for one end of a range, such as minBalance.
func bounded(end, name string) string { return end + strings.ToUpper(name[:1]) + name[1:] }

func searched(m *es.Module) bool { return len(searchedFields(m)) > 0 }

func searchedFields(m *es.Module) (names []string) {
	for i := range m.View.Fields {
		if m.View.Fields[i].Search {
			names = append(names, m.View.Fields[i].Name)
		}
	}
	return names
}

func sortNames(m *es.Module) (names []string) {
	for i := range m.View.Fields {
		if m.View.Fields[i].Sorted {
			names = append(names, m.View.Fields[i].Name, "-"+m.View.Fields[i].Name)
		}
	}
	return names
}

// documents serves a list of documents.
func (s *server) documents(m *es.Module) handler {
	params := listParams(m)
	return func(w http.ResponseWriter, r *http.Request, q *values) error {
		query, least := q.documentQuery(m), q.minPosition(r.Header)
		if err := q.fault(); err != nil {
			return err
		}
		list := q.identity(m, params)
		if q.has("cursor") {
			after, err := parseCursor(list, q.query.Get("cursor"))
			if err != nil {
				return err
			}
			query.After = &after
		}
		if err := s.await(r, least); err != nil {
			return err
		}
		page, err := s.Engine.Documents(r.Context(), m, query)
		if err != nil {
			return err
		}
		next := ""
		if n := len(page.Documents); page.More && n > 0 {
			last := &page.Documents[n-1]
			next = cursorText(list, ports.Cursor{Key: last.Values[query.Sort], ID: last.ID})
		}
		setPosition(w.Header(), page.At)
		answerList(w, len(page.Documents), next, func(dst []byte, i int) []byte { return m.View.AppendJSON(dst, page.Documents[i].Values) })
		return nil
	}
}

// identity describes the list that a cursor belongs to: the module, the filters and the order, but no page of it.
func (q *values) identity(m *es.Module, params []*huma.Param) string {
	var list strings.Builder
	list.WriteString(m.Name)
	for _, p := range params {
		if p.In == "query" && q.has(p.Name) && !slices.Contains([]string{"cursor", "limit", "minPosition"}, p.Name) {
			list.WriteString("\x00" + p.Name + "=" + q.query.Get(p.Name))
		}
	}
	return list.String()
}

// documentQuery reads filters, words, order and limit.
func (q *values) documentQuery(m *es.Module) ports.Query {
	query := ports.Query{Limit: q.limit(), Sort: m.View.Field("id")}
	for i := range m.View.Fields {
		f := &m.View.Fields[i]
		switch f.Lookup {
		case es.Equal:
			if v := q.fieldValue(f.Name, &f.Spec); v != nil {
				query.Filters = append(query.Filters, ports.Filter{Field: i, Min: v, Max: v})
			}
		case es.Between:
			low, high := q.fieldValue(bounded("min", f.Name), &f.Spec), q.fieldValue(bounded("max", f.Name), &f.Spec)
			if low != nil || high != nil {
				query.Filters = append(query.Filters, ports.Filter{Field: i, Min: low, Max: high})
			}
		}
	}
	if q.has("q") {
		if query.Words = es.Words(q.query.Get("q")); len(query.Words) == 0 || utf8.RuneCountInString(q.query.Get("q")) > es.MaxText {
			q.refuse("q", "must have a letter or a digit, and at most 200 characters")
		}
	}
	if q.has("sort") {
		given := q.query.Get("sort")
		if !slices.Contains(sortNames(m), given) {
			q.refuse("sort", "must be one of "+strings.Join(sortNames(m), ", "))
			return query
		}
		name, desc := strings.CutPrefix(given, "-")
		query.Sort, query.Desc = m.View.Field(name), desc
	}
	return query
}

// fieldValue reads a parameter that holds a value of a view's field; nil when it is missing or wrong.
func (q *values) fieldValue(name string, spec *es.Spec) *es.Value {
	switch {
	case !q.has(name):
		return nil
	case spec.Kind.IsInteger():
		return &es.Value{Int: q.number(name, -es.MaxAmount, es.MaxAmount, 0)}
	case spec.Kind == es.KindTime:
		v := es.TimeValue(q.moment(name))
		return &v
	}
	given := q.query.Get(name)
	problem := spec.CheckString(given)
	if spec.Kind == es.KindWord && !slices.Contains(spec.Words, given) {
		problem = "must be one of " + strings.Join(spec.Words, ", ")
	}
	if problem != "" {
		q.refuse(name, problem)
	}
	return &es.Value{Str: given}
}

// answerList answers with n items and, unless it is "", where to go on.
func answerList(w http.ResponseWriter, n int, next string, item func(dst []byte, i int) []byte) {
	buffer := buffers.Get().(*[]byte)
	defer release(buffer)
	b := append(*buffer, `{"items":[`...)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = item(b, i)
	}
	b = append(b, ']')
	if next != "" {
		b = es.AppendString(append(b, `,"next":`...), next)
	}
	*buffer = append(b, '}')
	answerJSON(w, http.StatusOK, *buffer)
}
