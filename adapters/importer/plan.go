package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/govalues/decimal"

	"daybook/core/es"
)

// Plan is a mapping bound to the columns of one file.
type Plan struct {
	mapping     *Mapping
	account     template
	id          []int
	time        int
	zone        *time.Location
	amount      int
	direction   int // -1: by sign
	adjustment  int // -1: none
	description []int
	owner       template
	currency    template
	words       map[string]int64 // of the direction's column: 1 deposit, -1 withdraw, 0 skip
}

// Entry is one row as a mapping reads it.
type Entry struct {
	Account     string
	ID          string // unique within the file; the command's id adds the mapping's name
	Amount      int64  // minor units, negative for a withdrawal; zero for a row to be skipped
	At          time.Time
	Description string
}

// Bind finds the mapping's columns in a header. A column that is missing, or is there twice, is an error that names it and
// lists those that are there.
func (m *Mapping) Bind(header []string) (*Plan, error) {
	b := binder{header: header}
	p := &Plan{mapping: m, direction: -1, adjustment: -1, words: map[string]int64{}}
	if strings.Contains(m.Account, "{") {
		p.account = b.template("account", m.Account)
	} else {
		p.account = template{{column: b.column("account", m.Account)}}
	}
	p.time, p.amount = b.column("time", m.Time.Column), b.column("amount", m.Amount)
	p.id, p.description = b.columns("id", m.ID), b.columns("description", m.Description)
	if m.Adjustment != "" {
		p.adjustment = b.column("adjustment", m.Adjustment)
	}
	if d := m.Direction; !d.BySign {
		p.direction = b.column("direction", d.Column)
		for sign, words := range map[int64][]string{1: d.Deposit, -1: d.Withdraw, 0: d.Skip} {
			for _, w := range words {
				p.words[w] = sign
			}
		}
	}
	if m.Create != nil {
		p.owner, p.currency = b.template("create: owner", m.Create.Owner), b.template("create: currency", m.Create.Currency)
	}
	if b.err != nil {
		return nil, b.err
	}
	zone, err := time.LoadLocation(m.Time.Zone)
	p.zone = zone
	return p, err
}

// binder looks up columns and keeps the first error.
type binder struct {
	header []string
	err    error
}

func (b *binder) column(role, name string) int {
	i := slices.Index(b.header, name)
	switch {
	case b.err != nil:
	case i < 0:
		b.err = fmt.Errorf("the file has no column %q, which the mapping names as %s; its columns are %s", name, role, strings.Join(quoted(b.header), ", "))
	case slices.Contains(b.header[i+1:], name):
		b.err = fmt.Errorf("the file has the column %q twice, so it is not clear which one is meant as %s; rename one", name, role)
	}
	return i
}

func (b *binder) columns(role string, names []string) []int {
	var at []int
	for _, name := range names {
		at = append(at, b.column(role, name))
	}
	return at
}

func (b *binder) template(role, text string) template {
	var t template
	for text != "" {
		literal, rest, open := strings.Cut(text, "{")
		t = append(t, part{text: literal, column: -1})
		if !open {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			b.err = fmt.Errorf("%s %q opens a { that it does not close; {column} stands for a column's value", role, text)
			break
		}
		t = append(t, part{column: b.column("part of "+role, name)})
		text = after
	}
	return t
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return out
}

// template is a text with the values of columns in it.
type template []part

type part struct {
	text   string
	column int // -1: text
}

func (t template) expand(fields []string) string {
	if len(t) == 1 && t[0].column >= 0 {
		return fields[t[0].column]
	}
	var s strings.Builder
	for _, p := range t {
		if p.column < 0 {
			s.WriteString(p.text)
		} else {
			s.WriteString(fields[p.column])
		}
	}
	return s.String()
}

// Entry reads one row, which has as many fields as the header. The error names the column, its value and what is wrong.
func (p *Plan) Entry(fields []string) (Entry, error) {
	m := p.mapping
	e := Entry{Account: p.account.expand(fields), ID: joined(fields, p.id, "-")}
	spec := es.Spec{Kind: es.KindID}
	if problem := spec.CheckString(e.Account); problem != "" {
		return e, wrong(m.Account, e.Account, problem)
	}
	sign := int64(1)
	if p.direction >= 0 {
		var known bool
		if sign, known = p.words[fields[p.direction]]; !known {
			return e, wrong(m.Direction.Column, fields[p.direction], "is none of the mapping's words for deposit, withdraw and skip")
		}
		if sign == 0 {
			return e, nil
		}
	}
	for i, c := range p.id {
		if fields[c] == "" {
			return e, wrong(m.ID[i], "", "must not be empty: it is the row's id")
		}
	}
	var err error
	if e.Amount, err = p.total(fields, sign); err != nil || e.Amount == 0 {
		return e, err
	}
	if e.At, err = time.ParseInLocation(m.Time.Layout, fields[p.time], p.zone); err != nil {
		return e, wrong(m.Time.Column, fields[p.time], "is not a time of the layout "+strconv.Quote(m.Time.Layout))
	}
	e.Description = strings.TrimSpace(joined(fields, p.description, " "))
	return e, nil
}

