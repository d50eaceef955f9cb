package upgrade

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The third step of docs/events.md: the test that holds a build to what was ever stored fails on the next release, says what to do,
// and passes when that is done, which leaves all that was there as it was.
func TestTheFormsOfTheNextReleaseAreFrozenBesideThoseThatWere(t *testing.T) {
	list, err := next.list()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "account.test")
	if words, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", list, "-o", program, "daybook/core/account").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", next.renew(err), words)
	}
	const events = "testdata/events"
	if err := os.CopyFS(filepath.Join(dir, events), os.DirFS(filepath.Join("../../core/account", events))); err != nil {
		t.Fatal(err)
	}
	before := files(t, filepath.Join(dir, events))
	run := func(flags ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, append(flags, "-test.run", "^TestStoredEventsKeepTheirForm$")...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "DAYBOOK_TEST_FAULTS=") // it is no run of the tree's own test
		words, err := cmd.CombinedOutput()
		return string(words), err
	}
	words, err := run()
	for _, says := range []string{"freeze a new one with -update", "MoneyDeposited.v2 has no line in schemas.txt", "AccountRenamed.v1 has no line in schemas.txt"} {
		if err == nil || !strings.Contains(words, says) {
			t.Errorf("before anything was frozen the test ends with %v, and does not say %q:\n%s", err, says, words)
		}
	}
	if words, err := run("-update"); err != nil {
		t.Fatalf("with -update: %v\n%s", err, words)
	}
	if words, err := run(); err != nil {
		t.Errorf("once more: %v\n%s", err, words)
	}
	after := files(t, filepath.Join(dir, events))
	for name, text := range before {
		for line := range strings.Lines(text) {
			if !strings.Contains(after[name], line) {
				t.Errorf("%s has no longer the line %s", name, line)
			}
		}
		delete(after, name)
	}
	var added []string
	for name := range after {
		added = append(added, name)
	}
	if slices.Sort(added); !slices.Equal(added, []string{"AccountRenamed.v1.json", "MoneyDeposited.v2.json"}) {
		t.Errorf("added were %v", added)
	}
}

// files are those of a folder, by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(text)
	}
	return all
}
