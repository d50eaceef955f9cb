package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// index is what follows the frames of a segment, in a frame of its own that decompressors skip.
type index struct {
	Format string      `json:"format"`
	First  es.Position `json:"first"`
	Last   es.Position `json:"last"`
	Frames []frame     `json:"frames"`
}

// frame is one of the independent parts of a segment.
type frame struct {
	Offset     int64     `json:"offset"`
	SHA256     string    `json:"sha256"`     // of its bytes, compressed
	RecordedAt time.Time `json:"recordedAt"` // of its first event
}

// skippable begins a frame that decompressors skip: this, and its length in 4 bytes, little-endian.
const (
	skippable       = 0x184D2A50
	skippableHeader = 8
)

// build makes the object of a segment, and what the manifest says about it but for its root.
func (a *Archive) build(events []es.Recorded) ([]byte, *segment, error) {
	last := len(events) - 1
	s := &segment{First: events[0].Position, Last: events[last].Position, FirstAt: events[0].RecordedAt, LastAt: events[last].RecordedAt}
	s.Name = fmt.Sprintf("%s%020d.ndjson.zst", segmentStart(s.First), s.Last)
	x := index{Format: formatName + strconv.Itoa(formatNumber), First: s.First, Last: s.Last}
	var object, lines []byte
	for ; len(events) > 0; events = events[frameEvents:] {
		lines = lines[:0]
		for i := range events[:frameEvents] {
			lines = append(events[i].AppendJSON(lines), '\n')
		}
		from := len(object)
		object = a.pack.EncodeAll(lines, object)
		x.Frames = append(x.Frames, frame{Offset: int64(from), SHA256: sum(object[from:]), RecordedAt: events[0].RecordedAt})
	}
	text, err := json.Marshal(&x)
	if err != nil {
		return nil, nil, err
	}
	s.Index.Offset = int64(len(object))
	object = binary.LittleEndian.AppendUint32(object, skippable)
	object = binary.LittleEndian.AppendUint32(object, uint32(len(text)))
	object = append(object, text...)
	s.Index.SHA256 = sum(object[s.Index.Offset:])
	s.Bytes, s.SHA256 = int64(len(object)), sum(object)
	return object, s, nil
}

// segmentStart begins the name of the segment that has this first position. Names sort as positions do.
func segmentStart(first es.Position) string { return fmt.Sprintf("segments/%020d-", first) }

func sum(data []byte) string { return es.Hash(sha256.Sum256(data)).String() }

// parseIndex reads the end of the segment's object, once it was compared with its hash.
func (s *segment) parseIndex(data []byte) (*index, error) {
	if got := sum(data); got != s.Index.SHA256 || len(data) < skippableHeader {
		return nil, s.damaged("its index, bytes %d to %d, has the SHA-256 %s and was written with %s%s",
			s.Index.Offset, s.Bytes, got, s.Index.SHA256, short(int64(len(data)), s.Bytes-s.Index.Offset))
	}
	x := &index{}
	err := json.Unmarshal(data[skippableHeader:], x)
	if err != nil || x.First != s.First || x.Last != s.Last || es.Position(len(x.Frames)) != (s.Last-s.First+1)/frameEvents {
		return nil, s.damaged("its index is not that of this segment")
	}
	for n := range x.Frames {
		if from, to := x.span(s, n); from < 0 || from > to {
			return nil, s.damaged("its index is not that of this segment")
		}
	}
	return x, nil
}

// short says that an object ends early.
func short(got, want int64) string {
	if got >= want {
		return ""
	}
	return fmt.Sprintf(" (%d bytes are there of %d)", got, want)
}

// span is where frame n lies, from 0.
func (x *index) span(s *segment, n int) (from, to int64) {
	to = s.Index.Offset
	if n+1 < len(x.Frames) {
		to = x.Frames[n+1].Offset
	}
	return x.Frames[n].Offset, to
}

// frameAt is the last frame that begins at or before t, which is no earlier than the first event.
func (x *index) frameAt(t time.Time) int {
	return max(sort.Search(len(x.Frames), func(i int) bool { return x.Frames[i].RecordedAt.After(t) })-1, 0)
}

// parseFrame reads the bytes of frame n, once they were compared with their hash.
func (a *Archive) parseFrame(s *segment, x *index, n int, packed []byte) ([]es.Recorded, int, error) {
	first := s.First + es.Position(n)*frameEvents
	from, to := x.span(s, n)
	damaged := func(format string, args ...any) error {
		place := fmt.Sprintf("frame %d of %d (positions %d to %d, bytes %d to %d) ", n+1, len(x.Frames), first, first+frameEvents-1, from, to)
		return s.damaged("%s", place+fmt.Sprintf(format, args...))
	}
	if got := sum(packed); got != x.Frames[n].SHA256 {
		return nil, 0, damaged("has the SHA-256 %s and was written with %s%s", got, x.Frames[n].SHA256, short(int64(len(packed)), to-from))
	}
	lines, err := a.unpack.DecodeAll(packed, nil)
	if err != nil {
		return nil, 0, damaged("cannot be decompressed: %v", err)
	}
	size := len(lines)
	events := make([]es.Recorded, 0, frameEvents)
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte{'\n'})
		e, err := es.ParseRecorded(line[:len(line):len(line)])
		if want := first + es.Position(len(events)); err != nil || e.Position != want {
			return nil, 0, damaged("does not hold the event at position %d where it belongs", want)
		}
		events, lines = append(events, e), rest
	}
	if len(events) != int(frameEvents) || !events[0].RecordedAt.Equal(x.Frames[n].RecordedAt) {
		return nil, 0, damaged("does not hold the events that its index says")
	}
	return events, size, nil
}

// lastAt is the position of the last of the events recorded at or before t; the first one was.
func lastAt(events []es.Recorded, t time.Time) es.Position {
	return events[max(sort.Search(len(events), func(i int) bool { return events[i].RecordedAt.After(t) })-1, 0)].Position
}

func (s *segment) damaged(format string, args ...any) error {
	return ports.ErrArchiveDamaged.Say("%s of the archive is damaged: "+format+".", append([]any{s.Name}, args...)...)
}

func (s *segment) missing() error {
	return ports.ErrArchiveDamaged.Say("%s of the archive, which holds the positions %d to %d, is missing.", s.Name, s.First, s.Last)
}
