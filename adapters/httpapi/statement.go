package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// statementRoute is the statement of a module that keeps amounts.
func (s *server) statementRoute(m *es.Module) route {
	return route{
		method: http.MethodGet, path: "/v1/" + m.Name + "/{id}/statement", right: access.Read, operation: describeStatement(m), serve: s.statement(m), costly: always,
		params: []*huma.Param{
			idParam(m),
			queryParam("from", timeSchema(), "The start of the period in effective time, included; open when missing."),
			queryParam("to", timeSchema(), "The end of the period in effective time, not included; open when missing."),
			queryParam("at", timeSchema(), "As known then: only what was recorded by then, included; now when missing."),
			queryParam("limit", numberSchema(1, 1000), "How many entries at the most; all of them when missing. Not for text/csv."),
			queryParam("cursor", &huma.Schema{Type: "string"}, "Where to go on: the next of the page before, with the same from, to and at. What was recorded since is left out."),
		},
	}
}

// statement serves what moved a balance over a period.
func (s *server) statement(m *es.Module) handler {
	return func(w http.ResponseWriter, r *http.Request, q *values) error {
		a := answeredStatement{server: s, w: w, r: r, from: q.moment("from"), to: q.moment("to"), at: q.moment("at")}
		if !a.from.IsZero() && !a.to.IsZero() && !a.from.Before(a.to) {
			q.refuse("to", "must be later than from")
		}
		table := wantsCSV(r.Header)
		for _, name := range []string{"limit", "cursor"} {
			if table && q.has(name) {
				q.refuse(name, "is for JSON: text/csv has all entries")
			}
		}
		a.limit = int(q.number("limit", 1, 1000, math.MaxInt64))
		if err := q.fault(); err != nil {
			return err
		}
		var err error
		if a.id, err = aggregateID(r); err != nil {
			return err
		}
		a.list = fmt.Sprintf("statement of %s %s from %q to %q at %q", m.Name, a.id, q.query.Get("from"), q.query.Get("to"), q.query.Get("at"))
		p := engine.Period{From: a.from, To: a.to, Known: engine.Until{At: a.at}}
		if a.at.IsZero() {
			a.at = s.Engine.Now()
		}
		if q.has("cursor") {
			if err := a.goOn(&p, q.query.Get("cursor")); err != nil {
				return err
			}
		}
		if a.Statement, err = s.Engine.Statement(r.Context(), m, a.id, p); err != nil {
			return err
		}
		control := http.NewResponseController(w)
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // it belongs to this answer, not to the connection
		a.stillThere = func() { _ = control.SetWriteDeadline(time.Now().Add(s.Patience)) }
		if table {
			return a.csv()
		}
		return a.json()
	}
}

// answeredStatement is a statement on its way to a client.
type answeredStatement struct {
	*server
	*engine.Statement
	w          http.ResponseWriter
	r          *http.Request
	id         string
	from, to   time.Time
	at         time.Time
	limit      int
	list       string // names the statement, for its cursors
	stillThere func() // gives the client time to take the next page; without deadlines it is the server's choice
}

// next is the cursor behind an entry: the entry's place, what was known, and when that was asked for.
func (a *answeredStatement) next(e *engine.Entry) string {
	place := e.Place()
	pinned := fmt.Sprintf("%d %d %d", place.Version, a.Known.Version, a.at.UnixMicro())
	return cursorText(a.list, ports.Cursor{Key: es.Value{Int: place.At, Str: pinned}, ID: a.id})
}

// goOn makes a period begin where a cursor says.
func (a *answeredStatement) goOn(p *engine.Period, text string) error {
	c, err := parseCursor(a.list, text)
	if err != nil {
		return err
	}
	var version, known, at int64
	if n, err := fmt.Sscanf(c.Key.Str, "%d %d %d", &version, &known, &at); n != 3 || err != nil || version < 1 || known < version {
		return errInvalidCursor
	}
	p.After = &es.Place{At: c.Key.Int, Version: es.Version(version)}
	p.Known = engine.Until{Version: es.Version(known)}
	a.at = time.UnixMicro(at).UTC()
	return nil
}

// pages calls f with all entries that are asked for, page by page, and gives the cursor behind them, if there are more.
func (a *answeredStatement) pages(f func(page []engine.Entry) error) (next string, err error) {
	for left := a.limit; ; {
		page, err := a.Next(a.r.Context(), min(left, 1000))
		if err == nil {
			err = a.goesOn(a.r)
		}
		if err != nil || len(page) == 0 {
			return "", err
		}
		a.stillThere()
		if err := f(page); err != nil {
			return "", err
		}
		if left -= len(page); left == 0 && a.More() {
			return a.next(&page[len(page)-1]), nil
		}
		if !a.More() {
			return "", nil
		}
	}
}
