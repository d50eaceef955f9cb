package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"daybook/adapters/importer"
)

// format is the value of the flag -o.
type format struct {
	name    string
	choices []string
}

func (f *format) String() string { return f.name }

// Type is what help calls the flag's value.
func (f *format) Type() string { return strings.Join(f.choices, "|") }

// Set takes one of the choices.
func (f *format) Set(name string) error {
	if !slices.Contains(f.choices, name) {
		return fmt.Errorf("choose one of %s", strings.Join(f.choices, ", "))
	}
	f.name = name
	return nil
}

// add gives the command the flag; the first choice is the default.
func (f *format) add(cmd *cobra.Command, choices ...string) {
	f.name, f.choices = choices[0], choices
	cmd.Flags().VarP(f, "output", "o", "how to print")
}

// column is one column of a table: its title, the path of the member it shows, such as "data/amount", and how wide it is at the
// least, so that pages of one list look alike.
type column struct {
	title, path string
	width       int
}

// say prints words for a person. That they cannot be printed changes nothing about the work, and there is nobody left to tell.
func say(out io.Writer, text string, args ...any) {
	text = escaped(fmt.Sprintf(text, args...), func(r rune) bool { return deceives(r) && r != '\n' && r != '\t' })
	_, _ = io.WriteString(out, text)
}

// list prints items of JSON one after the other. Its methods are called by one goroutine.
type list struct {
	out     io.Writer
	format  string
	columns []column
	csv     *csv.Writer
	rows    [][]string // of a table, not printed yet
	n       int
}

// tablePage is how many rows of a table are held back to make their columns fit.
const tablePage = 1000

func newList(out io.Writer, f *format, columns ...column) *list {
	return &list{out: out, format: f.name, columns: columns, csv: csv.NewWriter(out)}
}

// add prints one item, or keeps it for its page.
func (l *list) add(item jsontext.Value) error {
	l.n++
	switch l.format {
	case "ndjson":
		_, err := fmt.Fprintf(l.out, "%s\n", harmlessJSON(item))
		return err
	case "json":
		before := ",\n  "
		if l.n == 1 {
			before = "[\n  "
		}
		_, err := fmt.Fprintf(l.out, "%s%s", before, harmlessJSON(item))
		return err
	}
	row, err := l.row(item)
	if err != nil {
		return err
	}
	if l.format == "csv" {
		if l.n == 1 {
			_ = l.csv.Write(titles(l.columns)) // the writer keeps its first error
		}
		return l.csv.Write(spreadsheet(row))
	}
	l.rows = append(l.rows, row)
	if len(l.rows) >= tablePage {
		return l.flush()
	}
	return nil
}

func (l *list) row(item jsontext.Value) ([]string, error) {
	row := make([]string, len(l.columns))
	for i, c := range l.columns {
		value := item
		for name := range strings.SplitSeq(c.path, "/") {
			var members map[string]jsontext.Value
			if len(value) == 0 {
				break
			}
			if err := json.Unmarshal(value, &members); err != nil {
				return nil, fmt.Errorf("the server's answer has no object where %s is looked for: %w", c.path, err)
			}
			value = members[name]
		}
		row[i] = plainText(value)
	}
	return row, nil
}

// flush prints what is kept.
func (l *list) flush() error {
	l.csv.Flush()
	if len(l.rows) == 0 {
		return l.csv.Error()
	}
	var widths []int
	for _, c := range l.columns {
		widths = append(widths, c.width)
	}
	var header []string
	if l.n == len(l.rows) { // the first page
		header = titles(l.columns)
	}
	rows := l.rows
	l.rows = nil
	return writeTable(l.out, header, rows, widths)
}

// end prints what is left.
func (l *list) end() error {
	if l.format == "json" {
		closing := "\n]\n"
		if l.n == 0 {
			closing = "[]\n"
		}
		_, err := io.WriteString(l.out, closing)
		return err
	}
	return l.flush()
}

func titles(columns []column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.title
	}
	return out
}

