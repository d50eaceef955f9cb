// Package logfile is a whole ledger as a file of lines, which moves it between stores: a header, every event as it is stored,
// the outcomes of commands, a trailer. It writes and reads the lines and checks every one of them; where they come from, and
// which store they are for, may not live here.
//
// Events are bound by their own hashes: each to the one before it in its stream, and all to the root in the header. The other
// lines end with a hash over the hash of the line before them that is no event, and their own text. So a line that was
// changed, moved or taken away is found at that place.
package logfile

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// ErrDamaged: the file is not as it was written. Its sentence names the line.
var ErrDamaged = fault.New(fault.Invalid, "log_damaged", "The file is not as it was written.")

// format is the name and number of this form of file.
const format = "daybook-log-1"

// header is the first line.
type header struct {
	Format string      `json:"format"`
	Head   es.Position `json:"head"`
	Root   string      `json:"root"`
	At     time.Time   `json:"recordedAt"`
}

// outcome is a line after the last event.
type outcome struct {
	Key        []byte    `json:"key"`
	Refusal    bool      `json:"refusal"`
	RecordedAt time.Time `json:"recordedAt"`
	Body       []byte    `json:"body"`
}

// trailer is the last line.
type trailer struct {
	Events   es.Position `json:"events"`
	Outcomes uint64      `json:"outcomes"`
	Root     string      `json:"root"`
}

// seal is the hash of a line that is no event, after the one before it.
func seal(previous es.Hash, line []byte) es.Hash {
	h := sha256.New()
	_, _ = h.Write(previous[:]) // never fails
	_, _ = h.Write(line)
	return es.Hash(h.Sum(nil))
}

// Writer writes a ledger; it is an engine.LogWriter.
type Writer struct {
	out    *bufio.Writer
	last   es.Hash
	counts trailer
}

// NewWriter writes lines to out.
func NewWriter(out io.Writer) *Writer { return &Writer{out: bufio.NewWriterSize(out, 256<<10)} }

// Begin implements engine.LogWriter.
func (w *Writer) Begin(l engine.Ledger) error {
	w.counts.Root = l.Root.String()
	return w.line(header{format, l.Head, w.counts.Root, l.At.UTC()})
}

// Event implements engine.LogWriter.
func (w *Writer) Event(e *es.Recorded) error {
	w.counts.Events++
	_, _ = w.out.Write(e.JSON()) // the writer keeps its first error
	return w.out.WriteByte('\n')
}

// Outcome implements engine.LogWriter.
func (w *Writer) Outcome(o *ports.Outcome) error {
	w.counts.Outcomes++
	return w.line(outcome{[]byte(o.Key), o.Refusal, o.RecordedAt.UTC(), append([]byte{}, o.Body...)})
}

// End implements engine.LogWriter.
func (w *Writer) End() error {
	if err := w.line(w.counts); err != nil {
		return err
	}
	return w.out.Flush()
}

func (w *Writer) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.last = seal(w.last, text)
	text = append(text[:len(text)-1], hashMember...)
	text = append(hex.AppendEncode(text, w.last[:]), '"', '}', '\n')
	_, err = w.out.Write(text)
	return err
}

// hashMember comes before the digits of a line's hash, its last member.
const hashMember = `,"hash":"`

// Packed reports whether the file of the name is compressed with zstd.
func Packed(name string) bool { return strings.HasSuffix(name, ".zst") }

// Pack compresses what is written to it. Close ends it, and leaves out open.
func Pack(out io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
}

// Unpack gives what Pack took.
func Unpack(in io.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}
