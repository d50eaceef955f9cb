package pebblestore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"daybook/core/es"
)

// checkLog refuses a store whose newest log is damaged before its end. Pebble takes an invalid place in that log for the
// end of what a crash left behind, and looks for better knowledge no nearer than 32 KiB further on: a flipped bit there
// would silently take all later events with it. What tells damage from a torn end is a later write: units of work
// follow one another, so a second commit behind the place was begun after a first one there was on the disk.
func (s *Store) checkLog() error {
	names, err := s.fs.List(s.options.Dir)
	if err != nil {
		return s.unreadable(err, "its directory")
	}
	newest, number := "", uint64(0)
	for _, name := range names {
		digits, isLog := strings.CutSuffix(name, ".log")
		if n, err := strconv.ParseUint(digits, 10, 32); isLog && err == nil && n >= number {
			newest, number = name, n
		}
	}
	if newest == "" {
		return nil
	}
	f, err := s.fs.Open(s.fs.PathJoin(s.options.Dir, newest))
	if err != nil {
		return s.unreadable(err, "its log "+newest)
	}
	defer f.Close()
	c := logCheck{number: uint32(number)}
	for block := make([]byte, logBlock); ; c.before += logBlock {
		n, err := io.ReadFull(f, block)
		c.look(block[:n])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return s.unreadable(err, "its log "+newest)
		}
	}
	if c.invalid && (c.promised > c.place || c.commits > 1 && !s.options.NoSync) {
		return s.damaged(fmt.Sprintf("its log %s cannot be read at byte %d, in or behind the batch that begins with position %d, and holds later ones. It was not opened, so that nothing is lost; restore it from a backup.",
			newest, c.place, c.position), nil)
	}
	return nil
}

// Pebble's log is made of blocks; no chunk crosses their borders. A chunk is: checksum (4 bytes), length of the payload
// (2), kind (1), number of the log (4), in the newer kinds how much of the log was synced before (8), payload. Little-endian.
const (
	logBlock    = 32 << 10
	olderHeader = 4 + 2 + 1 + 4
	newerHeader = olderHeader + 8
	olderFull   = 5 // a whole record; the next three kinds begin a record, go on with it, end it
	newerFull   = 9
	beyondKinds = 13
	lastToBegin = 1 // of the kinds of one age, counted from 0: the last one that begins a record
)

// logCheck goes through a log and keeps what it saw.
type logCheck struct {
	number   uint32 // of the log
	before   uint64 // bytes of the log before the block at hand
	invalid  bool   // there is a place that is not a chunk of this log
	place    uint64 // the first one
	position es.Position
	promised uint64 // how much was synced, as a chunk behind that place says
	commits  int    // commits that begin behind that place
}

func (c *logCheck) look(block []byte) {
	for at := 0; at+olderHeader <= len(block); {
		header, payload := c.chunk(block[at:])
		if header == nil && isPadding(block[at:]) {
			return
		}
		if header == nil {
			if !c.invalid {
				c.invalid, c.place = true, c.before+uint64(at)
			}
			at++ // the length is not to be trusted: look at every byte
			continue
		}
		c.see(header, payload)
		at += len(header) + len(payload)
	}
}

// isPadding reports whether b is what the writer leaves at the end of a block where no header of the newer kinds fits.
func isPadding(b []byte) bool {
	return len(b) < newerHeader && len(bytes.Trim(b, "\x00")) == 0
}

// chunk gives the parts of the chunk that b begins with, or nil.
func (c *logCheck) chunk(b []byte) (header, payload []byte) {
	kind := b[6]
	if kind < olderFull || kind >= beyondKinds || binary.LittleEndian.Uint32(b[7:]) != c.number {
		return nil, nil
	}
	begin := olderHeader
	if kind >= newerFull {
		begin = newerHeader
	}
	end := begin + int(binary.LittleEndian.Uint16(b[4:]))
	if end > len(b) || binary.LittleEndian.Uint32(b) != logChecksum(b[6:end]) {
		return nil, nil
	}
	return b[:begin], b[begin:end]
}

// logChecksum is that of LevelDB and its heirs.
func logChecksum(b []byte) uint32 {
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (sum>>15 | sum<<17) + 0xa282ead8
}

func (c *logCheck) see(header, payload []byte) {
	place := (header[6] - olderFull) % (newerFull - olderFull)
	key := firstKey(payload)
	isCommit := place <= lastToBegin && len(key) > 0 && !besideUnits(key[0])
	if c.invalid {
		if len(header) == newerHeader {
			c.promised = max(c.promised, binary.LittleEndian.Uint64(header[olderHeader:]))
		}
		if isCommit {
			c.commits++
		}
	} else if isCommit && key[0] == tableEvents && len(key) == 9 {
		c.position = es.Position(binary.BigEndian.Uint64(key[1:]))
	}
}

// besideUnits reports whether a write that begins with a row of the table need not wait for a unit of work to end.
func besideUnits(table byte) bool {
	return table == tableCheckpoints || table == tableSnapshots || table == tableArchived
}

// firstKey is the key of the first row of a Pebble batch, or nil: behind a sequence number (8 bytes), a count (4) and the
// row's kind (1).
func firstKey(batch []byte) []byte {
	const header = 8 + 4 + 1
	if len(batch) <= header {
		return nil
	}
	length, n := binary.Uvarint(batch[header:])
	if key := batch[header+max(n, 0):]; n > 0 && length <= uint64(len(key)) {
		return key[:length]
	}
	return nil
}
