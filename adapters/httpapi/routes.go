package httpapi

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/es"
)

// handler serves one route; it answers, or returns the error to answer with.
type handler func(w http.ResponseWriter, r *http.Request, q *values) error

// route is one operation. The mux, the check of parameters and the OpenAPI document are made from it.
type route struct {
	method, path string           // path as in the mux and in the document
	right        access.Operation // what it is to the policy
	operation    huma.Operation
	params       []*huma.Param // in path, query and header
	serve        handler
	privilege    privilege
	costly       func(q *values) bool // which requests take more than others; nil: none
}

// table lists every route there is.
func (s *server) table() []route {
	var routes []route
	for _, m := range s.Engine.Registry.Modules {
		routes = append(routes, s.commandRoutes(m)...)
		routes = append(routes, s.documentRoutes(m)...)
		if m.Ledger != nil {
			routes = append(routes, s.statementRoute(m))
		}
	}
	routes = append(routes, s.bulkRoute())
	routes = append(routes, s.storeRoutes()...)
	routes = append(routes, s.proofRoutes()...)
	routes = append(routes, s.operationsRoutes()...)
	routes = append(routes, s.deadLetterRoutes()...)
	routes = append(routes, s.movingRoutes()...)
	routes = append(routes, s.keyRoutes()...)
	routes = append(routes, s.auditRoutes()...)
	return append(routes, s.pageRoutes()...)
}

// resource is a path with the routes it has, by method.
type resource struct {
	s         *server
	get, post *route
	allow     string
}

// register puts the table into the mux, with an answer for every other path.
func (s *server) register() {
	resources := map[string]*resource{}
	for i := range s.routes {
		rt := &s.routes[i]
		res := resources[rt.path]
		if res == nil {
			res = &resource{s: s}
			resources[rt.path] = res
			s.mux.Handle(rt.path, res)
		}
		switch rt.method {
		case http.MethodGet:
			res.get = rt
		case http.MethodPost:
			res.post = rt
		}
	}
	for _, res := range resources {
		res.allow = res.methods()
	}
	for _, m := range s.Engine.Registry.Modules {
		s.mux.HandleFunc("/v1/"+m.Name+"/{id}/{command}", s.unknownCommand(m))
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, errNoRoute) })
}

func (res *resource) methods() string {
	var methods []string
	if res.get != nil {
		methods = append(methods, http.MethodGet, http.MethodHead)
	}
	if res.post != nil {
		methods = append(methods, http.MethodPost)
	}
	return strings.Join(append(methods, http.MethodOptions), ", ")
}

// unknownCommand answers for what looks like a command of a module and is none.
func (s *server) unknownCommand(m *es.Module) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			s.fail(w, r, errNoRoute)
			return
		}
		s.fail(w, r, wire.UnknownCommand(m, r.PathValue("command")))
	}
}

// ServeHTTP finds the route of the method.
func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var rt *route
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		rt = res.get
	case http.MethodPost:
		rt = res.post
	case http.MethodOptions:
		w.Header().Set("Allow", res.allow)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if rt == nil {
		w.Header().Set("Allow", res.allow)
		res.s.fail(w, r, errMethod)
		return
	}
	q, err := rt.values(r)
	if err == nil && rt.costly != nil && rt.costly(q) {
		err = res.s.limits.costly.take(subject(r), w.Header())
	}
	if err == nil {
		err = res.s.enter(r, requestIDOf(w), rt)
	}
	if err == nil {
		err = rt.serve(w, r, q)
	}
	if err != nil {
		res.s.fail(w, r, err)
	}
}

// aggregateID is the id in the path.
func aggregateID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if problem := wire.CheckID(id); problem != "" {
		return "", errInvalidID.Say("The id in the path %s.", problem)
	}
	return id, nil
}
