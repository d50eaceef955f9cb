// Package importer turns the rows of other people's files into commands: it reads CSV (plain or gzip) and NDJSON, applies a
// mapping of columns, keeps account of what became of every row and writes those that could not be used to a rejects file.
// It knows files and commands. What may not live here: HTTP, flags, a terminal; whoever sends the lines calls Next and
// Answered.
package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"daybook/core/es"
)

// Mapping says how the rows of one kind of file become commands. Its members are the keys of the YAML file.
type Mapping struct {
	Name        string    `yaml:"name"`        // begins every command id, so it must not change once rows were posted
	Separator   string    `yaml:"separator"`   // between fields; a comma when missing
	Account     string    `yaml:"account"`     // the column with the account's id, or a text in which {column} stands for that column's value
	ID          Columns   `yaml:"id"`          // the column, or columns, that name a row uniquely
	Time        Moment    `yaml:"time"`        // when the row happened in the world
	Amount      string    `yaml:"amount"`      // the column with the amount
	Format      string    `yaml:"format"`      // minor: integers in minor units; decimal: 12.34
	Digits      *int      `yaml:"digits"`      // of a decimal amount after the point
	Direction   Direction `yaml:"direction"`   // which rows are deposits and which withdrawals
	Adjustment  string    `yaml:"adjustment"`  // a column with a signed amount that is added; none when missing
	Description Columns   `yaml:"description"` // the columns that say what the row is about; none when missing
	Create      *Create   `yaml:"create"`      // for accounts not seen before; when missing, accounts must exist
}

// Moment says how a column holds a time.
type Moment struct {
	Column string `yaml:"column"`
	Layout string `yaml:"layout"` // as in Go's package time
	Zone   string `yaml:"zone"`   // an IANA name, for layouts without an offset
}

// Direction tells deposits from withdrawals: by the words of a column, or, with BySign, by the sign of the amount.
type Direction struct {
	BySign   bool     `yaml:"-"` // written as the plain word "sign"
	Column   string   `yaml:"column"`
	Deposit  []string `yaml:"deposit"`
	Withdraw []string `yaml:"withdraw"`
	Skip     []string `yaml:"skip"`
}

// Create says how an account begins. Owner and Currency are texts in which {column} stands for that column's value.
type Create struct {
	Owner          string `yaml:"owner"`
	Currency       string `yaml:"currency"`
	OverdraftLimit int64  `yaml:"overdraftLimit"` // minor units
}

// Columns is one column or a list of them.
type Columns []string

// UnmarshalYAML reads one name or a list of names.
func (c *Columns) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*c = Columns{n.Value}
		return nil
	}
	var list []string
	if err := n.Decode(&list); err != nil {
		return fmt.Errorf("line %d: give the name of one column, or a list of names", n.Line)
	}
	*c = list
	return nil
}

// UnmarshalYAML reads the word "sign", or a column with its words.
func (d *Direction) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		d.BySign = n.Value == "sign"
		if !d.BySign {
			return fmt.Errorf("line %d: direction is %q; write the word sign, or a column with its words for deposit and withdraw", n.Line, n.Value)
		}
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 { // a custom decoder is not told to be strict
		if key := n.Content[i]; !slices.Contains([]string{"column", "deposit", "withdraw", "skip"}, key.Value) {
			return fmt.Errorf("line %d: direction has no key %q; it has column, deposit, withdraw and skip", key.Line, key.Value)
		}
	}
	type plain Direction
	return n.Decode((*plain)(d))
}

// ReadMapping reads a mapping strictly: unknown keys, missing keys and values that cannot work are errors that say which.
func ReadMapping(r io.Reader) (*Mapping, error) {
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	var m Mapping
	switch err := d.Decode(&m); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the mapping is empty")
	case err != nil:
		return nil, errors.New(plainYAML(err))
	}
	if err := d.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("the mapping holds more than one document; keep one")
	}
	return &m, m.check()
}

// plainYAML takes the names of Go types, which mean nothing to the writer of a mapping, out of a YAML error.
func plainYAML(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.Join(strings.Fields(strings.TrimPrefix(text, "unmarshal errors:")), " ")
	text, _, found := strings.Cut(text, " not found in type ")
	if found {
		text = strings.Replace(text, "field ", "there is no key ", 1)
		return text + "; the keys are name, separator, account, id, time {column, layout, zone}, amount, format, digits, direction, adjustment, description, create {owner, currency, overdraftLimit}"
	}
	return strings.ReplaceAll(text, "importer.", "")
}

