package wire

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"daybook/core/es"
)

// Decode reads the body of a command into a new value of its struct. It is strict: a member that is unknown, missing, null,
// of another type or outside its range is an error (ErrInvalidField, one pointer for each), and so is anything that is not
// one JSON object without duplicate names (ErrInvalidBody). It keeps nothing of body and may be called concurrently.
func Decode(t *es.CommandType, body []byte) (any, error) { return decodeFields(t, body, "") }

// decodeFields is Decode for an object at the JSON pointer at.
func decodeFields(t *es.CommandType, body []byte, at string) (any, error) {
	r := readers.Get().(*reader)
	defer readers.Put(r)
	command := t.New()
	var seen uint64
	var wrong problems
	err := r.object(body, at, func(name []byte, value jsontext.Value) {
		i := fieldCalled(t.Fields, name)
		if i < 0 {
			wrong.add(pointer(at, name), unknownField(t, string(name)))
			return
		}
		seen |= 1 << i
		if problem := set(t.Slot(command, i), &t.Fields[i], value); problem != "" {
			wrong.add(pointer(at, name), problem)
		}
	})
	if err != nil {
		return nil, err
	}
	for i := range t.Fields {
		if t.Fields[i].Required && seen&(1<<i) == 0 {
			wrong.add(pointer(at, []byte(t.Fields[i].Name)), "is missing")
		}
	}
	return command, wrong.fault()
}

func fieldCalled(fields []es.Spec, name []byte) int {
	for i := range fields {
		if fields[i].Name == string(name) {
			return i
		}
	}
	return -1
}

func unknownField(t *es.CommandType, name string) string {
	names := make([]string, len(t.Fields))
	for i := range t.Fields {
		names[i] = t.Fields[i].Name
	}
	return unknownName(name, names)
}

// unknownName says that a member is not known, and which are.
func unknownName(name string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(k, name) {
			return "is unknown: names are case-sensitive, and this one is written " + k
		}
	}
	return "is unknown: the members here are " + strings.Join(known, ", ")
}

// set puts a JSON value into the slot of a field, or says what the value must be.
func set(slot any, s *es.Spec, value jsontext.Value) (problem string) {
	if value.Kind() == 'n' {
		if s.Required {
			return "must not be null"
		}
		return "must not be null: leave it out instead"
	}
	switch p := slot.(type) {
	case *int64:
		*p, problem = integer(value)
		if problem == "" {
			problem = s.CheckInt(*p)
		}
	case *string:
		*p, problem = text(value)
		if problem == "" {
			problem = s.CheckString(*p)
		}
	case *time.Time:
		var written string
		if written, problem = text(value); problem != "" {
			return problem
		}
		moment, err := es.ParseTime(written)
		if err != nil {
			return err.Error()
		}
		*p = moment
	}
	return problem
}

// integer reads a JSON number that is written as an integer. One that no int64 can hold becomes the nearest that can: every
// field's range is smaller.
func integer(value jsontext.Value) (n int64, problem string) {
	if value.Kind() != '0' {
		return 0, "must be an integer, not " + kindName(value.Kind())
	}
	for _, c := range value {
		if c != '-' && (c < '0' || c > '9') {
			return 0, "must be an integer, written without fraction and exponent"
		}
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		n = math.MaxInt64
		if value[0] == '-' {
			n = math.MinInt64
		}
	}
	return n, ""
}

// text reads a JSON string.
func text(value jsontext.Value) (s, problem string) {
	if value.Kind() != '"' {
		return "", "must be a string, not " + kindName(value.Kind())
	}
	for _, c := range value {
		if c == '\\' {
			unquoted, err := jsontext.AppendUnquote(nil, value)
			if err != nil { // the parser has refused it before
				return "", "must be a string of valid Unicode"
			}
			return string(unquoted), ""
		}
	}
	return string(value[1 : len(value)-1]), ""
}
