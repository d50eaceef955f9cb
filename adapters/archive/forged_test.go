package archive

import (
	"bytes"
	"testing"
	"time"

	"daybook/core/es"
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
