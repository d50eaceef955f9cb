package archive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"regexp"

	"daybook/core/es"
	"daybook/core/ports"
)

// Add implements ports.Archive. The manifest is written last, so that until then the segment does not exist.
func (a *Archive) Add(ctx context.Context, events []es.Recorded) error {
	a.adding.Lock()
	defer a.adding.Unlock()
	given, err := parse(events)
	if err != nil {
		return err
	}
	m, err := a.load(ctx)
	if err == nil {
		err = m.continued(given)
	}
	if err != nil {
		return err
	}
	names, err := a.list(ctx)
	if err == nil {
		err = m.knows(names)
	}
	if err == nil && m.Format == "" { // a manifest from the start on: segments without one have lost it
		m, err = a.replace(ctx, m, nil, es.Tree{})
	}
	if err != nil {
		return err
	}
	s, err := a.addSegment(ctx, given)
	if err != nil {
		return err
	}
	// gofail: var afterUploadBeforeConfirm struct{}
	tree := m.tree.Clone()
	for i := range given {
		tree.Add(given[i].Hash, nil)
	}
	s.Root = tree.Root().String()
	if m, err = a.replace(ctx, m, s, tree); err != nil {
		return err
	}
	for _, name := range m.leftovers(names) {
		_ = a.storage.remove(ctx, name) // what cannot be removed now does no harm, and is tried again by the next Add
	}
	return nil
}

// parse reads the bytes of the events: they alone are what is kept.
func parse(events []es.Recorded) ([]es.Recorded, error) {
	if n := len(events); n == 0 || n%int(frameEvents) != 0 || n > ports.ArchiveSegment {
		return nil, ports.ErrBatchRefused.Say("%d events were given to the archive, which takes full nodes of %d, and %d events at the most; nothing was written.",
			n, frameEvents, ports.ArchiveSegment)
	}
	given := make([]es.Recorded, len(events))
	for i := range events {
		e, err := es.ParseRecorded(events[i].JSON())
		if err != nil || e.Position != events[i].Position || e.Hash == (es.Hash{}) || bytes.IndexByte(e.JSON(), '\n') >= 0 {
			return nil, ports.ErrBatchRefused.Say("What was given to the archive as the event at position %d is not a sealed event on one line; nothing was written.",
				events[i].Position).Because(err)
		}
		given[i] = e
	}
	return given, nil
}

// continued checks that the events go on where the archive ends.
func (m *manifest) continued(events []es.Recorded) error {
	next := m.end() + 1
	for i := range events {
		if p := events[i].Position; p != next+es.Position(i) {
			return ports.ErrBatchRefused.Say("The event at position %d was given to the archive where %d comes next; nothing was written.", p, next+es.Position(i))
		}
	}
	if n := len(m.Segments); n > 0 && events[0].RecordedAt.Before(m.Segments[n-1].LastAt) {
		return ports.ErrBatchRefused.Say("The event at position %d was recorded before the one at position %d, which the archive holds: it is that of another ledger. Nothing was written.",
			next, m.end())
	}
	return nil
}

// unfinished are the names under which a folder's objects, and the trial of Open, are written before they get their own.
var unfinished = regexp.MustCompile(`^(segments/\d{20}-\d{20}\.ndjson\.zst|manifest\.json)\.[0-9a-f]+\.tmp$|^\.daybook-\d+\.tmp$`)

// knows checks that no segment lies behind the one that comes next: the manifest would be an older one, and what it does not know of
// would be lost. One that comes next is what an Add left that did not end.
func (m *manifest) knows(names []string) error {
	for _, name := range names {
		if segmentName.MatchString(name) && name > segmentStart(m.end()+2) {
			return damagedManifest("%s is there, and it ends at position %d; perhaps it is an older copy. Bring back the latest one", name, m.end())
		}
	}
	return nil
}

// leftovers are what an Add that did not end has left: unfinished files, and segments of which the manifest has the positions in
// others. Files of other names are nobody's business.
func (m *manifest) leftovers(names []string) (left []string) {
	listed := map[string]bool{}
	for i := range m.Segments {
		listed[m.Segments[i].Name] = true
	}
	for _, name := range names {
		if !listed[name] && (unfinished.MatchString(name) || segmentName.MatchString(name) && name < segmentStart(m.end()+1)) {
			left = append(left, name)
		}
	}
	return left
}

// addSegment writes the segment, reads it back and compares every event with what was given.
func (a *Archive) addSegment(ctx context.Context, given []es.Recorded) (*segment, error) {
	object, s, err := a.build(given)
	if err != nil {
		return nil, err
	}
	if err := a.storage.put(ctx, s.Name, object); err != nil {
		return nil, a.failed(ctx, "writing "+s.Name, err)
	}
	return s, a.walk(ctx, s, func(e *es.Recorded) error {
		if want := given[e.Position-s.First].JSON(); !bytes.Equal(e.JSON(), want) {
			return s.damaged("the event at position %d was read back as other bytes than it was written as", e.Position)
		}
		return nil
	})
}

// replace writes the manifest with one more segment, nil for none, and reads it back. Those who add take turns; one whose turn ended
// without its noticing is refused here.
func (a *Archive) replace(ctx context.Context, m *manifest, s *segment, tree es.Tree) (*manifest, error) {
	next, err := m.with(s, tree)
	if err != nil {
		return nil, err
	}
	text, err := next.encode()
	if err != nil {
		return nil, err
	}
	now, err := a.load(ctx)
	if err != nil {
		return nil, err
	}
	if now.Format != m.Format || now.Tree != m.Tree {
		return nil, ports.ErrArchiveUnavailable.Say("Another process has added to the archive %s meanwhile; nothing was added.", a.where)
	}
	if err := a.storage.put(ctx, manifestName, text); err != nil {
		return nil, a.failed(ctx, "writing "+manifestName, err)
	}
	back, err := a.get(ctx, manifestName, 0, -1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, damagedManifest("it was written and is not there")
	case err != nil:
		return nil, err
	case !bytes.Equal(back, text):
		return nil, damagedManifest("it was read back as other bytes than it was written as")
	}
	a.known.Store(next)
	return next, nil
}
