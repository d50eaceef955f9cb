package es

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"daybook/core/access"
)

// MaxAmount is the largest amount, balance or limit, in minor units: 2^53-1, exact in every JSON reader.
const MaxAmount = 1<<53 - 1

// Kind is the type of a field, and with it the rule that every value of it keeps.
type Kind uint8

// The kinds of field.
const (
	KindAmount   Kind = iota // integer in minor units, 1 … MaxAmount
	KindLimit                // integer in minor units, 0 … MaxAmount
	KindBalance              // integer in minor units, may be negative
	KindNumber               // a version or position
	KindID                   // 1-64 of A-Z a-z 0-9 . _ -, starting with a letter or digit
	KindText                 // 1-200 code points, no control characters
	KindCurrency             // ISO 4217 or a unit of the configuration
	KindWord                 // one of a few fixed words
	KindTime                 // RFC 3339 with zone on the wire, UTC and microseconds in memory
	KindTexts                // several of KindText, of documents only: an array on the wire
)

var kindNames = [...]string{"amount", "limit", "balance", "number", "id", "text", "currency", "word", "time", "texts"}

func (k Kind) String() string { return kindNames[k] }

// IsInteger reports whether values of the kind are JSON integers; all others are JSON strings.
func (k Kind) IsInteger() bool { return k <= KindNumber }

// Spec says what one field is called, what it may hold and what it means. It feeds decoders, documents and mappings.
type Spec struct {
	Name     string
	Kind     Kind
	Required bool
	Doc      string
	Words    []string            // of a KindWord
	Check    func(string) string // one more rule for a string, answered like CheckString; nil means none
	Needs    access.Operation    // what whoever gives it must be allowed on all aggregates; "": who may give the command may give it
}

// CheckInt says what is wrong with n as a value of the field; "" means nothing is.
func (s *Spec) CheckInt(n int64) string {
	low := int64(0)
	switch s.Kind {
	case KindAmount:
		low = 1
	case KindBalance:
		low = -MaxAmount
	}
	if n < low || n > MaxAmount {
		return "must be an integer from " + strconv.FormatInt(low, 10) + " to 9007199254740991 (2^53-1)"
	}
	return ""
}

// CheckString says what is wrong with v as a value of the field; "" means nothing is. v is valid UTF-8.
func (s *Spec) CheckString(v string) string {
	problem := ""
	switch s.Kind {
	case KindID:
		problem = checkID(v)
	case KindText:
		problem = checkText(v)
	}
	if problem == "" && s.Check != nil {
		problem = s.Check(v)
	}
	return problem
}

