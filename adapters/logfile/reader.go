package logfile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/ports"
)

// Reader reads a ledger and checks each line before it gives it; it is an engine.LogReader. Its errors are ErrDamaged, or
// those of what it reads from. One goroutine uses it.
type Reader struct {
	in     *bufio.Reader
	number int     // of the line read last
	last   es.Hash // of the last line that was no event
	ledger engine.Ledger
	tree   es.Tree
	ends   map[es.StreamID]ports.StreamEnd
	key    *string // of the outcome before
	counts trailer
	slab   []byte
}

// NewReader reads the header.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 256<<10), ends: map[es.StreamID]ports.StreamEnd{}}
	line, err := r.read()
	if err != nil {
		return nil, err
	}
	var h header
	if err := r.sealed(line, &h); err != nil {
		return nil, err
	}
	if h.Format != format {
		return nil, r.damaged("the file says that it is of the form %q; this Daybook reads %q", h.Format, format)
	}
	root, err := es.ParseHash(h.Root)
	if err != nil {
		return nil, r.damaged("its root is no hash")
	}
	r.ledger = engine.Ledger{Head: h.Head, Root: root, At: h.At}
	r.counts.Root = h.Root
	return r, nil
}

// Ledger implements engine.LogReader.
func (r *Reader) Ledger() engine.Ledger { return r.ledger }

// Line is the number of the line read last, from 1.
func (r *Reader) Line() int { return r.number }

// Next implements engine.LogReader.
func (r *Reader) Next() (*es.Recorded, *ports.Outcome, error) {
	line, err := r.read()
	if err != nil {
		return nil, nil, err
	}
	if r.counts.Events < r.ledger.Head {
		e, err := r.event(line)
		return e, nil, err
	}
	if bytes.HasPrefix(line, []byte(`{"events":`)) {
		return nil, nil, r.end(line)
	}
	o, err := r.outcome(line)
	return nil, o, err
}

// Check reads the rest and gives how it ends: nil for a whole file. progress is called for every event.
func (r *Reader) Check(ctx context.Context, progress func(p es.Position)) error {
	for {
		e, _, err := r.Next()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case e != nil:
			progress(e.Position)
		}
	}
}

func (r *Reader) damaged(format string, args ...any) error {
	return ErrDamaged.Say("Line %d: "+format+".", append([]any{r.number}, args...)...)
}

// longest is more than any line of a ledger has, in bytes.
const longest = 1 << 20

// read gives the next line without its end.
func (r *Reader) read() ([]byte, error) {
	r.number++
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull) && len(line) < longest:
			continue
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, r.damaged("it goes on for more than %d bytes, so it is no line as Daybook writes it", longest)
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil, r.damaged("the file ends here, before its last line: it was cut short")
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, r.damaged("the file ends in the middle of the line: it was cut short")
		}
		return nil, ErrDamaged.Say("Line %d: the file cannot be read on from here: %v.", r.number, err).Because(err)
	}
}

// event checks an event against all before it: sealed again it must be the same bytes.
func (r *Reader) event(line []byte) (*es.Recorded, error) {
	e, err := es.ParseRecorded(line)
	if err != nil {
		return nil, r.damaged("it is no event as Daybook writes it")
	}
	if want := r.counts.Events + 1; e.Position != want {
		return nil, r.damaged("it holds the event at position %d where %d comes next", e.Position, want)
	}
	end := r.ends[e.Stream]
	if e.Version != end.Version+1 {
		return nil, r.damaged("it holds version %d of %s where %d comes next", e.Version, e.Stream, end.Version+1)
	}
	again := e
	r.slab = again.Seal(r.slab, end.Hash)
	if !bytes.Equal(again.JSON(), line) {
		return nil, r.damaged("the event at position %d does not have the hash %s that it says it has", e.Position, e.Hash)
	}
	r.ends[e.Stream] = ports.StreamEnd{Version: e.Version, Hash: e.Hash}
	r.tree.Add(e.Hash, nil)
	r.counts.Events++
	if e.Position == r.ledger.Head {
		if root := r.tree.Root(); root != r.ledger.Root {
			return nil, r.damaged("all events up to here have the hash %s, and the first line says %s", root, r.ledger.Root)
		}
		r.ends = nil
	}
	return &e, nil
}

// outcome checks an outcome against the line before it.
func (r *Reader) outcome(line []byte) (*ports.Outcome, error) {
	var o outcome
	if err := r.sealed(line, &o); err != nil {
		return nil, err
	}
	key := string(o.Key)
	if r.key != nil && key <= *r.key {
		return nil, r.damaged("its key does not come after that of the line before it")
	}
	r.key = &key
	r.counts.Outcomes++
	return &ports.Outcome{Key: key, Refusal: o.Refusal, RecordedAt: o.RecordedAt, Body: o.Body}, nil
}

// end checks the last line, and that it is the last.
func (r *Reader) end(line []byte) error {
	var t trailer
	if err := r.sealed(line, &t); err != nil {
		return err
	}
	if t != r.counts {
		return r.damaged("it says %d events, %d outcomes and the root %s; the lines before it are %d, %d and %s",
			t.Events, t.Outcomes, t.Root, r.counts.Events, r.counts.Outcomes, r.counts.Root)
	}
	r.number++
	if _, err := r.in.ReadByte(); err == nil {
		return r.damaged("the file goes on after its last line")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return io.EOF
}

// sealed reads a line that is no event, and checks its hash.
func (r *Reader) sealed(line []byte, v any) error {
	at := len(line) - len(hashMember) - 2*len(es.Hash{}) - len(`"}`)
	if at < 1 || string(line[at:at+len(hashMember)]) != hashMember {
		return r.damaged("it is no line as Daybook writes it here")
	}
	given, err := es.ParseHash(string(line[at+len(hashMember) : len(line)-2]))
	bare := append(append(make([]byte, 0, at+1), line[:at]...), '}')
	if want := seal(r.last, bare); err != nil || want != given || string(line[len(line)-2:]) != `"}` {
		return r.damaged("it, or one before it, was changed, moved or taken away: its hash should be %s", want)
	}
	r.last = given
	if err := json.Unmarshal(bare, v); err != nil {
		return r.damaged("it is no line as Daybook writes it here")
	}
	return nil
}
