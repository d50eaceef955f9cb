package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"daybook/core/engine"
	"daybook/core/es"
)

// feed serves the store as server-sent events: what there is after a position, then what comes, without gap.
func (s *server) feed(w http.ResponseWriter, r *http.Request, q *values) error {
	after, eventType := s.feedAfter(q, r.Header), s.eventType(q)
	if err := q.fault(); err != nil {
		return err
	}
	if err := s.Engine.MayFollow(r.Context(), after); err != nil {
		return err
	}
	if s.Lifetime.Err() != nil {
		return engine.ErrStopping
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return errTooManyStreams
	}
	h := w.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	if r.Method == http.MethodHead {
		return nil
	}
	f := &liveFeed{s: s, w: w, r: r, control: http.NewResponseController(w), eventType: eventType}
	_ = f.control.SetReadDeadline(time.Time{})                     // nothing more is read, and the server's own deadline would end the feed
	defer func() { _ = f.control.SetWriteDeadline(time.Time{}) }() // it belongs to this feed, not to the connection
	f.run(after)
	return nil
}

// feedAfter is the position to go on after. Last-Event-ID wins: a browser that connects again sends the first URL with it.
func (s *server) feedAfter(q *values, h http.Header) es.Position {
	after := q.number("after", 0, es.MaxAmount, 0)
	if given := h["Last-Event-Id"]; len(given) > 0 && given[0] != "" {
		n, ok := integer(given[0])
		if !ok || len(given) > 1 || n < 0 || n > es.MaxAmount {
			q.refuse("Last-Event-ID", "must be a position: an integer from 0 to 9007199254740991")
		}
		after = n
	}
	return es.Position(after)
}

// liveFeed is one client that follows the store.
type liveFeed struct {
	s         *server
	w         http.ResponseWriter
	r         *http.Request
	control   *http.ResponseController
	eventType string
}

// run follows the store until the client leaves, does not take what it is sent or may not have it any more, or the process ends.
func (f *liveFeed) run(after es.Position) {
	ctx, stop := context.WithCancel(f.r.Context())
	defer stop()
	defer context.AfterFunc(f.s.Lifetime, stop)()
	pages, ended := make(chan []es.Recorded), make(chan error, 1)
	var following sync.WaitGroup
	following.Go(func() {
		ended <- f.s.Engine.Follow(ctx, after, func(page []es.Recorded) error {
			select {
			case pages <- page:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	err := f.pump(pages, ended)
	stop()
	following.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		f.s.Logger.Info("a live feed ended", "request", requestIDOf(f.w), "error", err)
		f.s.noteRefusal(f.r, requestIDOf(f.w), err, "")
	}
}

// pump writes pages as they come, and a comment when none has come for a while, so that both sides notice a dead
// connection. It returns when following has ended.
func (f *liveFeed) pump(pages <-chan []es.Recorded, ended <-chan error) error {
	beat := time.NewTicker(f.s.Heartbeat)
	defer beat.Stop()
	buffer := buffers.Get().(*[]byte)
	defer release(buffer)
	out := append(*buffer, "retry: 2000\n\n"...)
	for {
		if err := f.write(out); err != nil {
			return err
		}
		select {
		case page := <-pages:
			out = f.appendPage(out[:0], page)
		case <-beat.C:
			out = append(out[:0], ": still here\n\n"...)
		case err := <-ended:
			return err
		}
		*buffer = out
	}
}

func (f *liveFeed) appendPage(dst []byte, page []es.Recorded) []byte {
	for i := range page {
		r := &page[i]
		if f.eventType != "" && r.Type != f.eventType {
			continue
		}
		dst = append(dst, "id: "...)
		dst = strconv.AppendUint(dst, uint64(r.Position), 10)
		dst = append(dst, "\nevent: "...)
		dst = append(dst, r.Type...)
		dst = append(dst, "\ndata: "...)
		dst = r.AppendJSON(dst)
		dst = append(dst, '\n', '\n')
	}
	return dst
}

// write sends text that the client must take before patience ends, if it may still have it.
func (f *liveFeed) write(text []byte) error {
	if err := f.s.goesOn(f.r); err != nil {
		return err
	}
	if len(text) == 0 {
		return nil
	}
	_ = f.control.SetWriteDeadline(time.Now().Add(f.s.Patience)) // a connection without deadlines is the server's choice
	if _, err := f.w.Write(text); err != nil {
		return err
	}
	return f.control.Flush()
}