// IDPattern is what a KindID matches, as a regular expression.
const IDPattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`

func checkID(v string) string {
	ok := len(v) >= 1 && len(v) <= 64
	for i := 0; ok && i < len(v); i++ {
		c := v[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = alnum || i > 0 && (c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return "must be 1 to 64 of A-Z a-z 0-9 . _ - and start with a letter or a digit"
	}
	return ""
}

// MaxText is the longest KindText, in code points.
const MaxText = 200

func checkText(v string) string {
	if n := utf8.RuneCountInString(v); n < 1 || n > MaxText {
		return fmt.Sprintf("must be 1 to %d characters long", MaxText)
	}
	for _, r := range v {
		if unicode.IsControl(r) {
			return "must not contain control characters"
		}
	}
	return ""
}

// ParseTime reads an RFC 3339 time with zone into UTC; what is finer than a microsecond is cut off.
func ParseTime(s string) (time.Time, error) {
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil || !strictTime(s) {
		return time.Time{}, fmt.Errorf("must be an RFC 3339 time with zone, like 2025-10-28T09:00:00Z")
	}
	t = t.UTC().Truncate(time.Microsecond)
	if t.Year() < 1 || t.Year() > 9999 || t.IsZero() {
		return time.Time{}, fmt.Errorf("must lie in the years 1 to 9999")
	}
	return t, nil
}

// strictTime refuses what the standard library takes for RFC 3339 and is not: 9:00 for 09:00, a comma, a zone past 23:59.
func strictTime(s string) bool {
	if s[len("2025-10-28T09")] != ':' || strings.Contains(s, ",") {
		return false
	}
	if strings.HasSuffix(s, "Z") {
		return true
	}
	zone := s[len(s)-len("+00:00"):]
	return zone[1:3] <= "23" && zone[4:6] <= "59"
}

// Field binds a Spec to a member of the struct T. At returns a *int64, *string or *time.Time: the one place where the
// wire's name and the struct's member meet, used to decode, to encode and to document.
type Field[T any] struct {
	Spec
	At func(*T) any
}

// IntField declares an integer member.
func IntField[T any](name string, k Kind, doc string, at func(*T) *int64) Field[T] {
	return Field[T]{Spec{Name: name, Kind: k, Required: true, Doc: doc}, func(t *T) any { return at(t) }}
}

// StringField declares a text member.
func StringField[T any](name string, k Kind, doc string, at func(*T) *string) Field[T] {
	return Field[T]{Spec{Name: name, Kind: k, Required: true, Doc: doc}, func(t *T) any { return at(t) }}
}

// TimeField declares a time member.
func TimeField[T any](name, doc string, at func(*T) *time.Time) Field[T] {
	return Field[T]{Spec{Name: name, Kind: KindTime, Required: true, Doc: doc}, func(t *T) any { return at(t) }}
}

// Optional returns the field as one that may be missing; its zero value means missing.
func (f Field[T]) Optional() Field[T] {
	f.Required = false
	return f
}

// For returns the field as one that is given by those alone who may do an operation on all aggregates.
func (f Field[T]) For(o access.Operation) Field[T] {
	f.Needs = o
	return f
}

// Checked returns the field with one more rule for its strings.
func (f Field[T]) Checked(check func(string) string) Field[T] {
	f.Check = check
	return f
}

// Note is what any entry may say about itself. Embed it in event structs.
type Note struct {
	Reference   string
	Description string
}

func (n *Note) note() *Note { return n }

// Common is what every command may carry: when it happened in the world, and a note. Embed it in command structs.
type Common struct {
	EffectiveAt time.Time // zero: when it is recorded
	Note
}

func (c *Common) common() *Common { return c }

// noting is a pointer to a struct that embeds Note.
type noting[T any] interface {
	*T
	note() *Note
}

// commanding is a pointer to a struct that embeds Common.
type commanding[T any] interface {
	*T
	common() *Common
}

func noteFields[T any](at func(*T) *Note) []Field[T] {
	return []Field[T]{
		StringField("reference", KindText, "The caller's own reference, such as an invoice number.",
			func(t *T) *string { return &at(t).Reference }).Optional(),
		StringField("description", KindText, "What this is about, for people.",
			func(t *T) *string { return &at(t).Description }).Optional(),
	}
}

// appendFields appends t as a JSON object in the order of its fields; optional fields at their zero value are left out.
func appendFields[T any](dst []byte, fields []Field[T], t *T) []byte {
	dst = append(dst, '{')
	for i := range fields {
		f := &fields[i]
		start := len(dst)
		if dst[start-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, f.Name...)
		dst = append(dst, '"', ':')
		zero := false
		switch p := f.At(t).(type) {
		case *int64:
			zero = *p == 0
			dst = strconv.AppendInt(dst, *p, 10)
		case *string:
			zero = *p == ""
			dst = AppendString(dst, *p)
		case *time.Time:
			zero = p.IsZero()
			dst = append(dst, '"')
			dst = AppendTime(dst, *p)
			dst = append(dst, '"')
		}
		if zero && !f.Required {
			dst = dst[:start]
		}
	}
	return append(dst, '}')
}

// decodeFields reads a JSON object that appendFields or an upcaster wrote. Members it does not know are passed over, so
// that a later build may add one; a required member that is missing, or any of the wrong type, is an error.
func decodeFields[T any](data []byte, fields []Field[T], t *T) error {
	var seen uint64
	var wrong string
	ok := members(data, func(name, value []byte, escaped bool) {
		for i := range fields {
			if fields[i].Name != string(name) {
				continue
			}
			seen |= 1 << i
			if !setFromJSON(fields[i].At(t), value, escaped) {
				wrong = fields[i].Name
			}
			return
		}
	})
	if !ok {
		return fmt.Errorf("%w: its data is not a flat JSON object", ErrCorrupt)
	}
	if wrong != "" {
		return fmt.Errorf("%w: its member %q has the wrong type", ErrCorrupt, wrong)
	}
	for i := range fields {
		if fields[i].Required && seen&(1<<i) == 0 {
			return fmt.Errorf("%w: its member %q is missing", ErrCorrupt, fields[i].Name)
		}
	}
	return nil
}