// total is the signed amount of the row with its adjustment.
func (p *Plan) total(fields []string, sign int64) (int64, error) {
	m := p.mapping
	amount, problem := m.minor(fields[p.amount])
	if problem == "" && amount < 0 && p.direction >= 0 {
		problem = "is negative, but the direction comes from the column " + strconv.Quote(m.Direction.Column)
	}
	if problem != "" {
		return 0, wrong(m.Amount, fields[p.amount], problem)
	}
	amount *= sign
	if p.adjustment < 0 || fields[p.adjustment] == "" {
		return amount, nil
	}
	adjustment, problem := m.minor(fields[p.adjustment])
	if sum := amount + adjustment; problem == "" && (sum > es.MaxAmount || sum < -es.MaxAmount) {
		problem = "makes the amount larger than 9007199254740991 (2^53-1)"
	}
	if problem != "" {
		return 0, wrong(m.Adjustment, fields[p.adjustment], problem)
	}
	return amount + adjustment, nil
}

// minor reads an amount in the mapping's format into minor units.
func (m *Mapping) minor(text string) (n int64, problem string) {
	if m.Format == "minor" {
		var err error
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, "is not an integer in minor units; amounts like 12.34 need format: decimal"
		}
	} else if n, problem = scaled(text, *m.Digits); problem != "" {
		return 0, problem
	}
	if n > es.MaxAmount || n < -es.MaxAmount {
		return 0, tooLarge
	}
	return n, ""
}

// scaled reads a decimal number exactly; no digit is ever rounded away.
func scaled(text string, digits int) (int64, string) {
	if _, fraction, _ := strings.Cut(text, "."); len(strings.TrimRight(fraction, "0")) > digits {
		return 0, fmt.Sprintf("must be a number with at most %d digits after the point", digits)
	}
	d, err := decimal.Parse(text)
	if err != nil || strings.ContainsAny(text, "eE") {
		return 0, "is not a decimal number like 12.34, with a point and without separators of thousands"
	}
	power := int64(1)
	for range digits {
		power *= 10
	}
	whole, fraction, ok := d.Int64(digits)
	if most := es.MaxAmount / power; !ok || whole > most || whole < -most {
		return 0, tooLarge
	}
	return whole*power + fraction, ""
}

const tooLarge = "is larger than 9007199254740991 minor units (2^53-1)"

func joined(fields []string, columns []int, by string) string {
	if len(columns) == 1 {
		return fields[columns[0]]
	}
	var parts []string
	for _, c := range columns {
		if fields[c] != "" {
			parts = append(parts, fields[c])
		}
	}
	return strings.Join(parts, by)
}

func wrong(column, value, problem string) error {
	return fmt.Errorf("column %q: %q %s", column, cut(value), problem)
}

// cut keeps a quoted value short enough for a sentence.
func cut(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// commandID is the id of the row's command; a row that was refused before gets a new one for each refusal.
func (m *Mapping) commandID(id string, refusals int) string {
	return retried(m.Name+":"+id, refusals)
}

func retried(id string, refusals int) string {
	if refusals == 0 {
		return id
	}
	return id + ":retry-" + strconv.Itoa(refusals)
}

// appendEntry appends the envelope of an entry's deposit or withdrawal.
func (p *Plan) appendEntry(dst []byte, e *Entry, refusals int) []byte {
	command, amount := "deposit", e.Amount
	if amount < 0 {
		command, amount = "withdraw", -amount
	}
	dst = appendHead(dst, p.mapping.commandID(e.ID, refusals), e.Account, command)
	dst = append(dst, `"amount":`...)
	dst = strconv.AppendInt(dst, amount, 10)
	dst = append(dst, `,"effectiveAt":"`...)
	dst = es.AppendTime(dst, e.At)
	dst = append(dst, '"')
	if e.Description != "" {
		dst = append(dst, `,"description":`...)
		dst = es.AppendString(dst, e.Description)
	}
	return append(dst, '}', '}')
}

// appendCreate appends the envelope that creates the account of a row.
func (p *Plan) appendCreate(dst []byte, account string, fields []string, refusals int) []byte {
	dst = appendHead(dst, p.mapping.commandID("create:"+account, refusals), account, "create")
	dst = append(dst, `"owner":`...)
	dst = es.AppendString(dst, p.owner.expand(fields))
	dst = append(dst, `,"currency":`...)
	dst = es.AppendString(dst, p.currency.expand(fields))
	dst = append(dst, `,"overdraftLimit":`...)
	dst = strconv.AppendInt(dst, p.mapping.Create.OverdraftLimit, 10)
	return append(dst, '}', '}')
}

func appendHead(dst []byte, id, account, command string) []byte {
	dst = append(dst, `{"id":`...)
	dst = es.AppendString(dst, id)
	dst = append(dst, `,"account":`...)
	dst = es.AppendString(dst, account)
	dst = append(dst, `,"command":"`...)
	dst = append(dst, command...)
	return append(dst, `","data":{`...)
}
