package httpapi

import (
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2/negotiation"
	"github.com/go-json-experiment/json"

	"daybook/core/engine"
	"daybook/core/es"
)

const csvType = "text/csv; charset=utf-8"

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
