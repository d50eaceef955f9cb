package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybook/test/faulttable"
)

func TestALedgerIsExportedFromAServerAndImportedIntoAStore(t *testing.T) {
	c := newCLI(t)
	c.file("commands.ndjson", `{"id":"c1","account":"acc-1","command":"create","data":{"owner":"Ada","currency":"EUR"}}`+"\n")
	c.want(exitOK, "import commands.ndjson")
	for _, name := range []string{"log.ndjson", "log.ndjson.zst"} {
		c.want(exitOK, "export "+name+" --server "+c.app.URL(), "Exported up to position 1, hash ")
		c.want(exitOK, "import-log "+name+" --store.pebble.path "+name+".store", "Imported up to position 1, hash ")
		c.want(exitOK, "import-log "+name+" --store.pebble.path "+name+".store", "Imported up to position 1, hash ")
		again := c.want(exitOK, "export - --store.pebble.path "+name+".store")
		if text, err := os.ReadFile("log.ndjson"); err != nil || string(text) != again {
			t.Fatalf("the store gives another ledger (%v):\n%s", err, again)
		}
	}
	if left, err := filepath.Glob("*.unfinished"); err != nil || len(left) > 0 {
		t.Fatalf("there are %v (%v)", left, err)
	}
	text, err := os.ReadFile("log.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	c.file("cut.ndjson", string(text[:len(text)-1]))
	c.want(exitIntegrity, "import-log cut.ndjson --store.pebble.path cut", "cut.ndjson", "Line 4")
	c.file("changed.ndjson", strings.Replace(string(text), "Ada", "Bob", 1))
	c.want(exitIntegrity, "import-log changed.ndjson --store.pebble.path changed", "Line 2")
	if _, err := os.Stat("changed"); err == nil {
		t.Fatal("a store was made for a ledger that is not whole")
	}
	c.want(exitUsage, "import-log none.ndjson")
	c.want(exitUnavailable, "export x --server http://127.0.0.1:1")
}

func TestAStoreIsBackedUpAndRestoredWithItsHash(t *testing.T) {
	faulttable.Covers(t, "F63", faulttable.Embedded)
	c := newCLI(t)
	c.file("commands.ndjson", `{"id":"c1","account":"acc-1","command":"create","data":{"owner":"Ada","currency":"EUR"}}`+"\n")
	c.want(exitOK, "import commands.ndjson")
	c.want(exitOK, "export log.ndjson --server "+c.app.URL())
	c.want(exitOK, "import-log log.ndjson --store.pebble.path store")
	said := c.want(exitOK, "backup backup --store.pebble.path store", "position 1, hash ")
	restored := c.want(exitOK, "restore backup --store.pebble.path again", "position 1, hash ")
	if said[strings.Index(said, ":"):] != restored[strings.Index(restored, ":"):] {
		t.Fatalf("%s%s", said, restored)
	}
	c.want(exitRefused, "backup backup --store.pebble.path store", "already")
	c.want(exitRefused, "restore backup --store.pebble.path again", "not empty")
	c.want(exitRefused, "restore store --store.pebble.path other", "no whole backup")
	c.want(exitRefused, "backup /x --server "+c.app.URL(), "pg_dump") // the server's store is in memory
	c.want(exitUsage, "backup x --server "+c.app.URL(), "whole path")
}

func TestTheAccessLedgerIsBackedUpAndRestoredBesideTheStore(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	c := &cli{t, nil, dir}
	c.want(exitOK, "keys create --subject ops --role operator --reason first"+onPebble)
	c.serve(func() {
		c.want(exitOK, "backup "+filepath.Join(dir, "hot")+" --server "+c.app.URL()+" --reason monday", "hot: position 0", "hot.access: the access ledger, position 2") // a key, and this
	})
	c.want(exitOK, "backup cold"+onPebble, "cold: position 0", "cold.access: the access ledger, position 2")
	c.want(exitRefused, "backup cold"+onPebble, "already")
	c.want(exitOK, "restore hot --store.pebble.path again", "hot.access: the access ledger, position 2")
	if got := c.want(exitOK, "keys list --store.pebble.path again -o ndjson"); !strings.Contains(got, `"subject":"ops"`) {
		t.Errorf("the keys are %s", got)
	}
	c.want(exitOK, "verify --access --store.pebble.path again", "All 2 events are as they were written")
	if err := os.Mkdir("other.access", 0o700); err != nil {
		t.Fatal(err)
	}
	c.file("other.access/file", "")
	c.want(exitRefused, "restore hot --store.pebble.path other", "not empty", "Nothing was done")
	if _, err := os.Stat("other"); err == nil {
		t.Error("something was restored")
	}
}
