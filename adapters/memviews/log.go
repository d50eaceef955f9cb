package memviews

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"daybook/core/es"
)

// The log beside the file holds what changed since that was written, a record for each time it was looked for: the length of what
// follows in 8 bytes; the position that the views went on from and the hash of the event there; the position they came to and the
// hash there; each document that changed, after the number of its view; and a SHA-256 of all but the length. Positions have 8 bytes,
// big-endian. What is read of it ends where a record does not go on from the one before it.
const logHead = 2 * (8 + len(es.Hash{}))

// point is a position with the hash of the event there.
type point struct {
	at   es.Position
	hash es.Hash
}

func (p *point) append(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(p.at)), p.hash[:]...)
}

func parsePoint(b []byte) point {
	return point{es.Position(binary.BigEndian.Uint64(b)), es.Hash(b[8 : 8+len(es.Hash{})])}
}

// changed is a document that was written.
type changed struct {
	view  string
	entry *entry
}

// appendRecord appends what changed from one point to another.
func (v *Views) appendRecord(dst []byte, from, to point, all []changed) []byte {
	numbers := map[string]uint64{}
	for i, name := range v.names {
		numbers[name] = uint64(i)
	}
	start := len(dst)
	dst = append(dst, make([]byte, 8)...)
	dst = to.append(from.append(dst))
	var one []byte
	for _, c := range all {
		one = c.entry.append(one[:0])
		dst = binary.AppendUvarint(dst, numbers[c.view])
		dst = append(binary.AppendUvarint(dst, uint64(len(one))), one...)
	}
	sum := sha256.Sum256(dst[start+8:])
	dst = append(dst, sum[:]...)
	binary.BigEndian.PutUint64(dst[start:], uint64(len(dst)-start-8))
	return dst
}

// readLog goes on with the records of a log, and gives how many of its bytes were of use.
func (v *Views) readLog(b []byte) (used int, err error) {
	for used < len(b) {
		rest := b[used:]
		if len(rest) < 8 || binary.BigEndian.Uint64(rest) > uint64(len(rest)-8) {
			return used, fmt.Errorf("%w: its last record is cut off", errFileDamaged)
		}
		record := rest[8 : 8+binary.BigEndian.Uint64(rest)]
		if err := v.readRecord(record); err != nil {
			return used, err
		}
		used += 8 + len(record)
	}
	return used, nil
}

// readRecord takes over one record, or nothing of it.
func (v *Views) readRecord(b []byte) error {
	if len(b) < logHead+sha256.Size {
		return fmt.Errorf("%w: it has a record of %d bytes", errFileDamaged, len(b))
	}
	b, end := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:], end) {
		return fmt.Errorf("%w: the checksum of a record is wrong", errFileDamaged)
	}
	from, to := parsePoint(b), parsePoint(b[logHead/2:])
	switch {
	case to.at <= v.checkpoint: // the file was written after it
		return nil
	case from.at != v.checkpoint || from.hash != v.hash || to.hash == es.Hash{}:
		return fmt.Errorf("%w: a record goes on from position %d, and what is before it ends at %d", errFileDamaged, from.at, v.checkpoint)
	}
	r := fileReader{b: b, at: logHead}
	var all []changed
	for r.at < len(b) {
		number := r.uint()
		start, end := r.text()
		if r.failed || number >= uint64(len(v.names)) {
			return fmt.Errorf("%w: a record does not add up", errFileDamaged)
		}
		c := changed{view: v.names[number]}
		ok := false
		if c.entry, ok = readDocument(b[start:end], len(v.views[c.view].view.Fields)); !ok {
			return fmt.Errorf("%w: a document of a record does not add up", errFileDamaged)
		}
		all = append(all, c)
	}
	for _, c := range all {
		d := v.views[c.view]
		d.put(d.entry(c.entry.Document))
	}
	v.checkpoint, v.hash = to.at, to.hash
	return nil
}
