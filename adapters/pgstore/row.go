package pgstore

import (
	"bytes"
	"encoding/binary"
	"time"

	"daybook/core/es"
)

// decoder reads rows of events as the server sends them, in the binary form: numbers big-endian, times in microseconds
// since 2000, text as it is.
type decoder struct {
	slab []byte // what is left of it takes the next events: one allocation for many
	left int    // how many events are expected at the most
}

// slabSize bounds how much memory one event that somebody keeps can keep from being freed.
const slabSize = 64 << 10

// since2000 is the server's epoch in microseconds since 1970.
const since2000 = 946_684_800_000_000

// room is more than what es.Recorded.AppendJSON adds to the texts of an event.
const room = 384

// event reads the columns into e. What was forgotten is a place: it has no data, and no Raw.
func (d *decoder) event(row [][]byte, e *es.Recorded) error {
	if len(row) != 10 || len(row[0]) != 8 || len(row[2]) != 8 || len(row[4]) != 4 || len(row[5]) != 8 || len(row[6]) != 8 {
		return errDamaged.Say("The server sent an event in a form that was not asked for.")
	}
	stream, kind, data, metadata := row[1], row[3], row[7], row[8]
	size := len(stream) + len(kind) + len(data) + len(metadata) + room
	if size > cap(d.slab)-len(d.slab) {
		d.slab = make([]byte, 0, max(size, min(d.left*size, slabSize)))
	}
	d.left--
	start := len(d.slab)
	d.slab = append(append(d.slab, stream...), kind...)
	names := string(d.slab[start:]) // one allocation for both
	d.slab = d.slab[:start]
	*e = es.Recorded{
		Position: es.Position(binary.BigEndian.Uint64(row[0])), Stream: es.StreamID(names[:len(stream)]),
		Version: es.Version(binary.BigEndian.Uint64(row[2])), Type: names[len(stream):], Schema: int(int32(binary.BigEndian.Uint32(row[4]))),
		EffectiveAt: instant(row[5]), RecordedAt: instant(row[6]), Data: data, Metadata: metadata,
	}
	if copy(e.Hash[:], row[9]); len(row[9]) != len(e.Hash) && len(row[9]) != 0 {
		return errDamaged.Say("The hash of the event at position %d has %d bytes.", e.Position, len(row[9]))
	}
	if len(data) == 0 {
		*e = es.Recorded{Position: e.Position, Stream: e.Stream, Version: e.Version, RecordedAt: e.RecordedAt, Hash: e.Hash}
		return nil
	}
	d.slab = e.AppendJSON(d.slab)
	e.Raw = d.slab[start:len(d.slab):len(d.slab)]
	// The row's memory is used again for the next one: data and metadata are shared with Raw.
	// The members' names cannot be in front of them: there, quotes would be escaped.
	at := bytes.Index(e.Raw, dataMember) + len(dataMember)
	e.Data = e.Raw[at : at+len(data)]
	at += len(data)
	at += bytes.Index(e.Raw[at:], metadataMember) + len(metadataMember)
	e.Metadata = e.Raw[at : at+len(metadata)]
	return nil
}

var (
	dataMember     = []byte(`,"data":`)
	metadataMember = []byte(`,"metadata":`)
)

func instant(column []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(column)) + since2000).UTC()
}
