package archive

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
)

const node = int(frameEvents)

// filled is a storage with an archive of three segments, of one node, three and one.
func filled(t testing.TB) (shared, []es.Recorded) {
	t.Helper()
	m, events := inMemory(), contract.Sealed(t, 5*node)
	a := opened(t, m)
	for _, part := range [][]es.Recorded{events[:node], events[node : 4*node], events[4*node:]} {
		if err := a.Add(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	return m, events
}

// object gives the bytes of an object; with puts others in their place.
func (s shared) object(t testing.TB, name string) []byte {
	t.Helper()
	data, err := s.get(t.Context(), name, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (s shared) with(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := s.put(t.Context(), name, data); err != nil {
		t.Fatal(err)
	}
}

// readAll reads every event by itself, with an archive that has kept nothing, and gives the first error.
func readAll(t testing.TB, s storage, n int) (es.Position, error) {
	a := opened(t, s)
	for p := es.Position(1); p <= es.Position(n); p += frameEvents {
		if _, err := a.Read(t.Context(), []es.Position{p}); err != nil {
			return p, err
		}
	}
	return 0, nil
}

func check(t testing.TB, s storage) error {
	return opened(t, s).Check(t.Context(), func(es.Position) {})
}

func isDamage(err error, words ...string) bool {
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			return false
		}
	}
	return errors.Is(err, ports.ErrArchiveDamaged)
}

func TestEveryFlippedBitOfTheManifestIsFoundAndNamed(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Archive)
	m, _ := filled(t)
	text := m.object(t, manifestName)
	for i := range 8 * len(text) {
		wrong := bytes.Clone(text)
		wrong[i/8] ^= 1 << (i % 8)
		if _, err := decodeManifest(wrong); !isDamage(err, manifestName) {
			t.Fatalf("bit %d of byte %d: %v", i%8, i/8, err)
		}
	}
	for n := range text {
		if _, err := decodeManifest(text[:n]); !isDamage(err, manifestName) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
	text[len(text)/2] ^= 1
	m.with(t, manifestName, text)
	a := opened(t, m)
	_, ended := a.End(t.Context())
	_, read := a.Read(t.Context(), []es.Position{1})
	_, at := a.PositionAt(t.Context(), contract.Sealed(t, 1)[0].RecordedAt)
	for what, err := range map[string]error{"end": ended, "read": read, "position at": at, "check": check(t, m), "add": a.Add(t.Context(), contract.Sealed(t, node))} {
		if !isDamage(err, manifestName) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAFlippedBitOfASegmentIsFoundAndNamedByWhoeverReadsItAndByCheck(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Archive)
	m, events := filled(t)
	list, err := opened(t, m).load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := &list.Segments[rapid.IntRange(0, len(list.Segments)-1).Draw(rt, "segment")]
		whole := m.object(t, s.Name)
		x, err := s.parseIndex(whole[s.Index.Offset:])
		if err != nil {
			rt.Fatal(err)
		}
		at := rapid.IntRange(0, len(whole)-1).Draw(rt, "byte")
		wrong := bytes.Clone(whole)
		wrong[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		place := "its index, bytes " + fmt.Sprint(s.Index.Offset)
		for n := range x.Frames {
			if from, to := x.span(s, n); int64(at) >= from && int64(at) < to {
				first := int(s.First) + n*node
				place = fmt.Sprintf("frame %d of %d (positions %d to %d, bytes %d to %d)", n+1, len(x.Frames), first, first+node-1, from, to)
			}
		}
		m.with(t, s.Name, wrong)
		defer m.with(t, s.Name, whole)
		if err := check(t, m); !isDamage(err, s.Name, place, "SHA-256") {
			rt.Errorf("check: %v, want it to name %s", err, place)
		}
		if _, err := readAll(t, m, len(events)); !isDamage(err, s.Name, place, "SHA-256") {
			rt.Errorf("read: %v, want it to name %s", err, place)
		}
		wrong = whole[:at]
		m.with(t, s.Name, wrong)
		if err := check(t, m); !isDamage(err, s.Name) {
			rt.Errorf("cut after %d bytes: %v", at, err)
		}
		if _, err := readAll(t, m, len(events)); !isDamage(err, s.Name) {
			rt.Errorf("cut after %d bytes: %v", at, err)
		}
	})
	if err := check(t, m); err != nil {
		t.Fatal(err)
	}
}

func TestBytesAfterTheEndOfASegmentAreFoundByCheck(t *testing.T) {
	m, _ := filled(t)
	name := "segments/00000000000000000257-00000000000000001024.ndjson.zst"
	m.with(t, name, append(m.object(t, name), 0))
	if err := check(t, m); !isDamage(err, name) {
		t.Error(err)
	}
}

func TestAMissingSegmentIsNamedWithThePositionsThatItHolds(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Archive)
	m, events := filled(t)
	name := "segments/00000000000000000257-00000000000000001024.ndjson.zst"
	if err := m.remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	p, err := readAll(t, m, len(events))
	for what, err := range map[string]error{"read": err, "check": check(t, m)} {
		if !isDamage(err, name, "positions 257 to 1024", "missing") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if p != 257 {
		t.Errorf("positions up to 256 can be read: it failed at %d", p)
	}
}

func TestSegmentsWithoutAManifestAreNoEmptyArchive(t *testing.T) {
	m, events := filled(t)
	a := opened(t, m)
	if _, err := a.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.remove(t.Context(), manifestName); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Archive{a, opened(t, m)} {
		if _, err := a.End(t.Context()); !isDamage(err, manifestName, "missing") {
			t.Errorf("end: %v", err)
		}
		if err := a.Add(t.Context(), events[:node]); !isDamage(err, manifestName, "missing") {
			t.Errorf("add: %v", err)
		}
	}
	if names, err := m.list(t.Context()); err != nil || len(names) != 3 {
		t.Errorf("of three segments %v are left: %v", names, err)
	}
}

func TestWithAnOlderManifestNothingIsRemoved(t *testing.T) {
	m, events := inMemory(), contract.Sealed(t, 3*node)
	a := opened(t, m)
	var old []byte
	for n := 0; n < len(events); n += node {
		if err := a.Add(t.Context(), events[n:n+node]); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			old = m.object(t, manifestName)
		}
	}
	m.with(t, manifestName, old)
	if err := a.Add(t.Context(), events[node:2*node]); !isDamage(err, manifestName, "older copy") {
		t.Errorf("add: %v", err)
	}
	if names, err := m.list(t.Context()); err != nil || len(names) != 4 {
		t.Errorf("there is %v: %v", names, err)
	}
}

func TestAnArchiveOfALaterFormIsRefusedWithWordsThatSayWhatIsNeeded(t *testing.T) {
	m, _ := filled(t)
	text := bytes.Replace(m.object(t, manifestName), []byte(`"daybook-archive-1"`), []byte(`"daybook-archive-2"`), 1)
	text = text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1]
	m.with(t, manifestName, append(text, lastLine(text)...))
	_, err := opened(t, m).End(t.Context())
	if !errors.Is(err, ports.ErrArchiveMissing) || !strings.Contains(err.Error(), "daybook-archive-2") || !strings.Contains(err.Error(), "the build that wrote it, or a later one") {
		t.Error(err)
	}
}
