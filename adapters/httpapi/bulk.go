package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
)

const (
	bulkPath   = "/v1/commands"
	groupLines = 256      // lines that are decided together, when they are there already
	groupsOpen = 4        // groups that wait for their answers: about 1000 lines are on their way
	atomicMost = 1000     // lines of an atomic request
	writeSize  = 32 << 10 // answers are written at this size, or when nothing more is waiting
	linesType  = "application/x-ndjson"
)

func (s *server) bulkRoute() route {
	return route{
		method: http.MethodPost, path: bulkPath, right: access.PayIn, operation: describeBulk(s.Engine.Registry),
		params: []*huma.Param{flagParam("atomic", "All lines are accepted or none has an effect; at most 1000 lines.")},
		serve:  s.bulk,
	}
}

// bulkLine is one line on its way.
type bulkLine struct {
	number   int
	envelope wire.Envelope
	err      error // it could not be read
}

// lineGroup is some lines that are decided together.
type lineGroup struct {
	lines    []bulkLine
	requests []engine.Request // of the lines that could be read; used again once they are submitted
	ticket   *engine.Ticket
	err      error // the engine did not take them
}

var lineGroups = sync.Pool{New: func() any { return new(lineGroup) }}

func (g *lineGroup) release() {
	clear(g.lines)
	clear(g.requests)
	*g = lineGroup{lines: g.lines[:0], requests: g.requests[:0]}
	lineGroups.Put(g)
}

// add reads one line into the group.
func (g *lineGroup) add(reg *es.Registry, number int, text []byte, err error, meta es.Metadata) {
	line := bulkLine{number: number, err: err}
	if err == nil {
		line.envelope, line.err = wire.DecodeEnvelope(reg, text)
	}
	g.lines = append(g.lines, line)
	if line.err == nil {
		g.requests = append(g.requests, line.envelope.Request(meta))
	}
}

// stream is one request of many commands, while it is read and answered.
type stream struct {
	s       *server
	w       http.ResponseWriter
	control *http.ResponseController
	lines   *lineReader
	request *http.Request
	meta    es.Metadata
	id      string // of the request
	groups  chan *lineGroup
}

// bulk serves many commands in one request.
func (s *server) bulk(w http.ResponseWriter, r *http.Request, q *values) error {
	atomic := q.flag("atomic")
	if err := q.fault(); err != nil {
		return err
	}
	if err := mediaType(r.Header, linesType, "application/ndjson"); err != nil {
		return err
	}
	b := &stream{s: s, w: w, request: r, control: http.NewResponseController(w), meta: metadata(w, r), id: requestIDOf(w), groups: make(chan *lineGroup, groupsOpen)}
	_ = b.control.EnableFullDuplex() // a connection that cannot is half duplex, and the client reads at the end
	b.lines = newLineReader(&patientBody{r.Body, b.control, s.Patience, func() error { return s.goesOn(r) }})
	defer b.lines.release()
	defer func() { _ = b.control.SetWriteDeadline(time.Time{}) }() // it belongs to this request, not to the connection
	if atomic {
		return b.atomic(r.Context())
	}
	b.w.Header()["Content-Type"] = []string{linesType}
	if r.Header.Get("Expect") == "" { // else the client waits for a sign that only reading gives
		b.w.WriteHeader(http.StatusOK)
		_ = b.control.Flush()
	}
	return b.run(r.Context())
}

// run reads and answers at once, until the client has sent all or is cut off.
func (b *stream) run(ctx context.Context) error {
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	answered := make(chan error, 1)
	go func() { answered <- b.answer(ctx, cut) }()
	readErr := b.read(ctx)
	close(b.groups)
	writeErr := <-answered
	switch {
	case writeErr != nil:
		b.s.Logger.Warn("a stream of commands was cut off", "request", b.id, "error", writeErr)
	case readErr != nil:
		b.s.Logger.Info("a stream of commands ended early", "request", b.id, "error", readErr)
		b.s.noteRefusal(b.request, b.id, readErr, "")
		p := wire.NewProblem(readErr, bulkPath, b.id)
		_ = b.write(wire.AppendErrorLine(nil, b.lines.number+1, "", false, p), true) // it is cut off in any case
	default:
		return nil
	}
	b.stopReading()             // closing would read on, for as long as the client is waited for
	panic(http.ErrAbortHandler) // the client must not take what it got for all there was
}

