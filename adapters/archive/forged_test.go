package archive

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"daybook/core/es"
	"daybook/core/ports"
)

// Whoever can write files can also make the hash in the last line right; that must break nothing but what is said there.
func FuzzAForgedManifestIsRefusedOrFitsTogether(f *testing.F) {
	m, _ := filled(f)
	text := m.object(f, manifestName)
	f.Add(text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1])
	f.Fuzz(func(t *testing.T, lines []byte) {
		lines = append(lines, '\n')
		m, err := decodeManifest(append(lines, lastLine(lines)...))
		if err != nil {
			return
		}
		for p := es.Position(1); p <= min(m.end(), 10_000); p++ {
			if s := m.segment(p); p < s.First || p > s.Last {
				t.Fatalf("position %d is looked for in %s", p, s.Name)
			}
		}
		m.segmentAt(time.Now())
	})
}

func FuzzAForgedIndexIsRefusedOrFitsTogether(f *testing.F) {
	m, _ := filled(f)
	list, err := opened(f, m).load(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	s := list.Segments[1]
	f.Add(m.object(f, s.Name)[s.Index.Offset:])
	f.Fuzz(func(t *testing.T, data []byte) {
		s := s
		s.Index.SHA256 = sum(data)
		x, err := s.parseIndex(data)
		if err != nil {
			return
		}
		for n := range x.Frames {
			if from, to := x.span(&s, n); from < 0 || from > to || to > s.Index.Offset {
				t.Fatalf("frame %d lies from %d to %d", n, from, to)
			}
		}
		if n := x.frameAt(time.Now()); n < 0 || n >= len(x.Frames) {
			t.Fatalf("frame %d", n)
		}
	})
}

// A frame with a right hash may hold anything too: events that are not those of their places are damage, and no frame takes more room
// than the decompressor is given.
func FuzzAForgedFrameIsRefusedOrHoldsItsEvents(f *testing.F) {
	m, _ := filled(f)
	a := opened(f, m)
	list, err := a.load(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	s := list.Segments[0]
	object := m.object(f, s.Name)
	x, err := s.parseIndex(object[s.Index.Offset:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(object[:s.Index.Offset], true)
	lines, err := a.unpack.DecodeAll(object[:s.Index.Offset], nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(lines, false)
	f.Add([]byte{0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0x3F, 0, 0, 0, 0, 1, 0, 0}, true) // of no bytes, and says that it is of a gigabyte
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, frame []byte, packed bool) {
		if !packed { // so that what lies inside is fuzzed too
			frame = pack.EncodeAll(frame, nil)
		}
		x := *x
		x.Frames = slices.Clone(x.Frames)
		x.Frames[0].SHA256 = sum(frame)
		events, _, err := a.parseFrame(&s, &x, 0, frame)
		if err != nil {
			if !errors.Is(err, ports.ErrArchiveDamaged) {
				t.Error(err)
			}
			return
		}
		for i := range events {
			if events[i].Position != s.First+es.Position(i) {
				t.Fatalf("at place %d lies %s", i, events[i].JSON())
			}
		}
	})
}