func (m *Mapping) check() error {
	if m.Separator == "" {
		m.Separator = ","
	}
	nameSpec := es.Spec{Kind: es.KindID}
	switch {
	case m.Name == "":
		return errors.New("name is missing: it begins the id of every command, which is how a second run knows what is there already")
	case nameSpec.CheckString(m.Name) != "":
		return fmt.Errorf("name %q %s", m.Name, nameSpec.CheckString(m.Name))
	case m.Account == "":
		return errors.New("account is missing: the column with the account's id")
	case len(m.ID) == 0 || slices.Contains(m.ID, ""):
		return errors.New("id is missing: the column, or list of columns, that names a row uniquely")
	case m.Amount == "":
		return errors.New("amount is missing: the column with the amount")
	case len([]rune(m.Separator)) != 1 || strings.ContainsAny(m.Separator, "\"\r\n"):
		return fmt.Errorf("separator %q must be one character, and neither a quote nor a line end", m.Separator)
	}
	for _, check := range []func() error{m.checkFormat, m.Direction.check, m.Time.check, m.checkCreate} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// maxDigits is the most a currency has after the point.
const maxDigits = 9

func (m *Mapping) checkFormat() error {
	switch {
	case m.Format == "minor" && m.Digits != nil:
		return errors.New("digits goes with format: decimal; amounts in minor units have none")
	case m.Format == "decimal" && m.Digits == nil:
		return errors.New("digits is missing: format: decimal needs the number of digits after the point, 2 for most currencies")
	case m.Format == "decimal" && (*m.Digits < 0 || *m.Digits > maxDigits):
		return fmt.Errorf("digits is %d; it must be from 0 to %d", *m.Digits, maxDigits)
	case m.Format != "minor" && m.Format != "decimal":
		return fmt.Errorf("format is %q; write minor (integers in the smallest unit) or decimal (12.34)", m.Format)
	}
	return nil
}

func (d *Direction) check() error {
	if d.BySign {
		return nil
	}
	if d.Column == "" || len(d.Deposit) == 0 || len(d.Withdraw) == 0 {
		return errors.New("direction is missing or incomplete: write the word sign (negative amounts are withdrawals), or a column with its words for deposit and withdraw")
	}
	words := slices.Concat(d.Deposit, d.Withdraw, d.Skip)
	slices.Sort(words)
	for i := range words {
		if i > 0 && words[i] == words[i-1] {
			return fmt.Errorf("direction: the word %q stands twice; a word means one thing", words[i])
		}
	}
	return nil
}

func (t *Moment) check() error {
	if t.Column == "" || t.Layout == "" {
		return errors.New("time is missing or incomplete: write time: {column, layout, zone}")
	}
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if date.Format(t.Layout) == date.AddDate(1, 0, 0).Format(t.Layout) {
		return fmt.Errorf("time: layout %q says nothing about the year; write a time the way Go does, as the moment 2006-01-02 15:04:05 -07:00 looks in the file", t.Layout)
	}
	offset := date.Format(t.Layout) != date.In(time.FixedZone("", 3600)).Add(-time.Hour).Format(t.Layout)
	if !offset && t.Zone == "" {
		return fmt.Errorf("time: zone is missing: layout %q has no offset, so say where its clock stands, such as UTC or Europe/Prague", t.Layout)
	}
	if _, err := time.LoadLocation(t.Zone); err != nil {
		return fmt.Errorf("time: zone %q is not known; write a name such as UTC or Europe/Prague", t.Zone)
	}
	return nil
}

func (m *Mapping) checkCreate() error {
	if m.Create == nil {
		return nil
	}
	limit := es.Spec{Kind: es.KindLimit}
	switch {
	case m.Create.Owner == "" || m.Create.Currency == "":
		return errors.New("create: owner and currency are needed to create accounts; leave create out if they all exist")
	case limit.CheckInt(m.Create.OverdraftLimit) != "":
		return fmt.Errorf("create: overdraftLimit %s", limit.CheckInt(m.Create.OverdraftLimit))
	}
	return nil
}
