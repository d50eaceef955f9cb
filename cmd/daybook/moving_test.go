package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
