package es

import (
	"errors"
	"fmt"
)

// Upcaster turns the stored data of one schema of an event into that of the next. It is total: every data its schema ever
// allowed has an image. It must not change the bytes it is given.
type Upcaster func(data []byte) ([]byte, error)

// CopyMember is the upcaster that adds the member to, which the schema before did not have, with the value of the member from,
// which it required.
func CopyMember(from, to string) Upcaster {
	return func(data []byte) ([]byte, error) {
		var value []byte
		ok := members(data, func(name, v []byte, _ bool) {
			if string(name) == from {
				value = v
			}
		})
		switch {
		case !ok:
			return nil, errors.New("it is not a flat JSON object")
		case value == nil:
			return nil, fmt.Errorf("its member %q is missing", from)
		}
		end := len(data) - len("}")
		next := make([]byte, 0, len(data)+len(to)+len(value)+len(`,"":`))
		next = append(AppendString(append(append(next, data[:end]...), ','), to), ':')
		return append(append(next, value...), '}'), nil
	}
}
