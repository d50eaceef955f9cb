package apiclient

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// Answer is what the server says to one envelope.
type Answer struct {
	ID       string   `json:"id"`
	Status   int      `json:"status"`
	Position uint64   `json:"position"`
	Replayed bool     `json:"replayed"`
	Error    *Problem `json:"error"`
	Resent   bool     `json:"-"` // the line was sent more than once
}

// Line is one envelope, with what the caller wants to know of it when its answer comes.
type Line[T any] struct {
	ID   string // the envelope's id
	JSON []byte // the envelope, without line end
	What T

	sent int
}

// Exchange is a two-way stream of commands: lines go out while answers come in, both in order, and no more than a window of lines
// is on its way at any time. When the connection breaks, the server is busy or a line's outcome is unknown, it connects again and
// sends once more every line that was not answered: their ids make that safe.
type Exchange[T any] struct {
	Client *Client
	Next   func(ctx context.Context) (Line[T], error) // gives the next line, io.EOF at the end; called by one goroutine
	Took   func(what T, a Answer)                     // is told each line's answer, in order; called by one goroutine
	Broken func(err error, again time.Duration)       // is told before each new connection how long it waits; may be nil
	Window int                                        // lines on their way at the most; 0 means 4096
}

// errCut is the cause when the server ends the stream before it has answered everything.
var errCut = errors.New("the server ended the stream early")

// Run sends until Next gives io.EOF and every line is answered. It gives up with *Unreachable when the server cannot be reached
// at first, or does not get on for as long as the client's patience; with the *Problem that the server answers to the stream as a
// whole; or with the error of Next, once all lines before it are answered. Next may still be in progress when Run fails.
func (x *Exchange[T]) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := newFlight[T](cmp.Or(x.Window, 4096))
	go f.feed(ctx, x.Next)

	var down outage
	for {
		if more, err := f.pending(ctx); !more {
			return err
		}
		got, err := x.connect(ctx, f)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if got {
			down = outage{reached: true}
		}
		wait, goOn := down.next(err, x.Client.patience)
		if !goOn {
			return err
		}
		if x.Broken != nil {
			x.Broken(err, wait)
		}
		if err := Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// connect sends what is in flight and what follows it over one connection, until all is answered or something breaks. It
// reports whether the server answered any line.
func (x *Exchange[T]) connect(ctx context.Context, f *flight[T]) (got bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	patience := x.Client.patience
	stall := time.AfterFunc(patience, func() {
		if f.waiting() || f.done() {
			cancel(context.DeadlineExceeded)
		}
	})
	body, out := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = out.CloseWithError(f.write(ctx, out, func() { stall.Reset(patience) }))
	}()
	defer func() {
		if cause := context.Cause(ctx); err != nil && errors.Is(cause, context.DeadlineExceeded) {
			err = &Unreachable{x.Client.Server(), cause}
		}
		cancel(nil)
		stall.Stop()
		_ = body.Close()
		<-written
	}()

	resp, err := x.Client.do(ctx, http.MethodPost, "/v1/commands", nil, http.Header{"Content-Type": {"application/x-ndjson"}}, body)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	in := bufio.NewReaderSize(resp.Body, 256<<10)
	for {
		text, err := in.ReadSlice('\n')
		switch {
		case f.done():
			return got, nil
		case errors.Is(err, io.EOF) && !f.waiting():
			return got, nil // an idle stream was cut: the next line opens another
		case errors.Is(err, io.EOF):
			return got, &Unreachable{x.Client.Server(), errCut}
		case err != nil:
			return got, &Unreachable{x.Client.Server(), err}
		}
		if err := x.answer(text, f); errors.Is(err, errCut) && !f.waiting() {
			return got, nil // as above, with words
		} else if err != nil {
			return got, err
		}
		got = true
		stall.Reset(patience)
	}
}

// answer takes one line of the server's. An error leaves the line in flight.
func (x *Exchange[T]) answer(text []byte, f *flight[T]) error {
	var a Answer
	if err := json.Unmarshal(text, &a); err != nil || a.Status == 0 {
		return fmt.Errorf("%s answers a command with something that is no answer: %.100q", x.Client.Server(), text)
	}
	if a.Error != nil && a.ID == "" && a.Error.ofStream() {
		return &Unreachable{x.Client.Server(), errCut}
	}
	line, ok := f.oldest()
	if !ok || a.ID != "" && a.ID != line.ID {
		return fmt.Errorf("%s answers the command %q, but the next answer due was that of %q", x.Client.Server(), a.ID, line.ID)
	}
	if a.Status >= 300 {
		if a.Error == nil {
			a.Error = &Problem{Status: a.Status}
		}
		if a.Error.transient() || a.Status == http.StatusUnauthorized {
			return a.Error
		}
	}
	a.Resent = line.sent > 1
	x.Took(line.What, a)
	f.answered()
	return nil
}
