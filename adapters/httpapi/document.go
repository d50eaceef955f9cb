package httpapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
)

// documentRoutes are the documents of a module: one, a list of them, and the events of one.
func (s *server) documentRoutes(m *es.Module) []route {
	one := []*huma.Param{
		idParam(m),
		queryParam("at", timeSchema(), "As recorded then, included."),
		queryParam("version", numberSchema(1, es.MaxAmount), "As it was at this version."),
		queryParam("position", numberSchema(1, es.MaxAmount), "As it was when the store was at this position."),
		minPositionParam("query", "minPosition"), minPositionParam("header", "Daybook-Min-Position"),
		headerParam("If-None-Match", "The ETag of an answer that the client has: 304 if it is still so."),
	}
	if m.Ledger != nil {
		one = append(one, queryParam("effectiveAt", timeSchema(), "The balance of what had happened in the world by then, included; as known at the time, version or position of the parameters at, version and position."))
	}
	stream := []*huma.Param{idParam(m), queryParam("after", numberSchema(0, es.MaxAmount), "Events after this version."), feedCursorParam(), limitParam()}
	return []route{
		{method: http.MethodGet, path: "/v1/" + m.Name + "/{id}", right: access.Read, operation: describeDocument(m), params: one, serve: s.document(m), costly: having("effectiveAt")},
		{method: http.MethodGet, path: "/v1/" + m.Name, right: access.Read, operation: describeDocuments(m), params: listParams(m), serve: s.documents(m), costly: having("q")},
		{method: http.MethodGet, path: "/v1/" + m.Name + "/{id}/events", right: access.Read, operation: describeStream(m), params: stream, serve: s.streamEvents(m), costly: always},
	}
}

// document serves one document: from the view, or from history.
func (s *server) document(m *es.Module) handler {
	return func(w http.ResponseWriter, r *http.Request, q *values) error {
		until, effective := q.until(), q.moment("effectiveAt")
		least := q.minPosition(r.Header)
		if err := q.fault(); err != nil {
			return err
		}
		id, err := aggregateID(r)
		if err != nil {
			return err
		}
		switch {
		case q.has("effectiveAt"):
			err = s.effective(w, r, m, id, effective, until, least)
		case until != engine.Until{}:
			err = s.past(w, r, m, id, until, least)
		default:
			err = s.present(w, r, m, id, least)
		}
		return err
	}
}

// until reads up to where history is asked for.
func (q *values) until() engine.Until {
	q.exclusive("at", "version", "position")
	return engine.Until{
		At:       q.moment("at"),
		Version:  es.Version(q.number("version", 1, es.MaxAmount, 0)),
		Position: es.Position(q.number("position", 1, es.MaxAmount, 0)),
	}
}

// minPosition reads how far the view must be at the least, from the query or the header.
func (q *values) minPosition(h http.Header) es.Position {
	least := q.number("minPosition", 0, es.MaxAmount, 0)
	if given := h["Daybook-Min-Position"]; len(given) > 0 {
		n, ok := integer(given[0])
		if !ok || len(given) > 1 || n < 0 || n > es.MaxAmount {
			q.refuse("Daybook-Min-Position", "must be an integer from 0 to 9007199254740991")
		}
		least = max(least, n)
	}
	return es.Position(least)
}

// present answers with the document as the view has it.
func (s *server) present(w http.ResponseWriter, r *http.Request, m *es.Module, id string, least es.Position) error {
	if err := s.await(r, least); err != nil {
		return err
	}
	d, at, err := s.Engine.View(r.Context(), m, id)
	if err != nil {
		return err
	}
	setPosition(w.Header(), at)
	return answerDocument(w, r, m, d.Version, d.Values)
}

// await waits until the view is as far as the client asks.
func (s *server) await(r *http.Request, least es.Position) error {
	if least == 0 {
		return nil
	}
	return s.Engine.AwaitView(r.Context(), least, s.Freshness)
}

// past answers with the document as it was. The store is read, which is never behind itself.
func (s *server) past(w http.ResponseWriter, r *http.Request, m *es.Module, id string, until engine.Until, least es.Position) error {
	if err := s.reached(r, least); err != nil {
		return err
	}
	f, err := s.Engine.StateAt(r.Context(), m, id, until)
	if err != nil {
		return err
	}
	setPosition(w.Header(), f.Position)
	return answerDocument(w, r, m, f.Version, m.View.Values(id, &f))
}

// reached refuses a position that the store does not have yet.
func (s *server) reached(r *http.Request, least es.Position) error {
	if least == 0 {
		return nil
	}
	return s.Engine.Reached(r.Context(), least)
}

func answerDocument(w http.ResponseWriter, r *http.Request, m *es.Module, v es.Version, values []es.Value) error {
	setVersion(w.Header(), v)
	if r.Header.Get("If-None-Match") == etag(v) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := buffers.Get().(*[]byte)
	defer release(body)
	*body = m.View.AppendJSON(*body, values)
	answerJSON(w, http.StatusOK, *body)
	return nil
}

// effective answers with the balance by effective time.
func (s *server) effective(w http.ResponseWriter, r *http.Request, m *es.Module, id string, t time.Time, known engine.Until, least es.Position) error {
	if err := s.reached(r, least); err != nil {
		return err
	}
	e, err := s.Engine.BalanceEffective(r.Context(), m, id, t, known)
	if err != nil {
		return err
	}
	b := es.AppendString([]byte(`{"id":`), id)
	b = es.AppendString(append(b, `,"currency":`...), e.Currency)
	b = strconv.AppendInt(append(b, `,"balance":`...), e.Balance, 10)
	b = appendMoment(append(b, `,"effectiveAt":`...), t)
	b = appendMoment(append(b, `,"at":`...), e.KnownAt)
	answerJSON(w, http.StatusOK, append(b, '}'))
	return nil
}

// appendMoment appends a time as a JSON string; null for the zero time.
func appendMoment(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(dst, "null"...)
	}
	return append(es.AppendTime(append(dst, '"'), t), '"')
}
