package apiclient

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
)

// maxFlightBytes bounds what is on its way, whatever the length of the lines.
const maxFlightBytes = 8 << 20

// flight is the lines that were sent, or are about to be, and are not answered. It outlives connections: what is in it when one
// breaks goes out first on the next.
type flight[T any] struct {
	window int
	source chan Line[T] // what feed got from the caller

	mu    sync.Mutex
	lines []Line[T]
	bytes int
	ended bool  // the source is empty
	err   error // what the source ended with, nil for its regular end
	room  chan struct{}
}

func newFlight[T any](window int) *flight[T] {
	return &flight[T]{window: window, source: make(chan Line[T], 64), room: make(chan struct{}, 1)}
}

// feed moves lines from next to the source until next fails or the context ends.
func (f *flight[T]) feed(ctx context.Context, next func(context.Context) (Line[T], error)) {
	defer close(f.source)
	for {
		line, err := next(ctx)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				f.mu.Lock()
				f.err = err
				f.mu.Unlock()
			}
			return
		}
		select {
		case f.source <- line:
		case <-ctx.Done():
			return
		}
	}
}

// pending waits until there is a line to send. At the end it reports false and what the source ended with.
func (f *flight[T]) pending(ctx context.Context) (bool, error) {
	if f.waiting() {
		return true, nil
	}
	select {
	case line, ok := <-f.source:
		if !ok {
			return false, f.end()
		}
		f.add(line)
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// write sends what is in flight and then what the source gives, which it adds to the flight. It calls begun when a line goes
// out while none was waiting for an answer.
func (f *flight[T]) write(ctx context.Context, w io.Writer, begun func()) error {
	out := bufio.NewWriterSize(w, 32<<10)
	for _, line := range f.again() {
		if err := writeLine(out, line.JSON); err != nil {
			return err
		}
	}
	for {
		line, ok, err := f.next(ctx, out)
		if err != nil {
			return err
		}
		if !ok {
			return out.Flush()
		}
		line.sent = 1
		if f.add(line) {
			begun()
		}
		if err := writeLine(out, line.JSON); err != nil {
			return err
		}
	}
}

func writeLine(out *bufio.Writer, line []byte) error {
	_, _ = out.Write(line) // the writer keeps its first error
	return out.WriteByte('\n')
}

// next gives a line of the source once the flight has room for it. Before it waits for anything it sends what is buffered.
func (f *flight[T]) next(ctx context.Context, out *bufio.Writer) (line Line[T], ok bool, err error) {
	for f.full() {
		if err := out.Flush(); err != nil {
			return line, false, err
		}
		select {
		case <-f.room:
		case <-ctx.Done():
			return line, false, ctx.Err()
		}
	}
	select {
	case line, ok = <-f.source:
	default:
		if err := out.Flush(); err != nil {
			return line, false, err
		}
		select {
		case line, ok = <-f.source:
		case <-ctx.Done():
			return line, false, ctx.Err()
		}
	}
	if !ok {
		_ = f.end()
	}
	return line, ok, nil
}

// add puts a line in flight and reports whether it is the only one.
func (f *flight[T]) add(line Line[T]) (only bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, line)
	f.bytes += len(line.JSON)
	return len(f.lines) == 1
}

// again gives the lines in flight, which are about to be sent on a new connection.
func (f *flight[T]) again() []Line[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.lines {
		f.lines[i].sent++
	}
	return append([]Line[T](nil), f.lines...)
}

func (f *flight[T]) oldest() (line Line[T], ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lines) == 0 {
		return line, false
	}
	return f.lines[0], true
}

// answered takes the oldest line out.
func (f *flight[T]) answered() {
	f.mu.Lock()
	f.bytes -= len(f.lines[0].JSON)
	f.lines[0] = Line[T]{}
	f.lines = f.lines[1:]
	f.mu.Unlock()
	select {
	case f.room <- struct{}{}:
	default:
	}
}

func (f *flight[T]) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lines) >= f.window || f.bytes >= maxFlightBytes
}

// waiting reports whether any line waits for its answer.
func (f *flight[T]) waiting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lines) > 0
}

// done reports whether the source has ended and everything is answered.
func (f *flight[T]) done() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended && len(f.lines) == 0
}

// end notes that the source is empty and gives what it ended with.
func (f *flight[T]) end() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	return f.err
}
