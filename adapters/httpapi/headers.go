package httpapi

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/es"
)

// subject names who sends the request; "" when nobody said.
func subject(r *http.Request) string {
	if p := access.Of(r.Context()); p != nil {
		return p.Subject
	}
	return ""
}

// metadata is what the events of a request say about it, but for who sent it, which the engine knows.
func metadata(w http.ResponseWriter, r *http.Request) es.Metadata {
	return es.Metadata{RequestID: requestIDOf(w), Traceparent: traceparent(r.Header)}
}

// mediaType checks that the body is of one of the types, in UTF-8 and not compressed.
func mediaType(h http.Header, types ...string) error {
	if encoding := h.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return errMediaType.Say("The body must not be compressed.")
	}
	given := h["Content-Type"]
	if len(given) == 1 && (given[0] == types[0] || isMedia(given[0], types)) {
		return nil
	}
	return errMediaType.Say("The body must be sent with Content-Type: %s.", types[0])
}

func isMedia(given string, types []string) bool {
	media, params, err := mime.ParseMediaType(given)
	charset, hasCharset := params["charset"]
	return err == nil && slices.Contains(types, media) && (!hasCharset || strings.EqualFold(charset, "utf-8"))
}

// idempotencyKey reads Idempotency-Key: bare, or as a string of structured fields (RFC 9651). "" when there is none.
func idempotencyKey(h http.Header) (string, error) {
	given := h["Idempotency-Key"]
	if len(given) == 0 {
		return "", nil
	}
	key, ok := given[0], len(given) == 1
	if strings.HasPrefix(key, `"`) && ok {
		key, ok = unquote(key)
	}
	if !ok || wire.CheckKey(key) != "" {
		return "", errInvalidHeader.Say("Idempotency-Key must be there once, with 1 to 255 visible ASCII characters, bare or in quotes.").
			At("Idempotency-Key", "must be 1 to 255 visible ASCII characters, bare or in quotes")
	}
	return key, nil
}

// unquote reads a string of structured fields.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	var out strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '"' {
			return "", false
		}
		if s[i] == '\\' {
			i++
			if i == len(s)-1 || s[i] != '"' && s[i] != '\\' {
				return "", false
			}
		}
		out.WriteByte(s[i])
	}
	return out.String(), true
}

// ifMatch reads If-Match: one version in quotes. nil when there is none.
func ifMatch(h http.Header) (*es.Version, error) {
	given := h["If-Match"]
	if len(given) == 0 {
		return nil, nil
	}
	if len(given) == 1 {
		if n, ok := version(given[0]); ok {
			return &n, nil
		}
	}
	return nil, errInvalidHeader.Say(`If-Match must be one version in quotes, like "2", as the ETag of an answer; lists, weak tags and * are not taken.`).
		At("If-Match", `must be one version in quotes, like "2"`)
}

// version reads an entity tag as setVersion writes it.
func version(tag string) (es.Version, bool) {
	if len(tag) < 3 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return 0, false
	}
	n, ok := integer(tag[1 : len(tag)-1])
	return es.Version(n), ok && n >= 0 && n <= es.MaxAmount
}

// traceparent keeps a W3C trace context that is well-formed; any other is dropped, as that recommendation asks.
func traceparent(h http.Header) string {
	given := h["Traceparent"]
	if len(given) != 1 || len(given[0]) != 55 {
		return ""
	}
	t := given[0]
	zero := true
	for i := range len(t) {
		switch c := t[i]; {
		case i == 2 || i == 35 || i == 52:
			if c != '-' {
				return ""
			}
			if i > 2 && zero { // the trace's or the parent's id
				return ""
			}
			zero = true
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
			zero = zero && c == '0'
		default:
			return ""
		}
	}
	if t[:2] == "ff" {
		return ""
	}
	return t
}
