package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"daybook/core/fault"
)

// reader reads one JSON object strictly: valid UTF-8, no duplicate names, nothing behind it.
type reader struct {
	source  bytes.Buffer
	decoder jsontext.Decoder
	name    []byte
}

var readers = sync.Pool{New: func() any { return new(reader) }}

// object calls member for each member of the object in text. at is the JSON pointer of the object. name and value are only
// valid during the call.
func (r *reader) object(text []byte, at string, member func(name []byte, value jsontext.Value)) error {
	if err := notText(text, at); err != nil {
		return err
	}
	r.source = *bytes.NewBuffer(text)
	r.decoder.Reset(&r.source)
	defer func() { r.source = bytes.Buffer{} }()
	start, err := r.decoder.ReadToken()
	switch {
	case err != nil:
		return unreadable(err, at)
	case start.Kind() != '{':
		return ErrInvalidBody.Say("The body must be a JSON object, not %s.", kindName(start.Kind())).At(at, "must be a JSON object")
	}
	for r.decoder.PeekKind() != '}' {
		quoted, err := r.decoder.ReadValue()
		if err != nil {
			return unreadable(err, at)
		}
		if r.name, err = jsontext.AppendUnquote(r.name[:0], quoted); err != nil {
			return unreadable(err, at)
		}
		value, err := r.decoder.ReadValue()
		if err != nil {
			return unreadable(err, at)
		}
		member(r.name, value)
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return unreadable(err, at)
	}
	if _, err := r.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return ErrInvalidBody.Say("There is more behind the JSON object, at byte %d.", r.decoder.InputOffset()).At(at, "must be followed by nothing")
	}
	return nil
}

// notText says in words what a parser would only stumble over.
func notText(text []byte, at string) error {
	switch {
	case len(bytes.TrimLeft(text, " \t\r\n")) == 0:
		return ErrInvalidBody.Say("The body is empty; it must be a JSON object.").At(at, "must be a JSON object")
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return ErrInvalidBody.Say("The body starts with a byte order mark; send UTF-8 without one.").At(at, "must not start with a byte order mark")
	}
	return nil
}

// unreadable turns a parser's error into a fault that points at the place.
func unreadable(err error, at string) *fault.Fault {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return ErrInvalidBody.Say("The body is not JSON: %s.", plain(err)).At(at, plain(err))
	}
	pointer := at + shorten(string(syntax.JSONPointer))
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return ErrInvalidBody.Say("The member %s is there twice.", pointer).At(pointer, "must be there once")
	}
	return ErrInvalidBody.Say("The body is not JSON: %s, at byte %d.", plain(syntax.Err), syntax.ByteOffset).At(pointer, plain(syntax.Err))
}

func plain(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return shorten(strings.TrimPrefix(err.Error(), "jsontext: "))
}

// shorten keeps an answer from growing with what was sent.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// pointer appends a member's name to the JSON pointer of its object (RFC 6901).
func pointer(at string, name []byte) string {
	escaped := strings.NewReplacer("~", "~0", "/", "~1").Replace(string(name))
	return at + "/" + shorten(escaped)
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[':
		return "an array"
	case '{':
		return "an object"
	}
	return fmt.Sprintf("%q", byte(k))
}
