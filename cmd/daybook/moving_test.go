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
