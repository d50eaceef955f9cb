package es

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD; nothing else is altered.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf:
			i++
			continue
		case c < utf8.RuneSelf:
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			i++
			start = i
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\ufffd"...)
				start = i + 1
			}
			i += n
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// AppendTime appends t in UTC as RFC 3339 with at most microseconds, without quotes.
func AppendTime(dst []byte, t time.Time) []byte {
	return t.UTC().Truncate(time.Microsecond).AppendFormat(dst, time.RFC3339Nano)
}

// parseTime reads a time as AppendTime writes it, and no other form.
func parseTime(b []byte) (time.Time, bool) {
	s := scanner{b: b}
	year := s.digits(4)
	s.literal("-")
	month := s.digits(2)
	s.literal("-")
	day := s.digits(2)
	s.literal("T")
	hour := s.digits(2)
	s.literal(":")
	minute := s.digits(2)
	s.literal(":")
	second := s.digits(2)
	nanos := 0
	if s.peek() == '.' {
		s.i++
		places := len(b) - s.i - len("Z")
		nanos = s.digits(places)
		if places < 1 || places > 6 || nanos%10 == 0 {
			return time.Time{}, false
		}
		for ; places < 9; places++ {
			nanos *= 10
		}
	}
	s.literal("Z")
	if s.failed || s.i != len(b) || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	return t, t.Day() == day && t.Month() == time.Month(month)
}

// scanner reads JSON that Daybook wrote itself: no white space between tokens. The first thing that does not fit sets
// failed, and everything after it returns zero values.
type scanner struct {
	b      []byte
	i      int
	failed bool
}

func (s *scanner) literal(want string) {
	if s.failed || len(s.b)-s.i < len(want) || string(s.b[s.i:s.i+len(want)]) != want {
		s.failed = true
		return
	}
	s.i += len(want)
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) uint() uint64 {
	start := s.i
	var n uint64
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		if n > (1<<64-1-9)/10 {
			s.failed = true
			return 0
		}
		n = n*10 + uint64(s.b[s.i]-'0')
		s.i++
	}
	if s.i == start || (s.b[start] == '0' && s.i > start+1) {
		s.failed = true
	}
	return n
}

// digits takes a number of exactly n digits.
func (s *scanner) digits(n int) int {
	if s.failed || n < 0 || len(s.b)-s.i < n {
		s.failed = true
		return 0
	}
	v := 0
	for _, c := range s.b[s.i : s.i+n] {
		if c < '0' || c > '9' {
			s.failed = true
			return 0
		}
		v = v*10 + int(c-'0')
	}
	s.i += n
	return v
}

// until takes the bytes before the next c.
func (s *scanner) until(c byte) []byte {
	rest := s.b[s.i:]
	n := bytes.IndexByte(rest, c)
	if n < 0 {
		n = len(rest)
	}
	s.i += n
	return rest[:n]
}

// plainString takes a JSON string that needs no escapes and returns what is between the quotes.
func (s *scanner) plainString() []byte {
	s.literal(`"`)
	v := s.until('"')
	ascii := true
	for _, c := range v {
		if c == '\\' || c < 0x20 {
			s.failed = true
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	s.failed = s.failed || !ascii && !utf8.Valid(v)
	s.literal(`"`)
	return v
}

// quoted takes a JSON string, escapes and all, and returns it with its quotes.
func (s *scanner) quoted() (raw []byte, escaped bool) {
	start := s.i
	s.literal(`"`)
	i := s.i
	if rest := s.b[i:]; !s.failed { // mostly there is no escape before the next quote
		if n := bytes.IndexByte(rest, '"'); n >= 0 && bytes.IndexByte(rest[:n], '\\') < 0 {
			s.i += n + 1
			return s.b[start:s.i], false
		}
	}
	for i < len(s.b) && s.b[i] != '"' {
		if s.b[i] == '\\' {
			escaped = true
			i++
		}
		i++
	}
	s.i = i
	s.literal(`"`)
	if s.failed {
		s.i = min(s.i, len(s.b)) // an escape that is cut short leads beyond the end
		return nil, false
	}
	return s.b[start:s.i], escaped
}

// object takes one balanced JSON object.
func (s *scanner) object() []byte {
	start := s.i
	if s.peek() != '{' {
		s.failed = true
		return nil
	}
	return s.balanced(start)
}

// balanced takes a value that starts with a bracket, up to the bracket that closes it.
func (s *scanner) balanced(start int) []byte {
	for depth := 0; s.i < len(s.b) && !s.failed; {
		switch s.b[s.i] {
		case '"':
			s.quoted()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.i++
		if depth == 0 {
			return s.b[start:s.i]
		}
	}
	s.failed = true
	return nil
}

// value takes any JSON value.
func (s *scanner) value() (raw []byte, escaped bool) {
	switch s.peek() {
	case '"':
		return s.quoted()
	case '{', '[':
		return s.balanced(s.i), false
	}
	start := s.i
	for s.i < len(s.b) && s.b[s.i] != ',' && s.b[s.i] != '}' {
		s.i++
	}
	if s.i == start {
		s.failed = true
	}
	return s.b[start:s.i], false
}

// members calls f for each member of the JSON object in data; escaped says that the name or value holds a backslash.
// It reports whether data was one whole object.
func members(data []byte, f func(name, value []byte, escaped bool)) bool {
	s := scanner{b: data}
	s.literal("{")
	for first := true; !s.failed && s.peek() != '}'; first = false {
		if !first {
			s.literal(",")
		}
		name, nameEscaped := s.quoted()
		s.literal(":")
		value, valueEscaped := s.value()
		if s.failed {
			return false
		}
		f(name[1:len(name)-1], value, nameEscaped || valueEscaped)
	}
	s.literal("}")
	return !s.failed && s.i == len(data)
}

// setFromJSON puts a JSON value into a field's slot and reports whether it fits.
func setFromJSON(slot any, value []byte, escaped bool) bool {
	switch p := slot.(type) {
	case *int64:
		n, err := strconv.ParseInt(string(value), 10, 64)
		*p = n
		var canonical [20]byte // JSON has no +1 and no 01
		return err == nil && string(strconv.AppendInt(canonical[:0], n, 10)) == string(value)
	case *string:
		if len(value) < 2 || value[0] != '"' || !utf8.Valid(value) {
			return false
		}
		if !escaped {
			*p = string(value[1 : len(value)-1])
			return true
		}
		return json.Unmarshal(value, p) == nil
	case *time.Time:
		if len(value) < 2 || value[0] != '"' {
			return false
		}
		t, ok := parseTime(value[1 : len(value)-1])
		*p = t
		return ok
	}
	return false
}
