package es

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// StateType says how the states of a module are kept in snapshots; StateOf and StateAs build it. States of the zero StateType are not.
type StateType struct {
	meaning int
	fields  []Spec
	shape   [shapeSize]byte // set by NewRegistry
	encode  func(dst []byte, state any) ([]byte, error)
	decode  func(data []byte) (any, error)
}

// StateOf declares the state S with all the members of its struct, of which each is a field.
func StateOf[S comparable](meaning int, fields ...Field[S]) StateType {
	return StateAs(meaning, func(s S) S { return s }, func(s S) (S, error) { return s, nil }, fields...)
}

// StateAs declares how the state S is kept: as the struct K with all its fields. keep and back lead from one to the other; a
// state that does not come back as it was is not kept. Snapshots of other fields, or of other schemas of events, are made
// anew. meaning, from 1, is for what these do not show: raise it when the same events come to give another state.
func StateAs[S any, K comparable](meaning int, keep func(S) K, back func(K) (S, error), fields ...Field[K]) StateType {
	decode := func(data []byte) (k K, err error) {
		err = decodeFields(data, fields, &k)
		return k, err
	}
	return StateType{
		meaning: meaning, fields: specs(fields),
		encode: func(dst []byte, state any) ([]byte, error) {
			s, ok := state.(S)
			k := keep(s)
			start := len(dst)
			dst = appendFields(dst, fields, &k)
			again, err := decode(dst[start:])
			if err == nil {
				s, err = back(again)
			}
			if !ok || err != nil || again != k || keep(s) != k {
				return dst[:start], fmt.Errorf("es: a state of type %T does not come back as it was: declare all members of what it is kept as", state)
			}
			return dst, nil
		},
		decode: func(data []byte) (any, error) {
			k, err := decode(data)
			if err != nil {
				return nil, err
			}
			s, err := back(k)
			if err != nil {
				return nil, err
			}
			return s, nil
		},
	}
}

const (
	shapeSize    = 16
	checksumSize = 16
)

// shapeOf is a fingerprint of all that a kept state of the module depends on and that its declaration shows.
func shapeOf(m *Module) (shape [shapeSize]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %d\n", m.Name, m.State.meaning)
	for _, f := range m.State.fields {
		fmt.Fprintf(h, "field %q %d %t\n", f.Name, f.Kind, f.Required)
	}
	for i := range m.Events {
		fmt.Fprintf(h, "event %q %d\n", m.Events[i].Name, m.Events[i].Schema)
	}
	copy(shape[:], h.Sum(nil))
	return shape
}

// ErrSnapshotShape is wrapped by the error for a snapshot of another build's form or shape. It is whole, but of no use here.
var ErrSnapshotShape = errors.New("es: the snapshot was made by a build whose states have another shape")

// errSnapshot: the bytes are not a snapshot.
var errSnapshot = errors.New("es: these bytes are not a snapshot as it was written")

// snapshotForm is the first byte of a snapshot. A later form may carry more.
const snapshotForm = 3

// KeepsSnapshots reports whether states of the stream can be kept in snapshots.
func (r *Registry) KeepsSnapshots(s StreamID) bool {
	m := r.ModuleOf(s)
	return m != nil && m.State.encode != nil
}

// AppendSnapshot appends the snapshot of a stream's state: the form; the shape; stream, version and position; the hash
// of the event there; the times in microseconds; what was spent, and on which day; the state; and a checksum of all of it.
func (r *Registry) AppendSnapshot(dst []byte, f *Folded) ([]byte, error) {
	if !r.KeepsSnapshots(f.Stream) {
		return dst, fmt.Errorf("es: states of %s are not kept in snapshots", f.Stream)
	}
	t := &r.ModuleOf(f.Stream).State
	state, err := t.encode(nil, f.State)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	dst = r.begin(dst, snapshotForm, f.Stream)
	dst = binary.AppendUvarint(dst, uint64(f.Version))
	dst = append(binary.AppendUvarint(dst, uint64(f.Position)), f.Hash[:]...)
	dst = binary.AppendVarint(dst, f.CreatedAt.UnixMicro())
	dst = binary.AppendVarint(dst, f.UpdatedAt.UnixMicro())
	dst = binary.AppendVarint(binary.AppendVarint(dst, f.Spent.Day), f.Spent.Amount)
	dst = append(binary.AppendUvarint(dst, uint64(len(state))), state...)
	return end(dst, start), nil
}

