package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"daybook/core/es"
	"daybook/core/fault"
)

// values reads the parameters of a request and gathers what is wrong with them.
type values struct {
	query url.Values
	wrong []fault.Field
}

// values takes the parameters of the query, which must be those the route declares, each at most once.
func (rt *route) values(r *http.Request) (*values, error) {
	q := &values{}
	if r.URL.RawQuery == "" {
		return q, nil
	}
	var err error
	if q.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, errInvalidParam.Say("The query is malformed: %s.", err.Error())
	}
	for name, given := range q.query {
		switch {
		case !rt.takes(name):
			q.refuse(name, "is unknown: the parameters here are "+rt.queryNames())
		case len(given) > 1:
			q.refuse(name, "must be there once")
		case !utf8.ValidString(given[0]):
			q.refuse(name, "must be UTF-8")
		}
	}
	return q, q.fault()
}

func (rt *route) takes(name string) bool {
	for _, p := range rt.params {
		if p.In == "query" && p.Name == name {
			return true
		}
	}
	return false
}

func (rt *route) queryNames() string {
	var names []string
	for _, p := range rt.params {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (q *values) refuse(name, detail string) {
	if len(q.wrong) < 20 {
		q.wrong = append(q.wrong, fault.Field{Pointer: name, Detail: detail})
	}
}

// fault is nil while nothing is wrong.
func (q *values) fault() error {
	if len(q.wrong) == 0 {
		return nil
	}
	f := *errInvalidParam
	f.Fields = q.wrong
	f.Msg = fmt.Sprintf("The parameter %q %s.", q.wrong[0].Pointer, q.wrong[0].Detail)
	return &f
}

func (q *values) has(name string) bool { return q.query.Has(name) }

// number reads an integer between low and high, included; fallback when it is missing.
func (q *values) number(name string, low, high, fallback int64) int64 {
	if !q.has(name) {
		return fallback
	}
	n, ok := integer(q.query.Get(name))
	if !ok || n < low || n > high {
		q.refuse(name, fmt.Sprintf("must be an integer from %d to %d", low, high))
		return fallback
	}
	return n
}

// integer reads an integer in its one plain form: no plus sign, no leading zeros.
func integer(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

// moment reads a time; zero when it is missing.
func (q *values) moment(name string) time.Time {
	if !q.has(name) {
		return time.Time{}
	}
	t, err := es.ParseTime(q.query.Get(name))
	if err != nil {
		q.refuse(name, err.Error())
	}
	return t
}

// flag reads true or false; false when it is missing.
func (q *values) flag(name string) bool {
	switch {
	case !q.has(name) || q.query.Get(name) == "false":
		return false
	case q.query.Get(name) != "true":
		q.refuse(name, "must be true or false")
	}
	return q.query.Get(name) == "true"
}

// exclusive refuses more than one of the parameters.
func (q *values) exclusive(names ...string) {
	first := ""
	for _, name := range names {
		switch {
		case !q.has(name):
		case first != "":
			q.refuse(name, "must not be there next to "+first)
		default:
			first = name
		}
	}
}

// limit is how many items a list may have.
func (q *values) limit() int { return int(q.number("limit", 1, 1000, 100)) }
