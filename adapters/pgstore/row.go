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
const room = 256

// event reads the columns into e.
func (d *decoder) event(row [][]byte, e *es.Recorded) error {
	if len(row) != 9 || len(row[0]) != 8 || len(row[2]) != 8 || len(row[4]) != 4 || len(row[5]) != 8 || len(row[6]) != 8 {
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
	d.slab = e.AppendJSON(d.slab)
	e.Raw = d.slab[start:len(d.slab):len(d.slab)]
	// The row's memory is used again for the next one: data and metadata are shared with Raw.
	e.Metadata = e.Raw[len(e.Raw)-1-len(metadata) : len(e.Raw)-1]
	at := bytes.Index(e.Raw, dataMember) + len(dataMember) // a name cannot hold it: its quotes would be escaped
	e.Data = e.Raw[at : at+len(data)]
	return nil
}

var dataMember = []byte(`,"data":`)

func instant(column []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(column)) + since2000).UTC()
}
