package httpapi

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/negotiation"
	"github.com/go-json-experiment/json"

	"daybook/core/engine"
	"daybook/core/es"
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
		},
	}
}

// period is what a statement is asked for.
type period struct {
	id           string
	from, to, at time.Time
}

// statement serves what moved a balance over a period.
func (s *server) statement(m *es.Module) handler {
	return func(w http.ResponseWriter, r *http.Request, q *values) error {
		p := period{from: q.moment("from"), to: q.moment("to"), at: q.moment("at")}
		if !p.from.IsZero() && !p.to.IsZero() && !p.from.Before(p.to) {
			q.refuse("to", "must be later than from")
		}
		if err := q.fault(); err != nil {
			return err
		}
		var err error
		if p.id, err = aggregateID(r); err != nil {
			return err
		}
		st, err := s.Engine.Statement(r.Context(), m, p.id, p.from, p.to, engine.Until{At: p.at})
		if err != nil {
			return err
		}
		if p.at.IsZero() {
			p.at = s.Engine.Now()
		}
		if wantsCSV(r.Header) {
			return s.statementCSV(w, &p, &st)
		}
		return s.statementJSON(w, &p, &st)
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
	event, err := s.Engine.Registry.Decode(e.Recorded)
	if err != nil {
		return t, err
	}
	data, _, err := s.Engine.Registry.Encode(nil, event)
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(data, &t)
}

// counterparty is the other account of a transfer.
func (t *entryText) counterparty() string { return t.To + t.From }

// statementJSON answers with the statement as one document, written in pieces.
func (s *server) statementJSON(w http.ResponseWriter, p *period, st *engine.Statement) error {
	w.Header()["Content-Type"] = jsonType
	buffer := buffers.Get().(*[]byte)
	defer release(buffer)
	b := es.AppendString(append(*buffer, `{"id":`...), p.id)
	b = es.AppendString(append(b, `,"currency":`...), st.Currency)
	b = appendMoment(append(b, `,"from":`...), p.from)
	b = appendMoment(append(b, `,"to":`...), p.to)
	b = appendMoment(append(b, `,"at":`...), p.at)
	b = strconv.AppendInt(append(b, `,"openingBalance":`...), st.Opening, 10)
	b = append(b, `,"entries":[`...)
	for i := range st.Entries {
		if i > 0 {
			b = append(b, ',')
		}
		t, err := s.text(&st.Entries[i])
		if err != nil {
			return err
		}
		b = appendEntry(b, &st.Entries[i], &t)
		if len(b) >= writeSize {
			if _, err := w.Write(b); err != nil {
				return nil // the client has left
			}
			b = b[:0]
		}
	}
	b = strconv.AppendInt(append(b, `],"closingBalance":`...), st.Closing, 10)
	*buffer = append(b, '}')
	_, _ = w.Write(*buffer) // a client that left is no failure of ours
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

// statementCSV answers with the statement as a table.
func (s *server) statementCSV(w http.ResponseWriter, p *period, st *engine.Statement) error {
	h := w.Header()
	h["Content-Type"] = []string{csvType}
	h["Content-Disposition"] = []string{`attachment; filename="statement-` + p.id + `.csv"`}
	rows := csv.NewWriter(w)
	_ = rows.Write(csvColumns) // the writer keeps its first error for the end
	_ = rows.Write([]string{momentText(p.from), "", "", "OpeningBalance", "", strconv.FormatInt(st.Opening, 10), "", "", "", "", "", ""})
	for i := range st.Entries {
		e := &st.Entries[i]
		t, err := s.text(e)
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
	_ = rows.Write([]string{momentText(p.to), "", "", "ClosingBalance", "", strconv.FormatInt(st.Closing, 10), "", "", "", "", "", ""})
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
