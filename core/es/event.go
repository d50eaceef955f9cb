// Package es is the vocabulary of event sourcing that everything else speaks: streams, versions, positions, events as
// drafted and as recorded, the fields they are made of, and the module that declares commands, events and view of one
// aggregate. Standard library only; no I/O, no clock, no goroutine lives here.
package es

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// StreamID names one stream: a module's prefix and the id a client chose, such as "acc-101".
type StreamID string

// Version counts the events of one stream, from 1. Zero means the stream does not exist yet.
type Version uint64

// Position orders all events of a store, from 1, contiguous and in commit order. Zero is before the first event.
type Position uint64

// EventID is the public id of the event at p, such as "evt-17".
func (p Position) EventID() string { return "evt-" + strconv.FormatUint(uint64(p), 10) }

// ParseEventID reads the position out of an event id. Only the form that EventID writes is accepted.
func ParseEventID(s string) (Position, error) {
	digits, ok := strings.CutPrefix(s, "evt-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || n == 0 || digits[0] == '0' {
		return 0, fmt.Errorf("es: %q is not an event id, which looks like evt-17", s)
	}
	return Position(n), nil
}

// Event is one thing that happened, as a value of a module's own type. EventType is its name on the wire, for ever.
type Event interface{ EventType() string }

// Recorded is an event as the store keeps it. Its byte slices are shared: whoever receives one must not change them.
type Recorded struct {
	Stream      StreamID
	Version     Version
	Position    Position
	Type        string
	Schema      int
	EffectiveAt time.Time // when it happened in the world, UTC, microseconds
	RecordedAt  time.Time // when it was written, UTC, microseconds, strictly increasing from command to command
	Data        []byte    // a JSON object, exactly as it was written
	Metadata    []byte    // a JSON object: who, why, in answer to what
	Hash        Hash      // see Seal; zero until then
	raw         []byte    // the whole event as JSON, where that is at hand already
}

// Metadata says where an event came from. All fields are optional but Principal.
type Metadata struct {
	Principal     string `json:"principal"`
	CommandID     string `json:"commandId,omitempty"`     // the idempotency key the client gave
	RequestID     string `json:"requestId,omitempty"`     // one HTTP request
	CorrelationID string `json:"correlationId,omitempty"` // the conversation a message belongs to
	CausationID   string `json:"causationId,omitempty"`   // the message that caused the command
	Traceparent   string `json:"traceparent,omitempty"`   // W3C trace context
}

// AppendJSON appends m as it is stored.
func (m *Metadata) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"principal":`...)
	dst = AppendString(dst, m.Principal)
	for _, f := range [...]struct{ key, value string }{
		{`,"commandId":`, m.CommandID}, {`,"requestId":`, m.RequestID}, {`,"correlationId":`, m.CorrelationID},
		{`,"causationId":`, m.CausationID}, {`,"traceparent":`, m.Traceparent},
	} {
		if f.value != "" {
			dst = append(dst, f.key...)
			dst = AppendString(dst, f.value)
		}
	}
	return append(dst, '}')
}

// Forgotten reports whether this is but the place of an event: what it said is in an archive now.
func (r *Recorded) Forgotten() bool { return r.Data == nil }

// JSON is the event as AppendJSON writes it. It must not be written to: the event may share it.
func (r *Recorded) JSON() []byte {
	if r.raw != nil {
		return r.raw
	}
	return r.AppendJSON(make([]byte, 0, r.jsonRoom()))
}

// jsonRoom is more than the length of the event as JSON, if its names need no escapes.
func (r *Recorded) jsonRoom() int {
	const members = 464 // their names, the numbers, times and the hash
	return members + len(r.Stream) + len(r.Type) + len(r.Data) + len(r.Metadata)
}

// AppendJSON appends the event as it is stored and shown: one JSON object, fixed order of members, no white space.
func (r *Recorded) AppendJSON(dst []byte) []byte {
	if r.raw != nil {
		return append(dst, r.raw...)
	}
	dst = append(dst, `{"id":"evt-`...)
	dst = strconv.AppendUint(dst, uint64(r.Position), 10)
	dst = append(dst, `","aggregateId":`...)
	dst = AppendString(dst, string(r.Stream))
	dst = append(dst, `,"eventType":`...)
	dst = AppendString(dst, r.Type)
	dst = append(dst, `,"timestamp":"`...)
	dst = AppendTime(dst, r.EffectiveAt)
	dst = append(dst, `","data":`...)
	dst = append(dst, r.Data...)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendUint(dst, uint64(r.Version), 10)
	dst = append(dst, `,"position":`...)
	dst = strconv.AppendUint(dst, uint64(r.Position), 10)
	dst = append(dst, `,"schema":`...)
	dst = strconv.AppendInt(dst, int64(r.Schema), 10)
	dst = append(dst, `,"recordedAt":"`...)
	dst = AppendTime(dst, r.RecordedAt)
	dst = append(dst, `","metadata":`...)
	dst = append(dst, r.Metadata...)
	if r.Hash != (Hash{}) {
		return appendHash(dst, &r.Hash)
	}
	return append(dst, '}')
}

