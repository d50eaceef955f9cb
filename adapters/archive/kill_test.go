package archive

import (
	"context"
	"errors"
	"slices"
	"testing"

	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/contract"
	"daybook/test/faulttable"
)

// mortal is a storage whose process is killed at one of its operations: before it, or after it was done but not told.
type mortal struct {
	storage
	left  int // operations until then
	after bool
}

var errKilled = errors.New("killed")

func (m *mortal) step(do func() error) error {
	if m.left--; m.left > 0 {
		return do()
	}
	if m.left == 0 && m.after {
		return errors.Join(do(), errKilled)
	}
	return errKilled
}

func (m *mortal) get(ctx context.Context, name string, offset, length int64) (data []byte, err error) {
	err = m.step(func() error {
		data, err = m.storage.get(ctx, name, offset, length)
		return err
	})
	return data, err
}

func (m *mortal) put(ctx context.Context, name string, data []byte) error {
	err := m.step(func() error { return m.storage.put(ctx, name, data) })
	if m.left == 0 && !m.after { // in the midst of it, as a folder is left then
		return errors.Join(err, m.storage.put(ctx, name+".18eaafb9cc8fc973.tmp", data[:len(data)/2]))
	}
	return err
}

func (m *mortal) list(ctx context.Context) (names []string, err error) {
	err = m.step(func() error {
		names, err = m.storage.list(ctx)
		return err
	})
	return names, err
}

func (m *mortal) remove(ctx context.Context, name string) error {
	return m.step(func() error { return m.storage.remove(ctx, name) })
}

func TestAnAddThatIsKilledAnywhereAddsAllOrNothingAndCanBeDoneAgain(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Archive)
	events := contract.Sealed(t, 3*node)
	for _, before := range []int{0, node} { // the first segment is like no other
		for _, after := range []bool{false, true} {
			for kill, more := 1, true; more; kill++ {
				m := inMemory()
				if before > 0 {
					if err := opened(t, m).Add(t.Context(), events[:before]); err != nil {
						t.Fatal(err)
					}
				}
				// More than one may be killed before one gets through, and each may have had another number of events at hand.
				killed := &mortal{storage: m, left: kill, after: after}
				err := opened(t, killed).Add(t.Context(), events[before:])
				more = err != nil
				if more && !errors.Is(err, ports.ErrArchiveUnavailable) {
					t.Fatalf("killed at operation %d: %v", kill, err)
				}
				again := opened(t, m)
				end, err := again.End(t.Context())
				if err != nil || end != es.Position(before) && int(end) != len(events) {
					t.Fatalf("killed at operation %d: it ends at %d: %v", kill, end, err)
				}
				if err := check(t, m); err != nil {
					t.Fatalf("killed at operation %d: %v", kill, err)
				}
				for ; int(end) < len(events); end += frameEvents {
					if err := again.Add(t.Context(), events[end:end+frameEvents]); err != nil {
						t.Fatalf("killed at operation %d, again: %v", kill, err)
					}
				}
				wantOnly(t, m, events)
			}
		}
	}
}

// wantOnly checks that the storage holds the events, whole and once, and nothing else.
func wantOnly(t *testing.T, s storage, events []es.Recorded) {
	t.Helper()
	a := opened(t, s)
	at := make([]es.Position, len(events))
	for i := range events {
		at[i] = events[i].Position
	}
	got, err := a.Read(t.Context(), at)
	if err != nil || !slices.EqualFunc(got, events, func(a, b es.Recorded) bool { return string(a.JSON()) == string(b.JSON()) }) {
		t.Fatalf("the events are not those that were added: %v", err)
	}
	if err := a.Check(t.Context(), func(es.Position) {}); err != nil {
		t.Fatal(err)
	}
	m := a.known.Load()
	want := []string{manifestName}
	for i := range m.Segments {
		want = append(want, m.Segments[i].Name)
	}
	names, err := s.list(t.Context())
	if err != nil || !slices.Equal(names, want) {
		t.Fatalf("there is %v (%v), want %v", names, err, want)
	}
}

// lying is a storage that writes something else than it was given, once.
type lying struct {
	storage
	about string
}

func (l *lying) put(ctx context.Context, name string, data []byte) error {
	if name == l.about {
		l.about = ""
		data = slices.Clone(data)
		data[len(data)/2] ^= 4
	}
	return l.storage.put(ctx, name, data)
}

func TestWhatIsReadBackOtherwiseThanItWasWrittenIsNotAdded(t *testing.T) {
	faulttable.Covers(t, "F62", faulttable.Archive)
	m, events := inMemory(), contract.Sealed(t, 2*node)
	a := opened(t, &lying{m, "segments/00000000000000000257-00000000000000000512.ndjson.zst"})
	if err := a.Add(t.Context(), events[:node]); err != nil {
		t.Fatal(err)
	}
	if err := a.Add(t.Context(), events[node:]); !isDamage(err, "segments/00000000000000000257-00000000000000000512.ndjson.zst", "frame 1 of 1") {
		t.Errorf("add: %v", err)
	}
	wantEnd(t, a, node)
	if err := a.Add(t.Context(), events[node:]); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, m, events)
	if err := opened(t, &lying{inMemory(), manifestName}).Add(t.Context(), events[:node]); !isDamage(err, manifestName) {
		t.Errorf("add: %v", err)
	}
}

func wantEnd(t *testing.T, a *Archive, want int) {
	t.Helper()
	if got, err := a.End(t.Context()); err != nil || int(got) != want {
		t.Errorf("it ends at %d: %v, want %d", got, err, want)
	}
}

// crowded is a storage in which somebody else adds just before a segment is written.
type crowded struct {
	storage
	other func()
}

func (c *crowded) put(ctx context.Context, name string, data []byte) error {
	if other := c.other; name != manifestName && other != nil {
		c.other = nil
		other()
	}
	return c.storage.put(ctx, name, data)
}

func TestOfTwoWhoAddAtOnceOneIsRefusedAndNothingIsLost(t *testing.T) {
	m, events := inMemory(), contract.Sealed(t, 4*node)
	if err := opened(t, m).Add(t.Context(), events[:node]); err != nil {
		t.Fatal(err)
	}
	late := opened(t, &crowded{m, func() {
		if err := opened(t, m).Add(t.Context(), events[node:3*node]); err != nil {
			t.Error(err)
		}
	}})
	if err := late.Add(t.Context(), events[node:2*node]); !errors.Is(err, ports.ErrArchiveUnavailable) {
		t.Errorf("add: %v", err)
	}
	wantEnd(t, late, 3*node)
	if err := late.Add(t.Context(), events[3*node:]); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, m, events)
}
