package httpapi

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"daybook/adapters/wire"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
)

// buffers are for bodies and answers of usual size.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// release gives a buffer back, unless it has grown beyond what is worth keeping.
func release(b *[]byte) {
	if cap(*b) <= 2*wire.MaxBody {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// commandRoutes are the commands of a module.
func (s *server) commandRoutes(m *es.Module) []route {
	routes := make([]route, len(m.Commands))
	for i := range m.Commands {
		t := &m.Commands[i]
		routes[i] = route{
			method: http.MethodPost, path: "/v1/" + m.Name + "/{id}/" + t.Name, right: t.Needs,
			operation: describeCommand(m, t),
			params: []*huma.Param{
				idParam(m), flagParam("dryRun", "Decide and answer, but write nothing."),
				headerParam("Idempotency-Key", "Makes a retry safe: the same key with the same content gives the first answer again. 1 to 255 visible characters, bare or in quotes."),
				headerParam("If-Match", `Only if the `+m.Noun+` is at this version, such as "2".`),
				headerParam("traceparent", "W3C trace context; kept in the events' metadata."),
				headerParam("X-Request-Id", "1 to 128 visible characters; kept in the events' metadata and given back."),
			},
			serve: s.command(m, t),
		}
	}
	return routes
}

// command serves one command.
func (s *server) command(m *es.Module, t *es.CommandType) handler {
	return func(w http.ResponseWriter, r *http.Request, q *values) error {
		// gofail: var beforeDecode struct{}
		request, err := s.commandRequest(w, r, q, m, t)
		if err != nil {
			return err
		}
		// gofail: var afterDecode struct{}
		answer, err := s.Engine.Execute(r.Context(), request)
		h := w.Header()
		if answer.Replayed {
			h["Idempotency-Replayed"] = yes
		}
		if err != nil {
			return wire.Unsettled(err, request.Key)
		}
		id, status := m.ID(request.Command.Stream), http.StatusOK
		if !request.DryRun {
			status = wire.SuccessStatus(t)
			if answer.Version > 0 {
				setVersion(h, answer.Version)
			}
			setPosition(h, answer.Position)
		}
		if status == http.StatusCreated {
			h["Location"] = []string{"/v1/" + m.Name + "/" + id}
		}
		body := buffers.Get().(*[]byte)
		defer release(body)
		*body = wire.AppendAnswer(*body, m, id, &answer)
		answerJSON(w, status, *body)
		return nil
	}
}

// commandRequest reads all that a command is made of.
func (s *server) commandRequest(w http.ResponseWriter, r *http.Request, q *values, m *es.Module, t *es.CommandType) (request engine.Request, err error) {
	request.DryRun = q.flag("dryRun")
	if err = q.fault(); err != nil {
		return request, err
	}
	id, err := aggregateID(r)
	if err != nil {
		return request, err
	}
	if err = mediaType(r.Header, "application/json"); err != nil {
		return request, err
	}
	if request.Key, err = idempotencyKey(r.Header); err != nil {
		return request, err
	}
	if request.Expected, err = ifMatch(r.Header); err != nil {
		return request, err
	}
	text := buffers.Get().(*[]byte)
	defer release(text)
	if *text, err = readBody(*text, r); err != nil {
		return request, err
	}
	body, err := wire.Decode(t, *text)
	if err != nil {
		return request, err
	}
	request.Command = es.Command{Module: m, Type: t, Stream: m.Stream(id), Body: body}
	request.Metadata = metadata(w, r)
	return request, nil
}

// readBody appends the body to dst and stops when it is longer than one command may be.
func readBody(dst []byte, r *http.Request) ([]byte, error) {
	if r.ContentLength > wire.MaxBody {
		return dst, tooLarge(r.Body)
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Body.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > wire.MaxBody:
			return dst, tooLarge(r.Body)
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, brokenBody(err)
		}
	}
}

// graceBody is how much of a body that is too large is still read: a client that is about done sending then reads its answer,
// where the connection would else be reset under it.
const graceBody = 128 << 10

func tooLarge(body io.Reader) error {
	_, _ = io.CopyN(io.Discard, body, graceBody) // whatever it gives, the answer is the same
	return errBodyTooLarge
}

// brokenBody says why a body could not be read to its end.
func brokenBody(err error) error {
	var f *fault.Fault
	switch {
	case errors.As(err, &f): // it says so itself
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTimeout.Because(err)
	}
	return errBodyBroken.Because(err)
}
