package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"daybook/adapters/wire"
)

// lineReader cuts a body into lines of at most wire.MaxBody bytes, in memory that does not grow.
type lineReader struct {
	buffered *bufio.Reader
	number   int // of the last line, from 1; blank lines count
}

// lineBuffers are large enough for the longest line with its end.
var lineBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, wire.MaxBody+2) }}

func newLineReader(body io.Reader) *lineReader {
	b := lineBuffers.Get().(*bufio.Reader)
	b.Reset(body)
	return &lineReader{buffered: b}
}

func (l *lineReader) release() {
	l.buffered.Reset(nil)
	lineBuffers.Put(l.buffered)
}

// next gives the next line that is not blank, valid until the call after it. A line that is too long is skipped and is
// errLineTooLong; after that the next one can be read. io.EOF: there are no more.
func (l *lineReader) next() ([]byte, error) {
	for {
		line, err := l.buffered.ReadSlice('\n')
		if len(line) == 0 {
			return nil, err
		}
		l.number++
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, l.skip()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err // what there is of the line is not a line
		}
		line = bytes.TrimSpace(line)
		if len(line) > wire.MaxBody {
			return nil, errLineTooLong
		}
		if len(line) > 0 {
			return line, nil
		}
	}
}

// skip passes over the rest of a line that is too long.
func (l *lineReader) skip() error {
	for {
		switch _, err := l.buffered.ReadSlice('\n'); {
		case err == nil || errors.Is(err, io.EOF):
			return errLineTooLong
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// waiting reports whether a whole line can be had without reading from the client.
func (l *lineReader) waiting() bool {
	b, _ := l.buffered.Peek(l.buffered.Buffered()) // no more than there is: never fails
	return bytes.IndexByte(b, '\n') >= 0
}

// patientBody gives each read of a body a new deadline, so that a client that sends nothing is noticed, and takes nothing that came
// when its sender may not send it any more.
type patientBody struct {
	body     io.Reader
	control  *http.ResponseController
	patience time.Duration
	goesOn   func() error
}

func (p *patientBody) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(p.patience)) // a connection without deadlines is the server's choice
	n, err := p.body.Read(b)
	if errors.Is(err, io.EOF) {
		_ = p.control.SetReadDeadline(time.Time{}) // from here on nothing is read, and the answer may take its time
	}
	if ended := p.goesOn(); ended != nil {
		return 0, ended
	}
	return n, err
}
