package archive

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"

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
	if err == nil {
		err = a.sweep(ctx, m)
	}
	if err != nil {
		return err
	}
	if m.Format == "" { // a manifest from the start on: segments without one have lost it
		if m, err = m.with(nil, es.Tree{}); err == nil {
			err = a.write(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	s, err := a.addSegment(ctx, given)
	if err != nil {
		return err
	}
	tree := m.tree.Clone()
	for i := range given {
		tree.Add(given[i].Hash, nil)
	}
	s.Root = tree.Root().String()
	if m, err = m.with(s, tree); err != nil {
		return err
	}
	return a.write(ctx, m)
}

// parse reads the bytes of the events: they alone are what is kept.
func parse(events []es.Recorded) ([]es.Recorded, error) {
	if n := len(events); n == 0 || n%int(frameEvents) != 0 || n > ports.ArchiveSegment {
		return nil, ports.ErrBatchRefused.Say("%d events were given to the archive, which takes full nodes of %d, and %d events at the most; nothing was written.",
			n, frameEvents, ports.ArchiveSegment)
	}
	given := make([]es.Recorded, len(events))
	for i := range events {
		e, err := es.ParseRecorded(events[i].Raw)
		if err != nil || e.Position != events[i].Position || e.Hash == (es.Hash{}) || bytes.IndexByte(e.Raw, '\n') >= 0 {
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

// sweep removes what an Add that did not end has left.
func (a *Archive) sweep(ctx context.Context, m *manifest) error {
	names, err := a.list(ctx)
	if err != nil {
		return err
	}
	left, err := m.leftovers(names)
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := a.storage.remove(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return a.failed(ctx, "removing "+name, err)
		}
	}
	return nil
}

// leftovers are unfinished files, and a segment that goes on where the manifest ends. Other segments that the manifest does not
// name are an error, and files of other names nobody's business.
func (m *manifest) leftovers(names []string) (left []string, err error) {
	listed := map[string]bool{}
	for i := range m.Segments {
		listed[m.Segments[i].Name] = true
	}
	for _, name := range names {
		switch {
		case listed[name]:
		case strings.HasPrefix(name, segmentStart(m.end()+1)), unfinished.MatchString(name):
			left = append(left, name)
		case segmentName.MatchString(name):
			return nil, damagedManifest("%s is there and not in it; perhaps it is an older copy. Bring back the latest one", name)
		}
	}
	return left, nil
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
		if want := given[e.Position-s.First].Raw; !bytes.Equal(e.Raw, want) {
			return s.damaged("the event at position %d was read back as other bytes than it was written as", e.Position)
		}
		return nil
	})
}

// write writes the manifest and reads it back.
func (a *Archive) write(ctx context.Context, m *manifest) error {
	text, err := m.encode()
	if err != nil {
		return err
	}
	if err := a.storage.put(ctx, manifestName, text); err != nil {
		return a.failed(ctx, "writing "+manifestName, err)
	}
	back, err := a.get(ctx, manifestName, 0, -1)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return damagedManifest("it was written and is not there")
	case err != nil:
		return err
	case !bytes.Equal(back, text):
		return damagedManifest("it was read back as other bytes than it was written as")
	}
	a.known.Store(m)
	return nil
}
