package contract

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Store runs the contract of ports.Store, ports.Unit and ports.Append. open gives an empty store; the suite closes it.
func Store(t *testing.T, open func(t *testing.T) ports.Store) {
	WholeStore(t, open)
	runStoreCases(t, open, archiveCases())
}

// WholeStore runs all of it but what is about places: a store with an archive behind it gives none.
func WholeStore(t *testing.T, open func(t *testing.T) ports.Store) {
	runStoreCases(t, open, readCases(), feedCases(), sealCases(), snapshotCases(), unitCases(), refusalCases(), appendCases(), outcomeCases(), waitCases(), leaseCases(), closeCases())
}

func runStoreCases(t *testing.T, open func(t *testing.T) ports.Store, suites ...[]storeCase) {
	for _, cases := range suites {
		for _, c := range cases {
			t.Run(c.sentence, func(t *testing.T) {
				s := open(t)
				t.Cleanup(func() {
					if err := s.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				})
				c.run(t, s)
			})
		}
	}
}

// storeCase is one sentence of the contract.
type storeCase struct {
	sentence string
	run      func(*testing.T, ports.Store)
}

// epoch is when the first event of most tests is recorded.
var epoch = time.Date(2025, 10, 28, 9, 0, 0, 123456000, time.UTC)

// draft is an event to be appended; n makes it one of a kind.
func draft(n int) es.Recorded {
	return es.Recorded{Type: "TestHappened", Schema: 1, Data: fmt.Appendf(nil, `{"n":%d}`, n), Metadata: []byte(`{"principal":"test"}`)}
}

// at is draft n as version v of a stream at position p, recorded p seconds after the epoch.
func at(p es.Position, stream es.StreamID, v es.Version) es.Recorded {
	e := draft(int(p))
	e.Stream, e.Version, e.Position = stream, v, p
	e.RecordedAt = epoch.Add(time.Duration(p) * time.Second)
	e.EffectiveAt = e.RecordedAt.Add(-time.Hour)
	return e
}

// sequence gives n events that begin an empty store, dealt to the streams in turn.
func sequence(n int, streams ...es.StreamID) []es.Recorded {
	events := make([]es.Recorded, n)
	for i := range events {
		events[i] = at(es.Position(i+1), streams[i%len(streams)], es.Version(i/len(streams)+1))
	}
	return events
}

// stored is e as a store must give it back.
func stored(t *testing.T, e es.Recorded) es.Recorded {
	t.Helper()
	parsed, err := es.ParseRecorded(e.AppendJSON(nil))
	if err != nil {
		t.Fatalf("the test's own event cannot be read: %v", err)
	}
	return parsed
}

func sameEvents(t *testing.T, what string, got, want []es.Recorded) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d events, want %d", what, len(got), len(want))
	}
	for i := range got {
		w := want[i]
		if w.Hash == (es.Hash{}) { // what the test wrote was sealed by the store
			w.Hash = got[i].Hash
		}
		if w = stored(t, w); got[i].Hash == (es.Hash{}) || !sameFields(&got[i], &w) {
			t.Fatalf("%s: event %d is\n%+v\n%s\nwant\n%+v\n%s", what, i, got[i], got[i].JSON(), w, w.JSON())
		}
	}
}

// sameFields reports whether two events say the same, whether or not their JSON is at hand.
func sameFields(a, b *es.Recorded) bool {
	bare := func(e *es.Recorded) es.Recorded {
		return es.Recorded{
			Stream: e.Stream, Version: e.Version, Position: e.Position, Type: e.Type, Schema: e.Schema,
			EffectiveAt: e.EffectiveAt, RecordedAt: e.RecordedAt, Data: e.Data, Metadata: e.Metadata, Hash: e.Hash,
		}
	}
	return reflect.DeepEqual(bare(a), bare(b)) && string(a.JSON()) == string(b.JSON())
}

func begin(t *testing.T, s ports.Store, needs ports.Needs) ports.Unit {
	t.Helper()
	u, err := s.Begin(t.Context(), needs)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	return u
}

func needStream(stream es.StreamID, after es.Version, at es.Position) ports.Needs {
	return ports.Needs{Streams: []ports.StreamNeed{{Stream: stream, After: after, At: at}}}
}

// write commits a batch in a unit of its own.
func write(t *testing.T, s ports.Store, b ports.Batch) {
	t.Helper()
	if err := tryWrite(t, s, b); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func tryWrite(t *testing.T, s ports.Store, b ports.Batch) error {
	u, err := s.Begin(t.Context(), ports.Needs{})
	if err != nil {
		return err
	}
	return u.Commit(t.Context(), b)
}

func writeEvents(t *testing.T, s ports.Store, events ...es.Recorded) {
	t.Helper()
	write(t, s, ports.Batch{Events: events})
}

func head(t *testing.T, s ports.Store) es.Position {
	t.Helper()
	p, err := s.Head(t.Context())
	if err != nil {
		t.Fatalf("head: %v", err)
	}
	return p
}

func readStream(t *testing.T, s ports.Store, stream es.StreamID, after es.Version, limit int) []es.Recorded {
	t.Helper()
	events, err := s.ReadStream(t.Context(), stream, after, limit)
	if err != nil {
		t.Fatalf("read stream %s: %v", stream, err)
	}
	return events
}

func readFeed(t *testing.T, s ports.Store, after es.Position, limit int) []es.Recorded {
	t.Helper()
	events, err := s.ReadFeed(t.Context(), after, limit)
	if err != nil {
		t.Fatalf("read feed: %v", err)
	}
	return events
}

func outcome(t *testing.T, s ports.Store, key string) *ports.Outcome {
	t.Helper()
	o, err := s.Outcome(t.Context(), key)
	if err != nil {
		t.Fatalf("outcome %q: %v", key, err)
	}
	return o
}

func checkpoint(t *testing.T, s ports.Store, name string) es.Position {
	t.Helper()
	p, err := s.Checkpoint(t.Context(), name)
	if err != nil {
		t.Fatalf("checkpoint %q: %v", name, err)
	}
	return p
}

func saveCheckpoint(t *testing.T, s ports.Store, name string, p es.Position) {
	t.Helper()
	if err := s.SaveCheckpoint(t.Context(), name, 0, p); err != nil {
		t.Fatalf("save checkpoint %q: %v", name, err)
	}
}

func wantHead(t *testing.T, s ports.Store, want es.Position) {
	t.Helper()
	if got := head(t, s); got != want {
		t.Fatalf("the head is %d, want %d", got, want)
	}
}

func wantOutcome(t *testing.T, got *ports.Outcome, want ports.Outcome) {
	t.Helper()
	if got == nil {
		t.Fatalf("outcome %q is not known", want.Key)
	}
	if got.Key != want.Key || got.Refusal != want.Refusal || !got.RecordedAt.Equal(want.RecordedAt) || string(got.Body) != string(want.Body) {
		t.Fatalf("outcome %q is %+v, want %+v", want.Key, *got, want)
	}
}

func wantKind(t *testing.T, err error, want fault.Kind) {
	t.Helper()
	var f *fault.Fault
	if !errors.As(err, &f) || f.Kind != want {
		t.Fatalf("got error %v, want a fault of kind %s", err, want)
	}
}

func wantIs(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// patience is a context that ends only when something hangs.
func patience(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
