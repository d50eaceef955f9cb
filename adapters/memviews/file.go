package memviews

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"daybook/core/es"
)

// The file of views begins with the form, the shape of the views, the position they reflect, the hash of the event there and the
// number of documents. The documents follow, view by view in the order of the registry, each view with the number of its own; and
// at the end a SHA-256 of everything before it. Numbers in the head have 8 bytes, big-endian; all others are varints.
const (
	fileForm = "daybook views 2\n" // whatever changes below makes a new one
	fileHead = len(fileForm) + 2*len(es.Hash{}) + 16
)

// Why a file is of no use.
var (
	errFileForm    = errors.New("memviews: the file is not one of this build's form")
	errFileShape   = errors.New("memviews: the file was made by a build whose views have another shape")
	errFileDamaged = errors.New("memviews: the file is not as it was written")
)

// writeFile writes what a snapshot shows.
func (v *Views) writeFile(ctx context.Context, to io.Writer, s *snapshot, shape es.Hash) error {
	sum := sha256.New()
	w := fileWriter{ctx: ctx, w: bufio.NewWriterSize(io.MultiWriter(to, sum), 1<<20)}
	w.b = append(append(w.b, fileForm...), shape[:]...)
	w.b = append(binary.BigEndian.AppendUint64(w.b, uint64(s.at)), s.hash[:]...)
	count := 0
	for _, name := range v.names {
		count += s.count(name)
	}
	w.b = binary.BigEndian.AppendUint64(w.b, uint64(count))
	for _, name := range v.names {
		w.b = binary.AppendUvarint(w.b, uint64(s.count(name)))
		s.index(name).tree.Scan(func(i item) bool { return w.document(i.entry) })
		s.parked[name].Scan(w.document)
	}
	w.flush()
	if w.err == nil {
		w.err = w.w.Flush()
	}
	if w.err == nil {
		_, w.err = to.Write(sum.Sum(nil))
	}
	return w.err
}

// fileWriter writes documents until something fails.
type fileWriter struct {
	ctx context.Context
	w   *bufio.Writer
	b   []byte // not yet given to w
	one []byte // used again for each document
	err error
}

func (w *fileWriter) flush() {
	if w.err == nil {
		_, w.err = w.w.Write(w.b)
	}
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	w.b = w.b[:0]
}

// document writes a document with its length before it, and reports whether to go on.
func (w *fileWriter) document(e *entry) bool {
	w.one = e.append(w.one[:0])
	w.b = append(binary.AppendUvarint(w.b, uint64(len(w.one))), w.one...)
	if len(w.b) >= 32<<10 {
		w.flush()
	}
	return w.err == nil
}

// append appends a document as files hold it.
func (e *entry) append(dst []byte) []byte {
	text := func(s string) { dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...) }
	text(e.ID)
	dst = binary.AppendUvarint(dst, uint64(e.Version))
	text(e.Parked)
	dst = binary.AppendUvarint(dst, uint64(len(e.Values)))
	for _, v := range e.Values {
		dst = binary.AppendVarint(dst, v.Int)
		text(v.Str)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Readers)))
	for _, reader := range e.Readers {
		text(reader)
	}
	return dst
}

// readFile takes over the documents of a file into empty views, all or none.
func (v *Views) readFile(b []byte, shape es.Hash) error {
	switch {
	case !bytes.HasPrefix(b, []byte(fileForm)):
		return errFileForm
	case len(b) < fileHead+sha256.Size:
		return fmt.Errorf("%w: it has %d bytes", errFileDamaged, len(b))
	}
	content := b[:len(b)-sha256.Size]
	if sum := sha256.Sum256(content); !bytes.Equal(sum[:], b[len(content):]) {
		return fmt.Errorf("%w: its checksum is wrong", errFileDamaged)
	}
	head := content[len(fileForm):fileHead]
	if !bytes.Equal(head[:len(shape)], shape[:]) {
		return errFileShape
	}
	head = head[len(shape):]
	at, last, left := es.Position(binary.BigEndian.Uint64(head)), es.Hash(head[8:8+len(shape)]), binary.BigEndian.Uint64(head[8+len(shape):])
	if at == 0 || last == (es.Hash{}) || left > uint64(len(content)) {
		return fmt.Errorf("%w: it says that it has %d documents up to position %d", errFileDamaged, left, at)
	}
	r := fileReader{b: content, at: fileHead}
	views := map[string]*documents{}
	for _, name := range v.names {
		d := r.view(v.views[name].view, left)
		views[name] = d
		left -= uint64(len(d.byID))
	}
	if r.failed || left > 0 || r.at < len(content) {
		return fmt.Errorf("%w: its documents do not add up", errFileDamaged)
	}
	v.views, v.checkpoint, v.hash = views, at, last
	return nil
}

// fileReader takes a file apart. The first thing that does not fit sets failed.
type fileReader struct {
	b      []byte
	at     int
	failed bool
}

func (r *fileReader) skip(size int) {
	if size <= 0 || size > len(r.b)-r.at {
		r.at, r.failed = len(r.b), true
		return
	}
	r.at += size
}

func (r *fileReader) uint() uint64 {
	n, size := binary.Uvarint(r.b[r.at:])
	r.skip(size)
	return n
}

func (r *fileReader) int() int64 {
	n, size := binary.Varint(r.b[r.at:])
	r.skip(size)
	return n
}

// text gives where a text begins and ends.
func (r *fileReader) text() (from, to int) {
	n := r.uint()
	if n > uint64(len(r.b)-r.at) {
		r.at, r.failed = len(r.b), true
		return r.at, r.at
	}
	r.at += int(n)
	return r.at - int(n), r.at
}

// view gives the documents of a view, of which there are no more than left.
func (r *fileReader) view(view *es.View, left uint64) *documents {
	d := newDocuments(view)
	n := r.uint()
	if n > left {
		r.failed = true
		return d
	}
	d.byID = make(map[string]*entry, n)
	for range n {
		from, to := r.text()
		e, ok := readDocument(r.b[from:to], len(view.Fields))
		if !ok {
			r.failed = true
			return d
		}
		d.byID[e.ID] = e
		if e.listed() {
			e.words = d.words(e.Values)
		} else {
			d.parked.Set(e)
		}
	}
	return d
}

// readDocument takes one document apart. All its texts share the memory of one.
func readDocument(b []byte, fields int) (e *entry, ok bool) {
	r, shared := fileReader{b: b}, string(b)
	text := func() string {
		from, to := r.text()
		return shared[from:to]
	}
	e = &entry{Document: es.Document{ID: text(), Version: es.Version(r.uint()), Parked: text()}}
	if n := r.uint(); n == uint64(fields) {
		e.Values = make([]es.Value, fields)
	} else if n > 0 || e.Parked == "" {
		return nil, false
	}
	for i := range e.Values {
		e.Values[i] = es.Value{Int: r.int(), Str: text()}
	}
	for n := r.uint(); n > 0 && !r.failed; n-- {
		e.Readers = append(e.Readers, text())
	}
	return e, !r.failed && r.at == len(b)
}
