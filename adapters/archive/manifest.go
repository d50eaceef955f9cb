package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

const (
	manifestName = "manifest.json"
	formatName   = "daybook-archive-"
	formatNumber = 1                               // the latest that this build knows
	frameEvents  = es.Position(1 << es.TreeStride) // a frame holds the events below one node of level 1 of the tree
)

var segmentName = regexp.MustCompile(`^segments/\d{20}-\d{20}\.ndjson\.zst$`)

// manifest says what the archive holds: a segment that is not in it does not exist. It is never changed once it was made.
type manifest struct {
	Format   string    `json:"format"`
	Tree     string    `json:"tree"` // over all events, as es.Tree gives its bytes, so that it can grow
	Segments []segment `json:"segments"`

	tree es.Tree
}

// segment is what the manifest says about one.
type segment struct {
	Name   string      `json:"name"`
	First  es.Position `json:"first"`
	Last   es.Position `json:"last"`
	Bytes  int64       `json:"bytes"`
	SHA256 string      `json:"sha256"` // of the whole object
	Index  struct {
		Offset int64  `json:"offset"`
		SHA256 string `json:"sha256"` // from the offset to the end of the object
	} `json:"index"`
	Root    string    `json:"root"` // of the tree over all events from the ledger's first one to Last
	FirstAt time.Time `json:"firstRecordedAt"`
	LastAt  time.Time `json:"lastRecordedAt"`
}

func (m *manifest) end() es.Position { return m.tree.Size }

// with gives the manifest with one more segment, and the tree that has grown by it.
func (m *manifest) with(s *segment, tree es.Tree) (*manifest, error) {
	packed, err := tree.AppendBinary(nil)
	if err != nil {
		return nil, err
	}
	next := &manifest{Format: formatName + strconv.Itoa(formatNumber), Tree: hex.EncodeToString(packed), tree: tree}
	next.Segments = append(next.Segments, m.Segments...)
	if s != nil {
		next.Segments = append(next.Segments, *s)
	}
	return next, nil
}

// segment is the one that holds the position, which lies in the archive.
func (m *manifest) segment(p es.Position) *segment {
	return &m.Segments[sort.Search(len(m.Segments), func(i int) bool { return m.Segments[i].Last >= p })]
}

// segmentAt is the last segment with an event recorded at or before t, nil if there is none.
func (m *manifest) segmentAt(t time.Time) *segment {
	n := sort.Search(len(m.Segments), func(i int) bool { return m.Segments[i].FirstAt.After(t) })
	if n == 0 {
		return nil
	}
	return &m.Segments[n-1]
}

func (s *segment) lastPosition() es.Position {
	if s == nil {
		return 0
	}
	return s.Last
}

// encode gives the one form of the manifest: a segment per line, and in the last line the hash of all lines before it.
func (m *manifest) encode() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"format\":%q,\n\"tree\":%q,\n\"segments\":[", m.Format, m.Tree)
	for i := range m.Segments {
		line, err := json.Marshal(&m.Segments[i])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(line)
	}
	b.WriteString("],\n")
	return append(b.Bytes(), lastLine(b.Bytes())...), nil
}

func lastLine(before []byte) string { return fmt.Sprintf("\"hash\":\"%x\"}\n", sha256.Sum256(before)) }

// decodeManifest reads what encode wrote, and no other form.
func decodeManifest(text []byte) (*manifest, error) {
	cut := bytes.LastIndexByte(text[:max(len(text)-1, 0)], '\n') + 1
	if last := lastLine(text[:cut]); string(text[cut:]) != last {
		return nil, damagedManifest("its last line is %s, and the lines before it make it %s", strings.TrimSpace(string(text[cut:])), strings.TrimSpace(last))
	}
	m := &manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, damagedManifest("it cannot be read: %v", err)
	}
	number, err := strconv.Atoi(strings.TrimPrefix(m.Format, formatName))
	if err != nil || number < 1 {
		return nil, damagedManifest("it says that it is of the form %q, and an archive is of the form %s%d", m.Format, formatName, formatNumber)
	}
	if number > formatNumber {
		return nil, ports.ErrArchiveMissing.Say("The archive is of the form %s, and this build reads forms up to %s%d. It needs the build that wrote it, or a later one.",
			m.Format, formatName, formatNumber)
	}
	packed, err := hex.DecodeString(m.Tree)
	if err == nil {
		err = m.tree.UnmarshalBinary(packed)
	}
	if err != nil || !m.consistent() {
		return nil, damagedManifest("what it says does not fit together")
	}
	return m, nil
}

// consistent reports whether the segments follow each other up to the tree's end.
func (m *manifest) consistent() bool {
	end := es.Position(0)
	for i := range m.Segments {
		s := &m.Segments[i]
		events := s.Last - end
		if s.First != end+1 || s.Last < s.First || events%frameEvents != 0 || events > ports.ArchiveSegment || s.Index.Offset < 0 || s.Index.Offset > s.Bytes {
			return false
		}
		end = s.Last
	}
	return end == m.end() && (end == 0 || m.Segments[len(m.Segments)-1].Root == m.tree.Root().String())
}

func damagedManifest(format string, args ...any) error {
	return ports.ErrArchiveDamaged.Say("%s of the archive is damaged: "+format+".", append([]any{manifestName}, args...)...)
}
