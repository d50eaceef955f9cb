package spec

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"daybook/core/es"
)

var update = flag.Bool("update", false, "write golden events that are missing; those that exist are never rewritten")

// Golden holds the module to what it has ever stored. dir has one file <Type>.v<schema>.json per event type and schema,
// frozen for ever: the event as a store keeps it. Each must be readable, and those of the current schema must be what the
// samples, one per event type with every field filled, are written as. The file schemas.txt there says which fields each schema
// has, and no schema may get others. Run a test with -update to freeze what is new.
func Golden(t *testing.T, m es.Module, dir string, samples ...es.Event) {
	registry, err := es.NewRegistry(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Events {
		of := &m.Events[i]
		t.Run(of.Name, func(t *testing.T) {
			at := slices.IndexFunc(samples, func(e es.Event) bool { return e.EventType() == of.Name })
			if at < 0 {
				t.Fatalf("no sample of %s was given", of.Name)
			}
			for schema := 1; schema < of.Schema; schema++ {
				readable(t, registry, goldenFile(dir, of.Name, schema))
			}
			unchanged(t, registry, goldenFile(dir, of.Name, of.Schema), samples[at])
		})
	}
	t.Run("every schema that was ever stored has the fields it had", func(t *testing.T) { schemas(t, m, dir) })
}

func goldenFile(dir, name string, schema int) string {
	return filepath.Join(dir, fmt.Sprintf("%s.v%d.json", name, schema))
}

// readable reads and decodes one golden event.
func readable(t *testing.T, r *es.Registry, file string) (es.Recorded, es.Event) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("each schema that was ever written has its golden event; freeze a new one with -update: %v", err)
	}
	rec, err := es.ParseRecorded(bytes.TrimSuffix(raw, []byte("\n")))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	e, err := r.Decode(&rec)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return rec, e
}

// unchanged compares the golden event of the current schema with the sample, both ways.
func unchanged(t *testing.T, r *es.Registry, file string, sample es.Event) {
	t.Helper()
	by := es.Metadata{Principal: "local", CommandID: "cmd-1", RequestID: "req-1", CorrelationID: "cor-1", CausationID: "cau-1",
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	written, err := record(r, sample, es.Recorded{
		Stream: "stream-1", Version: 2, Position: 17, EffectiveAt: epoch, RecordedAt: epoch.Add(1500 * time.Microsecond), Metadata: by.AppendJSON(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) && *update {
		freeze(t, file, written.JSON())
	}
	stored, e := readable(t, r, file)
	if !bytes.Equal(stored.JSON(), written.JSON()) {
		t.Errorf("%s would be stored as\n%s\nbut the stored form is frozen as\n%s\nkeep it, or add an upcaster and a schema", sample.EventType(), written.JSON(), stored.JSON())
	}
	if !reflect.DeepEqual(e, sample) {
		t.Errorf("%s is read as %+v, want %+v", file, e, sample)
	}
}

func freeze(t *testing.T, file string, raw []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(slices.Clip(raw), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Logf("frozen: %s", file)
}