// printObject prints one JSON object: as it is, as one row of CSV, or as a table of names and values.
func printObject(out io.Writer, f *format, object jsontext.Value) error {
	switch f.name {
	case "json":
		if err := object.Indent(jsontext.WithIndent("  ")); err != nil {
			return err
		}
		fallthrough
	case "ndjson":
		_, err := fmt.Fprintf(out, "%s\n", harmlessJSON(object))
		return err
	}
	names, values, err := members(object)
	if err != nil {
		return err
	}
	if f.name == "csv" {
		w := csv.NewWriter(out)
		_ = w.Write(spreadsheet(names)) // the writer keeps its first error
		_ = w.Write(spreadsheet(values))
		w.Flush()
		return w.Error()
	}
	rows := make([][]string, len(names))
	for i := range names {
		rows[i] = []string{names[i], values[i]}
	}
	return writeTable(out, nil, rows, nil)
}

// members gives an object's members in their order.
func members(object jsontext.Value) (names, values []string, err error) {
	d := jsontext.NewDecoder(strings.NewReader(string(object)))
	if d.PeekKind() != '{' {
		return nil, nil, fmt.Errorf("the server answers with something that is not an object: %.100q", object)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, nil, err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, nil, err
		}
		names = append(names, name.String())
		value, err := d.ReadValue()
		if err != nil {
			return nil, nil, err
		}
		values = append(values, plainText(value))
	}
	return names, values, nil
}

// plainText is a JSON value for a cell: a string without its quotes, "" for what is missing, anything else as it is.
func plainText(v jsontext.Value) string {
	if v.Kind() == '"' {
		if b, err := jsontext.AppendUnquote(nil, v); err == nil {
			return string(b)
		}
	}
	if v.Kind() == 'n' {
		return ""
	}
	return string(v)
}

// spreadsheet makes texts safe to open in a spreadsheet, and to be looked at. What is left of them as it is, a quoted cell may hold.
func spreadsheet(row []string) []string {
	for i := range row {
		row[i] = importer.EscapeFormula(escaped(row[i], func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }))
	}
	return row
}

// printTable prints rows under a header on the command's standard output.
func printTable(cmd *cobra.Command, header []string, rows [][]string) error {
	return writeTable(cmd.OutOrStdout(), header, rows, nil)
}

// writeTable prints rows in columns: numbers to the right, no colour, nothing that a terminal would take for an instruction.
func writeTable(out io.Writer, header []string, rows [][]string, widths []int) error {
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Format.Header = text.FormatDefault
	t.Style().Box.PaddingLeft = ""
	t.Style().Box.PaddingRight = "  "
	if header != nil {
		t.AppendHeader(cells(header))
	}
	columns := 0
	for _, row := range rows {
		t.AppendRow(cells(row))
		columns = max(columns, len(row))
	}
	configs := make([]table.ColumnConfig, columns)
	for i := range configs {
		configs[i].Number = i + 1
		if i < len(widths) {
			configs[i].WidthMin = widths[i]
		}
		if header != nil && numeric(rows, i) {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	t.SetColumnConfigs(configs)
	for line := range strings.SplitSeq(t.Render(), "\n") {
		if _, err := fmt.Fprintln(out, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func cells(row []string) table.Row {
	out := make(table.Row, len(row))
	for i, cell := range row {
		out[i] = harmless(cell)
	}
	return out
}

func numeric(rows [][]string, column int) bool {
	for _, row := range rows {
		if column < len(row) && row[column] != "" {
			if _, err := strconv.ParseFloat(row[column], 64); err != nil {
				return false
			}
		}
	}
	return true
}

// deceives knows control and invisible formatting characters, which could rule a terminal or disguise a text.
func deceives(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar
}

// harmless shows them as escapes in what stands on one line.
func harmless(s string) string { return escaped(s, deceives) }

// escaped shows some characters of a text as Go would write them.
func escaped(s string, which func(rune) bool) string {
	if strings.IndexFunc(s, which) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if which(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// harmlessJSON is the same JSON without those control characters that it may hold as they are: DEL and those of C1.
func harmlessJSON(v jsontext.Value) jsontext.Value {
	ruling := func(r rune) bool { return r >= 0x7f && unicode.IsControl(r) } // a raw one below is never valid in a text
	if bytes.IndexFunc(v, ruling) < 0 {
		return v
	}
	out := make([]byte, 0, len(v)+64)
	for _, r := range string(v) {
		if ruling(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}
