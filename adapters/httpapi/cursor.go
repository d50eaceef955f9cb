package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"

	"daybook/adapters/wire"
	"daybook/core/es"
	"daybook/core/ports"
)

// A cursor names the last document a client has seen. Its text is the base64url of: the first bytes of the hash of the list
// it belongs to, the document's value in the field sorted by (an integer, then a string with its length), the document's id,
// and a checksum over all of it.
const (
	listHash = 8
	checksum = 8
)

// cursorText writes a cursor of the list that is described by list.
func cursorText(list string, c ports.Cursor) string {
	hash := sha256.Sum256([]byte(list))
	b := append(make([]byte, 0, 128), hash[:listHash]...)
	b = binary.AppendVarint(b, c.Key.Int)
	b = binary.AppendUvarint(b, uint64(len(c.Key.Str)))
	b = append(b, c.Key.Str...)
	b = append(b, c.ID...)
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:checksum]...))
}

// parseCursor reads a cursor that cursorText wrote for the same list. All others are errInvalidCursor.
func parseCursor(list, text string) (ports.Cursor, error) {
	var c ports.Cursor
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < listHash+checksum {
		return c, errInvalidCursor
	}
	b, given := b[:len(b)-checksum], b[len(b)-checksum:]
	sum, hash := sha256.Sum256(b), sha256.Sum256([]byte(list))
	if !bytes.Equal(sum[:checksum], given) || !bytes.Equal(hash[:listHash], b[:listHash]) {
		return c, errInvalidCursor
	}
	b = b[listHash:]
	n, size := binary.Varint(b)
	if size <= 0 {
		return c, errInvalidCursor
	}
	b = b[size:]
	length, size := binary.Uvarint(b)
	if size <= 0 || length > uint64(len(b)-size) {
		return c, errInvalidCursor
	}
	b = b[size:]
	c = ports.Cursor{Key: es.Value{Int: n, Str: string(b[:length])}, ID: string(b[length:])}
	if !utf8.ValidString(c.Key.Str) || wire.CheckID(c.ID) != "" || cursorText(list, c) != text { // base64 passes over line ends
		return c, errInvalidCursor
	}
	return c, nil
}