// Traceparent is the W3C trace context in the event's metadata; "" if there is none of the usual form.
func (r *Recorded) Traceparent() string {
	const form = "00-00000000000000000000000000000000-0000000000000000-00"
	_, rest, found := bytes.Cut(r.Metadata, []byte(`,"traceparent":"`))
	if !found || len(rest) <= len(form) || rest[len(form)] != '"' {
		return ""
	}
	trace := rest[:len(form)]
	for i, c := range trace {
		if hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'; hex == (form[i] == '-') || !hex && c != '-' {
			return ""
		}
	}
	return string(trace)
}

// ErrCorrupt is wrapped by the error for bytes that are not an event as AppendJSON writes it.
var ErrCorrupt = errors.New("es: these bytes are not a stored event")

// ParseRecorded reads back what AppendJSON wrote. The result shares raw, which must not change afterwards.
// It accepts that one form only: anything else is damage, and damage is an error (ErrCorrupt), never a guess. Data and
// metadata are taken as they stand, up to the bracket that closes them; Decode reads data.
func ParseRecorded(raw []byte) (Recorded, error) {
	s := scanner{b: raw}
	r := Recorded{raw: raw}
	s.literal(`{"id":"evt-`)
	id := s.uint()
	s.literal(`","aggregateId":`)
	nameStart := s.i
	stream := s.plainString()
	s.literal(`,"eventType":`)
	eventType := s.plainString()
	names := string(raw[nameStart:s.i]) // one allocation for both names
	s.literal(`,"timestamp":"`)
	effective := s.until('"')
	s.literal(`"`)
	s.literal(`,"data":`)
	r.Data = s.object()
	s.literal(`,"version":`)
	r.Version = Version(s.uint())
	s.literal(`,"position":`)
	r.Position = Position(s.uint())
	s.literal(`,"schema":`)
	schema := s.uint()
	s.literal(`,"recordedAt":"`)
	recorded := s.until('"')
	s.literal(`"`)
	s.literal(`,"metadata":`)
	r.Metadata = s.object()
	if len(raw)-s.i == hashLength+len(`}`) {
		s.literal(hashMember)
		s.failed = s.failed || !r.Hash.parse(s.until('"')) || r.Hash == (Hash{})
		s.literal(`"`)
	}
	s.literal(`}`)
	if s.failed || s.i != len(raw) || id != uint64(r.Position) || r.Position == 0 || r.Version == 0 || schema > math.MaxInt32 {
		return Recorded{}, fmt.Errorf("%w (at byte %d of %d)", ErrCorrupt, s.i, len(raw))
	}
	r.Schema = int(schema)
	r.Stream = StreamID(names[1 : 1+len(stream)])
	r.Type = names[len(names)-1-len(eventType) : len(names)-1]
	var ok bool
	if r.RecordedAt, ok = parseTime(recorded); !ok {
		return Recorded{}, fmt.Errorf("%w: recordedAt is %q", ErrCorrupt, recorded)
	}
	r.EffectiveAt = r.RecordedAt
	if !bytes.Equal(effective, recorded) {
		if r.EffectiveAt, ok = parseTime(effective); !ok {
			return Recorded{}, fmt.Errorf("%w: timestamp is %q", ErrCorrupt, effective)
		}
	}
	return r, nil
}

// Folded is the state of one stream after some of its events, with what every stream has: how far it got and when.
type Folded struct {
	Stream    StreamID
	Version   Version
	Position  Position  // of the last event folded in
	Hash      Hash      // of that event; zero if it is not known
	CreatedAt time.Time // recorded time of the first event
	UpdatedAt time.Time // recorded time of the last event
	State     any       // the module's state; nil before the first event
	Spent     Spent     // on the last day on which anything was
}
