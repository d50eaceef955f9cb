// Package faulttable is the table of docs/faults.md: which faults there are, what a user sees of each, and which tests have shown it.
//
// [Rows] are the faults. A test that breaks something and checks what the row promises says so in its first lines:
//
//	faulttable.Covers(t, "F22", faulttable.Production, "-faults.seed=7")
//
// When DAYBOOK_TEST_FAULTS names a folder, each such test that ends is noted there, and go test ./test/faulttable -update writes what
// was noted into the page: what passed is added, what failed is taken away. scripts/faulttable does both.
//
// Without -update the test of this package holds page, rows and tests against each other: whatever the page claims, a test does,
// and what no test does, the page says and why.
package faulttable

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Row is one fault.
type Row struct {
	Number string // F1, F2, ...
	Group  string // the heading it stands under
	Fault  string // what breaks
	Sees   string // what a user sees of it, which is what its tests check
	Not    string // what no test does, and why; "" when nothing is left out
}

// SetUp is what a fault was tried on.
type SetUp string

// What faults are tried on: two whole programs as users run them, and parts of them alone.
const (
	Embedded   SetUp = "embedded"   // the program with Pebble, views in memory and its own bus
	Production SetUp = "production" // processes of the program with PostgreSQL, RabbitMQ and Elasticsearch

	Pebble        SetUp = "Pebble"
	PostgreSQL    SetUp = "PostgreSQL"
	RabbitMQ      SetUp = "RabbitMQ"
	Elasticsearch SetUp = "Elasticsearch"
	Archive       SetUp = "archive" // in a folder or an object storage, of either program
	Memory        SetUp = "memory"  // what is the same in both programs, with a store, a bus and views in memory
)

// programs says of which programs a set-up is a part.
func (s SetUp) programs() []SetUp {
	switch s {
	case Embedded, Pebble:
		return []SetUp{Embedded}
	case Production, PostgreSQL, RabbitMQ, Elasticsearch:
		return []SetUp{Production}
	case Archive, Memory:
		return []SetUp{Embedded, Production}
	}
	return nil
}

// servers are those of a set-up whose real ones a test needs.
func (s SetUp) servers() []SetUp {
	switch s {
	case Production:
		return []SetUp{PostgreSQL, RabbitMQ, Elasticsearch}
	case PostgreSQL, RabbitMQ, Elasticsearch:
		return []SetUp{s}
	case Embedded, Pebble, Archive, Memory:
	}
	return nil
}

// served reports whether the environment names the servers of a set-up. Without them parts of a test are skipped, be it in subtests.
func (s SetUp) served() bool {
	for _, server := range s.servers() {
		name := strings.TrimSuffix(strings.ToUpper(string(server)), "QL")
		if os.Getenv("DAYBOOK_TEST_"+name+"_URL") == "" {
			return false
		}
	}
	return true
}

// Proof says that a test covers a row on a set-up.
type Proof struct {
	Row     string
	On      SetUp
	Package string // its folder, from go.mod
	Test    string
	Flags   string `json:",omitempty"` // those of the run, such as its seed
}

// key is a proof without what differs from run to run.
func (p Proof) key() Proof {
	p.Flags = ""
	return p
}

// note is what a run tells of a proof.
type note struct {
	Proof
	Passed bool
}

// folder is the variable that says where runs are noted.
const folder = "DAYBOOK_TEST_FAULTS"

// Covers says that the test checks what the row promises, on the set-up. flags are those that repeat its run, such as a seed. It is
// called by the function of a test itself, in a statement of its own with the row and the set-up written out, so that it can be
// found by reading: not by a subtest or for it.
func Covers(t testing.TB, row string, on SetUp, flags ...string) {
	t.Helper()
	if !slices.ContainsFunc(Rows(), func(r Row) bool { return r.Number == row }) || on.programs() == nil {
		t.Fatalf("there is no row %s or no set-up %q", row, on)
	}
	dir := os.Getenv(folder)
	if dir == "" {
		return
	}
	p := Proof{Row: row, On: on, Package: here(t), Test: t.Name(), Flags: strings.Join(flags, " ")}
	t.Cleanup(func() {
		if (t.Skipped() || !on.served()) && !t.Failed() {
			return
		}
		name := strings.ReplaceAll(strings.Join([]string{p.Row, string(p.On), p.Package, p.Test}, " "), "/", ".")
		text, err := json.Marshal(note{p, !t.Failed()})
		if err == nil {
			err = os.MkdirAll(dir, 0o750)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600)
		}
		if err != nil {
			t.Errorf("the run cannot be noted: %v", err)
		}
	})
}

// here is the folder of the package that is tested, from go.mod.
func here(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for root := dir; root != filepath.Dir(root); root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.ToSlash(strings.TrimPrefix(dir, root+string(filepath.Separator)))
		}
	}
	t.Fatal("no go.mod above the working directory")
	return ""
}

// noted reads what runs have noted in a folder.
func noted(dir string) ([]note, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []note
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var n note
		if err := json.Unmarshal(text, &n); err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}
