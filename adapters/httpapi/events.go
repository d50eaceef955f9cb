package httpapi

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/access"
	"daybook/core/es"
)

// storeRoutes are the store in position order: pages of it, one event, and the live feed.
func (s *server) storeRoutes() []route {
	after := queryParam("after", numberSchema(0, es.MaxAmount), "Events after this position.")
	eventType := queryParam("type", &huma.Schema{Type: "string", Enum: s.eventTypes()}, "Only events of this type.")
	return []route{
		{
			method: http.MethodGet, path: "/v1/events", right: access.Feed, operation: describeEvents(), serve: s.events, costly: always,
			params: []*huma.Param{after, eventType, feedCursorParam(), limitParam()},
		},
		{
			method: http.MethodGet, path: "/v1/events/{id}", right: access.Read, operation: describeEvent(), serve: s.event,
			params: []*huma.Param{pathParam("id", &huma.Schema{Type: "string", Pattern: `^evt-[1-9][0-9]*$`, Examples: []any{"evt-17"}}, "The event's id.")},
		},
		{
			method: http.MethodGet, path: "/v1/feed", right: access.Feed, operation: describeFeed(), serve: s.feed, costly: always,
			params: []*huma.Param{after, eventType, headerParam("Last-Event-ID", "The position after which to go on, as browsers send it.")},
		},
	}
}

func (s *server) eventTypes() (names []any) {
	for _, m := range s.Engine.Registry.Modules {
		for i := range m.Events {
			names = append(names, m.Events[i].Name)
		}
	}
	return names
}

// after reads where to go on: a list of events gives as its cursor the number that after takes.
func (q *values) after() int64 {
	q.exclusive("after", "cursor")
	return max(q.number("after", 0, es.MaxAmount, 0), q.number("cursor", 0, es.MaxAmount, 0))
}

// eventType reads the type of events asked for; "" for all.
func (s *server) eventType(q *values) string {
	name := q.query.Get("type")
	if q.has("type") && s.Engine.Registry.EventType(name) == nil {
		q.refuse("type", fmt.Sprintf("must be one of %v", s.eventTypes()))
	}
	return name
}

// streamEvents serves the events of one aggregate.
func (s *server) streamEvents(m *es.Module) handler {
	return func(w http.ResponseWriter, r *http.Request, q *values) error {
		after, limit := q.after(), q.limit()
		if err := q.fault(); err != nil {
			return err
		}
		id, err := aggregateID(r)
		if err != nil {
			return err
		}
		events, more, err := s.Engine.Stream(r.Context(), m, id, es.Version(after), limit)
		if err != nil {
			return err
		}
		next := ""
		if more {
			next = strconv.FormatUint(uint64(events[len(events)-1].Version), 10)
		}
		answerList(w, len(events), next, func(dst []byte, i int) []byte { return events[i].AppendJSON(dst) })
		return nil
	}
}

// events serves the store in position order.
func (s *server) events(w http.ResponseWriter, r *http.Request, q *values) error {
	after, limit, eventType := q.after(), q.limit(), s.eventType(q)
	if err := q.fault(); err != nil {
		return err
	}
	events, at, more, err := s.Engine.Feed(r.Context(), es.Position(after), limit, eventType)
	if err != nil {
		return err
	}
	next := ""
	if more {
		next = strconv.FormatUint(uint64(at), 10)
	}
	answerList(w, len(events), next, func(dst []byte, i int) []byte { return events[i].AppendJSON(dst) })
	return nil
}

// event serves one event.
func (s *server) event(w http.ResponseWriter, r *http.Request, _ *values) error {
	p, err := es.ParseEventID(r.PathValue("id"))
	if err != nil {
		return errInvalidID.Say("The id in the path is not an event's, which looks like evt-17.")
	}
	recorded, err := s.Engine.Event(r.Context(), p)
	if err != nil {
		return err
	}
	answerJSON(w, http.StatusOK, recorded.JSON())
	return nil
}