// read groups the lines that are there, has them decided, and hands them on to be answered. nil: all were read.
func (b *stream) read(ctx context.Context) error {
	for {
		g := lineGroups.Get().(*lineGroup)
		end := b.fill(g)
		if len(g.lines) > 0 {
			if len(g.requests) > 0 {
				g.ticket, g.err = b.s.Engine.Submit(ctx, false, g.requests...)
			}
			if g.err != nil && fault.KindOf(g.err) == fault.Unavailable {
				end = g.err // the engine stops: nothing that follows would be taken
			}
			select {
			case b.groups <- g:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		switch {
		case errors.Is(end, io.EOF):
			return nil
		case end != nil:
			return end
		}
	}
}

// fill waits for a line and adds those that are there already.
func (b *stream) fill(g *lineGroup) error {
	for {
		text, err := b.lines.next()
		if err != nil && !errors.Is(err, errLineTooLong) {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return brokenBody(err)
		}
		g.add(b.s.Engine.Registry, b.lines.number, text, err, b.meta)
		if len(g.lines) == groupLines || !b.lines.waiting() {
			return nil
		}
	}
}

// answer writes the answers of the groups, in order. When the client does not take them it cuts the stream.
func (b *stream) answer(ctx context.Context, cut context.CancelFunc) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("httpapi: panic: %v\n%s", p, debug.Stack())
		}
		if err == nil {
			return
		}
		cut()
		b.stopReading()
		for g := range b.groups {
			g.release()
		}
	}()
	out := buffers.Get().(*[]byte)
	defer release(out)
	for g := range b.groups {
		*out = b.appendAnswers(ctx, *out, g)
		g.release()
		if idle := len(b.groups) == 0; idle || len(*out) >= writeSize {
			if err := b.write(*out, idle); err != nil {
				return err
			}
			*out = (*out)[:0]
		}
	}
	return nil
}

// stopReading wakes a reader that waits for the client.
func (b *stream) stopReading() { _ = b.control.SetReadDeadline(time.Unix(1, 0)) }

// appendAnswers waits for the results of a group and appends a line for each of its lines.
func (b *stream) appendAnswers(ctx context.Context, dst []byte, g *lineGroup) []byte {
	var results []engine.Result
	err := g.err
	if g.ticket != nil && err == nil {
		results, err = g.ticket.Wait(ctx)
	}
	next := 0
	for i := range g.lines {
		line := &g.lines[i]
		if line.err != nil {
			dst = wire.AppendErrorLine(dst, line.number, line.envelope.ID, false, wire.NewProblem(line.err, bulkPath, b.id))
			continue
		}
		result := engine.Result{Err: err}
		if err == nil {
			result = results[next]
		}
		next++
		dst = b.appendResult(dst, &line.envelope, &result)
	}
	return dst
}

func (b *stream) appendResult(dst []byte, e *wire.Envelope, result *engine.Result) []byte {
	if result.Err == nil {
		return wire.AppendAnswerLine(dst, e, &result.Answer)
	}
	if fault.KindOf(result.Err) == fault.Internal {
		b.s.Logger.Error("a line failed", "request", b.id, "account", string(e.Command.Stream), "error", result.Err.Error())
	}
	b.s.noteRefusal(b.request, b.id, result.Err, e.Command.Type.Name+" "+string(e.Command.Stream))
	return wire.AppendErrorLine(dst, 0, e.ID, result.Answer.Replayed, wire.NewProblem(result.Err, bulkPath, b.id))
}

// write sends answers to the client, which must take them before patience ends.
func (b *stream) write(out []byte, flush bool) error {
	_ = b.control.SetWriteDeadline(time.Now().Add(b.s.Patience)) // a connection without deadlines is the server's choice
	if _, err := b.w.Write(out); err != nil {
		return err
	}
	if flush {
		return b.control.Flush()
	}
	return nil
}

// atomic reads all lines before it has them decided: all are accepted or none has an effect.
func (b *stream) atomic(ctx context.Context) error {
	g := lineGroups.Get().(*lineGroup)
	defer g.release()
	for {
		text, err := b.lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errLineTooLong) {
			return brokenBody(err)
		}
		if len(g.lines) == atomicMost {
			return errTooManyLines
		}
		g.add(b.s.Engine.Registry, b.lines.number, text, err, b.meta)
	}
	if len(g.requests) < len(g.lines) {
		g.err = engine.ErrAtomicRefused
	} else if len(g.lines) > 0 {
		var err error
		if g.ticket, err = b.s.Engine.Submit(ctx, true, g.requests...); err != nil {
			return err
		}
	}
	b.w.Header()["Content-Type"] = []string{linesType}
	return b.write(b.appendAnswers(ctx, nil, g), true)
}
