package importer

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// What a rejects file adds to the columns of the rows it holds.
var rejectColumns = []string{"rejected_line", "rejected_reason", "rejected_refusals"}

// Rejects writes the rows that could not be used, with their line in the file, the reason, and how often the server
// refused them, so that they can be looked at, mended and sent again. It is used under the lock of a Run.
type Rejects struct {
	create func() (io.Writer, error)
	header []string
	csv    *csv.Writer // nil until there is a row to write
	row    []string
	err    error
}

// NewRejects writes to what create gives, which is not asked for before there is a row to write.
func NewRejects(header []string, create func() (io.Writer, error)) *Rejects {
	return &Rejects{header: header, create: create}
}

// Add writes one row.
func (r *Rejects) Add(fields []string, line int, reason string, refusals int) {
	if r.csv == nil && r.err == nil {
		var w io.Writer
		if w, r.err = r.create(); r.err == nil {
			r.csv = csv.NewWriter(w)
			r.err = r.csv.Write(slices.Concat(r.header, rejectColumns))
		}
	}
	if r.err != nil {
		return
	}
	r.row = r.row[:0]
	for _, f := range fields {
		r.row = append(r.row, EscapeFormula(f))
	}
	for len(r.row) < len(r.header) {
		r.row = append(r.row, "")
	}
	r.row = append(r.row, strconv.Itoa(line), EscapeFormula(reason), strconv.Itoa(refusals))
	r.err = r.csv.Write(r.row)
}

// Flush writes what is buffered and gives the first error of all writing.
func (r *Rejects) Flush() error {
	if r.csv != nil {
		r.csv.Flush()
		if r.err == nil {
			r.err = r.csv.Error()
		}
	}
	if r.err != nil {
		return fmt.Errorf("the rejects file cannot be written: %w", r.err)
	}
	return nil
}

// NewRejectsReader begins to read a rejects file, giving the rows that it holds as they were, or as a person mended them.
func NewRejectsReader(r io.Reader) (*Reader, error) {
	c, err := NewReader(r, ',')
	if err != nil {
		return nil, err
	}
	own := len(c.header) - len(rejectColumns)
	if own < 1 || !slices.Equal(c.header[own:], rejectColumns) {
		return nil, fmt.Errorf("this is not a rejects file: its last columns are not %s", strings.Join(rejectColumns, ", "))
	}
	c.rejected = true
	return c, nil
}

// ofRejects takes the columns that a rejects file adds off a row.
func ofRejects(row Row) (Row, error) {
	own := len(row.Fields) - len(rejectColumns)
	line, errLine := strconv.Atoi(row.Fields[own])
	refusals, errRefusals := strconv.Atoi(row.Fields[own+2])
	if err := errors.Join(errLine, errRefusals); err != nil || refusals < 0 {
		return Row{}, &Unreadable{Line: row.Line, Text: row.Fields[0], Reason: "of the rejects file has no number in rejected_line or rejected_refusals"}
	}
	fields := row.Fields[:own]
	for i, f := range fields {
		fields[i] = unescapeFormula(f)
	}
	return Row{Line: line, Fields: fields, Refusals: refusals}, nil
}

// EscapeFormula puts an apostrophe before a text that a spreadsheet would run as a formula; numbers stay as they are.
func EscapeFormula(s string) string {
	if !formulaLike(s) {
		return s
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s
	}
	return "'" + s
}

// unescapeFormula takes back what EscapeFormula did.
func unescapeFormula(s string) string {
	if strings.HasPrefix(s, "'") && formulaLike(s) {
		return s[1:]
	}
	return s
}

// formulaLike reports whether s begins, after any apostrophes, like a formula.
func formulaLike(s string) bool {
	s = strings.TrimLeft(s, "'")
	return s != "" && strings.IndexByte("=+-@\t\r", s[0]) >= 0
}
