package pgstore

import (
	"encoding/binary"
	"time"

	"daybook/core/es"
)

// decoder reads rows of events as the server sends them, in the binary form: numbers big-endian, times in microseconds
// since 2000, text as it is. What it gives has no JSON yet: a projection needs none.
type decoder struct {
	slab  []byte // what is left of it takes the texts of the next events: one allocation for many
	left  int    // how many events are expected at the most
	names []byte // of one event, on their way into a string
}

// slabSize bounds how much memory one event that somebody keeps can keep from being freed.
const slabSize = 64 << 10

// since2000 is the server's epoch in microseconds since 1970.
const since2000 = 946_684_800_000_000

// event reads the columns into e. What was forgotten is a place.
func (d *decoder) event(row [][]byte, e *es.Recorded) error {
	if len(row) != 10 || len(row[0]) != 8 || len(row[2]) != 8 || len(row[4]) != 4 || len(row[5]) != 8 || len(row[6]) != 8 {
		return errDamaged.Say("The server sent an event in a form that was not asked for.")
	}
	stream, kind, data, metadata := row[1], row[3], row[7], row[8]
	*e = es.Recorded{Position: es.Position(binary.BigEndian.Uint64(row[0])), Version: es.Version(binary.BigEndian.Uint64(row[2])), RecordedAt: instant(row[6])}
	if copy(e.Hash[:], row[9]); len(row[9]) != len(e.Hash) && len(row[9]) != 0 {
		return errDamaged.Say("The hash of the event at position %d has %d bytes.", e.Position, len(row[9]))
	}
	d.names = append(append(d.names[:0], stream...), kind...)
	names := string(d.names) // one allocation for both
	e.Stream = es.StreamID(names[:len(stream)])
	if len(data) == 0 {
		return nil
	}
	e.Type, e.Schema, e.EffectiveAt = names[len(stream):], int(int32(binary.BigEndian.Uint32(row[4]))), instant(row[5])
	e.Data, e.Metadata = d.texts(data, metadata)
	return nil
}

// texts keeps the texts of an event, one behind the other: the row's memory is used again for the next one.
func (d *decoder) texts(data, metadata []byte) (keptData, keptMetadata []byte) {
	size := len(data) + len(metadata)
	if size > cap(d.slab)-len(d.slab) {
		d.slab = make([]byte, 0, max(size, min(d.left*size, slabSize)))
	}
	d.left--
	start := len(d.slab)
	middle, end := start+len(data), start+size
	d.slab = append(append(d.slab, data...), metadata...)
	return d.slab[start:middle:middle], d.slab[middle:end:end]
}

func instant(column []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(column)) + since2000).UTC()
}
