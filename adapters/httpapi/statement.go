package httpapi

import (
	"encoding/csv"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"
	"github.com/go-json-experiment/json"

	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

const csvType = "text/csv; charset=utf-8"

// statementRoute is the statement of a module that keeps amounts.
func (s *server) statementRoute(m *es.Module) route {
	return route{
		method: http.MethodGet, path: "/v1/" + m.Name + "/{id}/statement", operation: describeStatement(m), serve: s.statement(m),
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

func wantsCSV(h http.Header) bool {
	return negotiation.SelectQValue(strings.Join(h["Accept"], ","), []string{"application/json", "text/csv"}) == "text/csv"
}

// entryText is what an entry's event says beside its amount, by the names that ledger modules give it.
type entryText struct {
	Corrects    string `json:"corrects"`
	TransferID  string `json:"transferId"`
	To          string `json:"to"`
	From        string `json:"from"`
	Reference   string `json:"reference"`
	Description string `json:"description"`
}

// text reads an entry's texts from its event in its current schema.
func (s *server) text(e *engine.Entry) (entryText, error) {
	var t entryText
	data, _, err := s.Engine.Registry.Encode(nil, e.Event)
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(data, &t)
}

// counterparty is the other account of a transfer.
func (t *entryText) counterparty() string { return t.To + t.From }

// json answers with the statement as one document, written in pieces.
func (a *answeredStatement) json() error {
	a.w.Header()["Content-Type"] = jsonType
	buffer := buffers.Get().(*[]byte)
	defer release(buffer)
	b := es.AppendString(append(*buffer, `{"id":`...), a.id)
	b = es.AppendString(append(b, `,"currency":`...), a.Currency)
	b = appendMoment(append(b, `,"from":`...), a.from)
	b = appendMoment(append(b, `,"to":`...), a.to)
	b = appendMoment(append(b, `,"at":`...), a.at)
	b = strconv.AppendInt(append(b, `,"openingBalance":`...), a.Opening, 10)
	b = append(b, `,"entries":[`...)
	first := true
	next, err := a.pages(func(page []engine.Entry) error {
		for i := range page {
			if !first {
				b = append(b, ',')
			}
			first = false
			t, err := a.text(&page[i])
			if err != nil {
				return err
			}
			b = appendEntry(b, &page[i], &t)
			if len(b) >= writeSize {
				if _, err := a.w.Write(b); err != nil {
					panic(http.ErrAbortHandler) // the client has left
				}
				b = b[:0]
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b = strconv.AppendInt(append(b, `],"closingBalance":`...), a.Closing, 10)
	if next != "" {
		b = es.AppendString(append(b, `,"next":`...), next)
	}
	*buffer = append(b, '}')
	_, _ = a.w.Write(*buffer) // a client that left is no failure of ours
	return nil
}

func appendEntry(dst []byte, e *engine.Entry, t *entryText) []byte {
	dst = es.AppendString(append(dst, `{"id":`...), e.Recorded.Position.EventID())
	dst = es.AppendString(append(dst, `,"eventType":`...), e.Recorded.Type)
	dst = appendMoment(append(dst, `,"effectiveAt":`...), e.Recorded.EffectiveAt)
	dst = appendMoment(append(dst, `,"recordedAt":`...), e.Recorded.RecordedAt)
	dst = strconv.AppendInt(append(dst, `,"amount":`...), e.Amount, 10)
	dst = strconv.AppendInt(append(dst, `,"balance":`...), e.Balance, 10)
	dst = strconv.AppendUint(append(dst, `,"version":`...), uint64(e.Recorded.Version), 10)
	dst = strconv.AppendUint(append(dst, `,"position":`...), uint64(e.Recorded.Position), 10)
	for _, f := range [...]struct{ key, value string }{
		{`,"corrects":`, t.Corrects}, {`,"transferId":`, t.TransferID}, {`,"counterparty":`, t.counterparty()}, {`,"reference":`, t.Reference}, {`,"description":`, t.Description},
	} {
		if f.value != "" {
			dst = es.AppendString(append(dst, f.key...), f.value)
		}
	}
	return append(dst, '}')
}

// csvColumns are the columns of a statement. The first row after them is the opening balance, the last one the closing balance.
var csvColumns = []string{
	"effectiveAt", "recordedAt", "id", "eventType", "amount", "balance", "version", "position",
	"transferId", "counterparty", "reference", "description",
}

// csv answers with the statement as a table, written in pieces.
func (a *answeredStatement) csv() error {
	h := a.w.Header()
	h["Content-Type"] = []string{csvType}
	h["Content-Disposition"] = []string{`attachment; filename="statement-` + a.id + `.csv"`}
	rows := csv.NewWriter(a.w)
	_ = rows.Write(csvColumns) // the writer keeps its first error for the end
	_ = rows.Write([]string{momentText(a.from), "", "", "OpeningBalance", "", strconv.FormatInt(a.Opening, 10), "", "", "", "", "", ""})
	_, err := a.pages(func(page []engine.Entry) error {
		for i := range page {
			e := &page[i]
			t, err := a.text(e)
			if err != nil {
				return err
			}
			_ = rows.Write([]string{
				momentText(e.Recorded.EffectiveAt), momentText(e.Recorded.RecordedAt), e.Recorded.Position.EventID(), e.Recorded.Type,
				strconv.FormatInt(e.Amount, 10), strconv.FormatInt(e.Balance, 10),
				strconv.FormatUint(uint64(e.Recorded.Version), 10), strconv.FormatUint(uint64(e.Recorded.Position), 10),
				cell(t.TransferID), cell(t.counterparty()), cell(t.Reference), cell(t.Description),
			})
		}
		if rows.Error() != nil {
			panic(http.ErrAbortHandler) // the client has left
		}
		return nil
	})
	if err != nil {
		h.Del("Content-Disposition")
		return err
	}
	_ = rows.Write([]string{momentText(a.to), "", "", "ClosingBalance", "", strconv.FormatInt(a.Closing, 10), "", "", "", "", "", ""})
	rows.Flush() // a client that left is no failure of ours
	return nil
}

func momentText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return string(es.AppendTime(nil, t))
}

// cell keeps a spreadsheet from taking a text for a formula.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