// begin appends what everything that is kept of a stream begins with.
func (r *Registry) begin(dst []byte, form byte, stream StreamID) []byte {
	shape := &r.ModuleOf(stream).State.shape
	dst = append(append(dst, form), shape[:]...)
	return append(binary.AppendUvarint(dst, uint64(len(stream))), stream...)
}

// end appends the checksum of everything from start on.
func end(dst []byte, start int) []byte {
	sum := sha256.Sum256(dst[start:])
	return append(dst, sum[:checksumSize]...)
}

// open checks the form, the checksum, the shape and the stream of what begin and end enclose, and gives what lies between.
func (r *Registry) open(stream StreamID, form byte, b []byte) (parts, error) {
	switch {
	case len(b) < 1+shapeSize+checksumSize:
		return parts{}, errSnapshot
	case b[0] != form:
		return parts{}, fmt.Errorf("%w: its form is %d", ErrSnapshotShape, b[0])
	}
	content, sum := b[:len(b)-checksumSize], sha256.Sum256(b[:len(b)-checksumSize])
	switch {
	case !bytes.Equal(sum[:checksumSize], b[len(content):]):
		return parts{}, fmt.Errorf("%w: its checksum is wrong", errSnapshot)
	case !bytes.Equal(content[1:1+shapeSize], r.ModuleOf(stream).State.shape[:]):
		return parts{}, ErrSnapshotShape
	}
	p := parts{b: content[1+shapeSize:]}
	if of := p.bytes(); p.failed || string(of) != string(stream) {
		return parts{}, fmt.Errorf("%w: it is of %q, not of %q", errSnapshot, of, stream)
	}
	return p, nil
}

// ParseSnapshot reads back what AppendSnapshot wrote for the stream. Anything else is an error, never a guess.
func (r *Registry) ParseSnapshot(stream StreamID, b []byte) (Folded, error) {
	if !r.KeepsSnapshots(stream) {
		return Folded{}, fmt.Errorf("es: states of %s are not kept in snapshots", stream)
	}
	p, err := r.open(stream, snapshotForm, b)
	if err != nil {
		return Folded{}, err
	}
	f := Folded{Stream: stream, Version: Version(p.uint()), Position: Position(p.uint()), Hash: p.hash(), CreatedAt: p.time(), UpdatedAt: p.time()}
	f.Spent = Spent{Day: p.int(), Amount: p.int()}
	state := p.bytes()
	if p.failed || len(p.b) > 0 || f.Version == 0 || f.Position < Position(f.Version) {
		return Folded{}, errSnapshot
	}
	f.State, err = r.ModuleOf(stream).State.decode(state)
	return f, err
}

// parts takes a snapshot apart. The first thing that does not fit sets failed, and everything after it is zero.
type parts struct {
	b      []byte
	failed bool
}

func (p *parts) uint() uint64 {
	n, size := binary.Uvarint(p.b)
	p.skip(size)
	return n
}

func (p *parts) int() int64 {
	n, size := binary.Varint(p.b)
	p.skip(size)
	return n
}

func (p *parts) time() time.Time { return time.UnixMicro(p.int()).UTC() }

func (p *parts) hash() (h Hash) {
	copy(h[:], p.b)
	p.skip(min(len(h), len(p.b)))
	p.failed = p.failed || h == Hash{}
	return h
}

func (p *parts) skip(size int) {
	if size <= 0 {
		p.b, p.failed = nil, true
		return
	}
	p.b = p.b[size:]
}

func (p *parts) bytes() []byte {
	n := p.uint()
	if n > uint64(len(p.b)) {
		p.b, p.failed = nil, true
		return nil
	}
	taken := p.b[:n]
	p.b = p.b[n:]
	return taken
}
