package importer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Row is one record of a file.
type Row struct {
	Line     int      // where it begins, from 1
	Fields   []string // as many as the header has; valid until the next row is read
	Refusals int      // how often the server refused it in earlier runs; only a rejects file knows
}

// Unreadable is the error for one record that cannot be split into fields. Reading goes on after it.
type Unreadable struct {
	Line   int
	Text   string // the line as it stands in the file
	Reason string
}

func (u *Unreadable) Error() string { return fmt.Sprintf("line %d %s", u.Line, u.Reason) }

// Limits of one record. A quote that is never closed would otherwise swallow the rest of the file.
const (
	maxLine        = 1 << 20
	maxRecordLines = 100
)

// Reader reads the rows of one file: CSV with a header, or lines of JSON. It is used by one goroutine.
type Reader struct {
	header []string
	lines  lineReader
	fields *bufio.Reader // what the CSV reader reads: one record at a time
	csv    *csv.Reader   // nil for lines of JSON

	rejected bool // the file is one that Rejects wrote
}

// envelope is the only column of a file of JSON lines.
const envelope = "envelope"

// NewReader begins to read CSV and its header. Gzip is recognised by its first bytes; a byte order mark is passed over.
func NewReader(r io.Reader, separator rune) (*Reader, error) {
	lines, err := newLineReader(r)
	if err != nil {
		return nil, err
	}
	if lines.json {
		return nil, errors.New("the file holds lines of JSON, not CSV; envelopes are imported without a mapping")
	}
	c := &Reader{lines: lines, fields: bufio.NewReaderSize(nil, 4096)}
	c.csv = csv.NewReader(c.fields)
	c.csv.Comma, c.csv.FieldsPerRecord = separator, -1
	row, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: it has no header that names its columns")
	}
	if err != nil {
		return nil, err
	}
	c.header = append([]string(nil), row.Fields...)
	c.csv.ReuseRecord = true
	return c, nil
}

// NewLines begins to read lines of JSON, one envelope each.
func NewLines(r io.Reader) (*Reader, error) {
	lines, err := newLineReader(r)
	if err == nil && !lines.json {
		err = errors.New("the file does not begin like lines of JSON, one envelope each; CSV is imported with a mapping")
	}
	return &Reader{lines: lines, header: []string{envelope}}, err
}

// Header gives the names of the columns, without those that a rejects file adds.
func (r *Reader) Header() []string {
	if r.rejected {
		return r.header[:len(r.header)-len(rejectColumns)]
	}
	return r.header
}

// Read gives the next row; empty lines are passed over. Its errors are io.EOF at the end of the file, *Unreadable for one
// bad record, and anything else when the file breaks off, which says after which line.
func (r *Reader) Read() (Row, error) {
	for {
		text, err := r.lines.next()
		if err != nil {
			return Row{}, err
		}
		row := Row{Line: r.lines.line}
		if len(bytes.Trim(text, " ")) == 0 {
			continue
		}
		if !utf8.Valid(text) {
			return row, &Unreadable{Line: row.Line, Text: string(text),
				Reason: "is not UTF-8; convert the file first, as with: iconv -f windows-1252 -t utf-8"}
		}
		if r.csv == nil {
			row.Fields = []string{string(text)}
			return row, nil
		}
		if row.Fields, err = r.split(text); err == nil && r.rejected {
			return ofRejects(row)
		}
		return row, err
	}
}

// split reads the record that begins with a line. It takes in further lines while a quoted field is open; when that leads
// nowhere the first line alone is bad and the others are read again as records of their own.
func (r *Reader) split(first []byte) ([]string, error) {
	start, record := r.lines.line, first
	if bytes.Count(first, []byte{'"'})%2 != 0 {
		record = append([]byte(nil), first...)
		var taken [][]byte
		for bytes.Count(record, []byte{'"'})%2 != 0 && len(taken) < maxRecordLines && len(record) < maxLine {
			next, err := r.lines.next()
			if err != nil {
				break // met again when the lines are read anew
			}
			taken = append(taken, append([]byte(nil), next...))
			record = append(append(record, '\n'), next...)
		}
		fields, reason := r.parse(record)
		if reason == "" {
			return fields, nil
		}
		first = append([]byte(nil), record[:len(record)-totalLength(taken)]...)
		r.lines.unread(taken)
		return nil, &Unreadable{Line: start, Text: string(first), Reason: reason}
	}
	fields, reason := r.parse(record)
	if reason != "" {
		return nil, &Unreadable{Line: start, Text: string(first), Reason: reason}
	}
	return fields, nil
}

func totalLength(lines [][]byte) int {
	n := 0
	for _, l := range lines {
		n += 1 + len(l)
	}
	return n
}

func (r *Reader) parse(record []byte) (fields []string, reason string) {
	r.fields.Reset(bytes.NewReader(record))
	fields, err := r.csv.Read()
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad):
		return nil, "is not CSV: " + bad.Err.Error()
	case err != nil:
		return nil, "is not CSV: " + err.Error()
	case r.header != nil && len(fields) != len(r.header):
		return nil, fmt.Sprintf("has %d fields where the header has %d", len(fields), len(r.header))
	}
	if _, err := r.csv.Read(); !errors.Is(err, io.EOF) {
		return nil, "is not CSV: a quote in it is not closed"
	}
	return fields, ""
}

// lineReader gives the lines of a file without their ends, counts them and can take lines back.
type lineReader struct {
	in   *bufio.Reader
	line int      // number of the line given last
	back [][]byte // given again before anything else
	long []byte   // a line that is longer than the buffer
	err  error    // what ended the file
	json bool     // the file begins like lines of JSON
}

func newLineReader(r io.Reader) (lineReader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		unzip, err := gzip.NewReader(in)
		if err != nil {
			return lineReader{}, fmt.Errorf("the file looks like gzip but cannot be unpacked: %w", err)
		}
		in = bufio.NewReaderSize(unzip, 64<<10)
	}
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		_, _ = in.Discard(3)
	}
	start, _ := in.Peek(512)
	return lineReader{in: in, json: bytes.HasPrefix(bytes.TrimLeft(start, " \t\r\n"), []byte{'{'})}, nil
}

// next gives a line that is valid until the call after it. A line that the file breaks off in is not given: half an amount
// is a wrong amount.
func (l *lineReader) next() ([]byte, error) {
	if len(l.back) > 0 {
		text := l.back[0]
		l.back = l.back[1:]
		l.line++
		return text, nil
	}
	if l.err != nil {
		return nil, l.err
	}
	text, err := l.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		l.long = append(l.long[:0], text...)
		for errors.Is(err, bufio.ErrBufferFull) && len(l.long) < maxLine {
			text, err = l.in.ReadSlice('\n')
			l.long = append(l.long, text...)
		}
		text = l.long
	}
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		l.err = fmt.Errorf("line %d is longer than %d bytes: this does not look like a file of rows", l.line+1, maxLine)
	case errors.Is(err, io.EOF):
		l.err = io.EOF
	case err != nil:
		l.err = fmt.Errorf("the file breaks off in line %d: %w; the rows before it were used", l.line+1, err)
	}
	if l.err != nil && (len(text) == 0 || !errors.Is(l.err, io.EOF)) {
		return nil, l.err
	}
	l.line++
	return bytes.TrimSuffix(bytes.TrimSuffix(text, []byte{'\n'}), []byte{'\r'}), nil
}

func (l *lineReader) unread(lines [][]byte) {
	l.line -= len(lines)
	l.back = append(lines, l.back...)
}
