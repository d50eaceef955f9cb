package pebblestore

import (
	"encoding/binary"
	"errors"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// The prefix bytes of the tables.
const (
	tableEvents      = 'e'
	tableStreams     = 's'
	tableOutcomes    = 'c'
	tableRefusals    = 'x'
	tableCheckpoints = 'p'
	tableSnapshots   = 'z'
	tableTree        = 't'
	tableNodes       = 'n'
	tableArchived    = 'a'
)

// streamEnd ends a stream's id in a key. Ids cannot contain it, so no stream's keys lie between those of another.
const streamEnd = 0

func appendEventKey(dst []byte, p es.Position) []byte {
	return binary.BigEndian.AppendUint64(append(dst, tableEvents), uint64(p))
}

// appendStreamKey appends what all keys of the stream begin with.
func appendStreamKey(dst []byte, stream es.StreamID) []byte {
	return append(append(append(dst, tableStreams), stream...), streamEnd)
}

func appendVersionKey(dst []byte, stream es.StreamID, v es.Version) []byte {
	return binary.BigEndian.AppendUint64(appendStreamKey(dst, stream), uint64(v))
}

// appendNodeKey appends the key of a node of the tree of hashes. There are fewer than 256 levels.
func appendNodeKey(dst []byte, level int, index uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, tableNodes, byte(level)), index)
}

func appendOutcomeKey(dst []byte, key string) []byte {
	return append(append(dst, tableOutcomes), key...)
}

// appendRefusalKey takes the recorded time in microseconds since 1970. The flipped sign makes earlier times sort first.
func appendRefusalKey(dst []byte, recordedAt int64, key string) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, tableRefusals), uint64(recordedAt)^1<<63), key...)
}

func parseRefusalKey(k []byte) (recordedAt int64, key string, ok bool) {
	if len(k) < 9 {
		return 0, "", false
	}
	return int64(binary.BigEndian.Uint64(k[1:]) ^ 1<<63), string(k[9:]), true
}

func appendCheckpointKey(dst []byte, name string) []byte {
	return append(append(dst, tableCheckpoints), name...)
}

func parsePosition(v []byte) (es.Position, bool) {
	if len(v) != 8 {
		return 0, false
	}
	return es.Position(binary.BigEndian.Uint64(v)), true
}

// outcomeFormat is the first byte of an outcome as it is stored.
const outcomeFormat = 1

// outcomeHeader is the length of what comes before the body: the format, a flag that is 1 for a refusal, and the recorded
// time in microseconds since 1970.
const outcomeHeader = 1 + 1 + 8

// appendOutcome appends o as it is stored. Its key is not part of it.
func appendOutcome(dst []byte, o *ports.Outcome) []byte {
	flag := byte(0)
	if o.Refusal {
		flag = 1
	}
	dst = binary.BigEndian.AppendUint64(append(dst, outcomeFormat, flag), uint64(o.RecordedAt.UnixMicro()))
	return append(dst, o.Body...)
}

// parseOutcome reads what appendOutcome wrote. The result shares v.
func parseOutcome(key string, v []byte) (*ports.Outcome, error) {
	if len(v) < outcomeHeader || v[0] != outcomeFormat || v[1] > 1 {
		return nil, errors.New("these bytes are not a stored outcome")
	}
	return &ports.Outcome{
		Key: key, Refusal: v[1] == 1, RecordedAt: time.UnixMicro(int64(binary.BigEndian.Uint64(v[2:]))).UTC(), Body: v[outcomeHeader:],
	}, nil
}
