package wire

import (
	"net/http"
	"strconv"

	"daybook/core/engine"
	"daybook/core/es"
)

// AppendAnswer appends the answer to an accepted command: the stream it was sent to, where that and the store now are, and
// the events it brought. Who may not be told that gets the position alone.
func AppendAnswer(dst []byte, m *es.Module, id string, a *engine.Answer) []byte {
	dst = append(dst, '{')
	dst = appendStanding(dst, m, id, a)
	if a.Version == 0 {
		return append(dst, '}')
	}
	dst = append(dst, `,"events":[`...)
	for i := range a.Events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":"evt-`...)
		dst = strconv.AppendUint(dst, uint64(a.Events[i].Position), 10)
		dst = append(dst, `","eventType":`...)
		dst = es.AppendString(dst, a.Events[i].Type)
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendUint(dst, uint64(a.Events[i].Version), 10)
		dst = append(dst, `,"position":`...)
		dst = strconv.AppendUint(dst, uint64(a.Events[i].Position), 10)
		dst = append(dst, '}')
	}
	return append(dst, ']', '}')
}

// appendStanding appends the members that say which aggregate it is and how it stands.
func appendStanding(dst []byte, m *es.Module, id string, a *engine.Answer) []byte {
	dst = es.AppendString(dst, m.Noun)
	dst = append(dst, ':')
	dst = es.AppendString(dst, id)
	if a.Version > 0 {
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendUint(dst, uint64(a.Version), 10)
	}
	dst = append(dst, `,"position":`...)
	dst = strconv.AppendUint(dst, uint64(a.Position), 10)
	if m.Ledger != nil && a.Version > 0 {
		dst = append(dst, `,"balance":`...)
		dst = strconv.AppendInt(dst, a.Balance, 10)
	}
	return dst
}

// SuccessStatus is the status of an accepted command.
func SuccessStatus(t *es.CommandType) int {
	if t.Creates {
		return http.StatusCreated
	}
	return http.StatusOK
}

// AppendAnswerLine appends the answer to an envelope that was accepted, as one line with its end.
func AppendAnswerLine(dst []byte, e *Envelope, a *engine.Answer) []byte {
	dst = append(dst, `{"id":`...)
	dst = es.AppendString(dst, e.ID)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(SuccessStatus(e.Command.Type)), 10)
	dst = append(dst, ',')
	dst = appendStanding(dst, e.Command.Module, e.AggregateID, a)
	dst = append(dst, `,"replayed":`...)
	dst = strconv.AppendBool(dst, a.Replayed)
	return append(dst, '}', '\n')
}

// AppendErrorLine appends the answer to an envelope that was refused, as one line with its end. line is the number of a
// line that could not be read, from 1; 0 leaves it out, and so does "" for the id.
func AppendErrorLine(dst []byte, line int, id string, replayed bool, p *Problem) []byte {
	dst = append(dst, '{')
	if line > 0 {
		dst = append(dst, `"line":`...)
		dst = strconv.AppendInt(dst, int64(line), 10)
		dst = append(dst, ',')
	}
	if id != "" {
		dst = append(dst, `"id":`...)
		dst = es.AppendString(dst, id)
		dst = append(dst, ',')
	}
	dst = append(dst, `"status":`...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	if replayed {
		dst = append(dst, `,"replayed":true`...)
	}
	dst = append(dst, `,"error":`...)
	dst = p.AppendJSON(dst)
	return append(dst, '}', '\n')
}
