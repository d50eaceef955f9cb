// Package mutants shows that the tests of the project find what they are there for: it plants known bugs, one at a time, and runs the
// test that must fail on it. Each bug is a patch beside this file; the table is in table_test.go and, for readers, in docs/mutants.md.
// Nothing in the tree is changed: the compiler is given the changed copies of files in the place of those in the tree.
package mutants

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"daybook/test/overlay"
)

var (
	plant  = flag.Bool("plant", false, "plant each bug and run the test that must fail on it")
	update = flag.Bool("update", false, "rewrite the table in docs/mutants.md")
)

const root = "../.."

func TestEachPlantedBugIsFoundByItsTest(t *testing.T) {
	if !*plant {
		t.Skip("SKIPPED: it builds many tests twice; give -plant")
	}
	packages := map[string][]*mutant{}
	for i := range all {
		packages[all[i].in] = append(packages[all[i].in], &all[i])
	}
	for in, mutants := range packages {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			sound := built(t, in)
			for _, m := range mutants {
				t.Run(m.patch, func(t *testing.T) { m.find(t, sound) })
			}
		})
	}
}

// find runs the test of a mutant without the bug, which passes, and with it.
func (m *mutant) find(t *testing.T, sound string) {
	t.Helper()
	if words, err := m.test(t, sound); err != nil || !bytes.Contains(words, []byte("--- PASS: ")) {
		t.Fatalf("without the bug %s says (%v):\n%s", m.command(), err, words)
	}
	words, err := m.test(t, built(t, m.in, "-overlay", m.overlay(t)))
	if err == nil || !bytes.Contains(words, []byte("--- FAIL: ")) {
		t.Fatalf("nobody finds this: %s\n%s says (%v):\n%s", m.bug, m.command(), err, words)
	}
	t.Logf("%s %s\n%s says:\n%s", m.bug, m.here, m.command(), beginning(words))
}

// built is the test program of a package, with flags such as -overlay. That it cannot be built is no way of finding a bug.
func built(t *testing.T, in string, flags ...string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "mutant.test")
	build := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"test", "-c", "-o", program}, flags, []string{"./" + in})...)
	build.Dir = root
	if words, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the test of %s: %v\n%s", in, err, words)
	}
	return program
}

// test runs the test of a mutant in a program that was built with or without it.
func (m *mutant) test(t *testing.T, program string) ([]byte, error) {
	t.Helper()
	run := exec.CommandContext(t.Context(), program, append([]string{"-test.v", "-test.timeout=5m", "-test.run", m.run}, m.flags...)...)
	run.Dir = filepath.Join(root, m.in)
	return run.CombinedOutput()
}

// command is what a person would type to run the test.
func (m *mutant) command() string {
	pattern := m.run
	if strings.ContainsAny(pattern, "|/'") {
		pattern = `"` + pattern + `"`
	}
	return strings.Join(append([]string{"go test -run " + pattern + " ./" + m.in}, m.flags...), " ")
}

// overlay applies the patch to copies of the files that it is for.
func (m *mutant) overlay(t *testing.T) (list string) {
	t.Helper()
	list, err := overlay.Apply(t.Context(), t.TempDir(), m.patch+".patch")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// beginning is what a test says first.
func beginning(words []byte) string {
	var said []string
	for line := range strings.Lines(string(words)) {
		if word := strings.TrimSpace(line); !strings.HasPrefix(word, "===") && !strings.HasPrefix(word, "---") && len(said) < 6 {
			said = append(said, line)
		}
	}
	return strings.Join(said, "")
}

// hunk is one change of a patch.
type hunk struct {
	file    string
	removed string
}

// hunks reads a patch.
func (m *mutant) hunks(t *testing.T) (hunks []hunk) {
	t.Helper()
	file := ""
	for line := range strings.Lines(read(t, m.patch+".patch")) {
		switch {
		case strings.HasPrefix(line, "--- a/"):
			file = strings.TrimSpace(line[len("--- a/"):])
		case strings.HasPrefix(line, "@@"):
			hunks = append(hunks, hunk{file: file})
		case strings.HasPrefix(line, "-"):
			hunks[len(hunks)-1].removed += line[1:]
		}
	}
	return hunks
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Patches have no lines of context, so that changes beside them do no harm: the lines that they take away say where they belong.
func TestEachPatchAppliesInOnePlace(t *testing.T) {
	for _, m := range all {
		for _, h := range m.hunks(t) {
			if text := "\n" + read(t, filepath.Join(root, h.file)); h.removed == "" || strings.Count(text, "\n"+h.removed) != 1 {
				t.Errorf("%s: in %s there are %d places with\n%s", m.patch, h.file, strings.Count(text, "\n"+h.removed), h.removed)
			}
		}
		m.overlay(t)
	}
}

func TestEachPatchIsInTheTableAndItsTestIsThere(t *testing.T) {
	files, err := filepath.Glob("*.patch")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, m := range all {
		listed = append(listed, m.patch+".patch")
		for name := range strings.SplitSeq(m.run, "|") {
			name, _, _ = strings.Cut(name, "/")
			if !declares(t, filepath.Join(root, m.in), name) {
				t.Errorf("%s: %s has no %s", m.patch, m.in, name)
			}
		}
	}
	if !slices.Equal(files, listed) {
		t.Errorf("there are\n%v, and in the table\n%v", files, listed)
	}
}

// declares reports whether a package has a test whose name begins so.
func declares(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name))
	return slices.ContainsFunc(files, func(file string) bool { return declared.MatchString(read(t, file)) })
}

func TestTheDocumentListsThePlantedBugs(t *testing.T) {
	const path, mark = root + "/docs/mutants.md", "<!-- planted -->\n"
	before, rest, ok := strings.Cut(read(t, path), mark)
	if !ok {
		t.Fatalf("there is no %q in %s", mark, path)
	}
	table, after, _ := strings.Cut(rest, "\n\n")
	want := document()
	if table == want {
		return
	}
	if !*update {
		t.Fatalf("the table in %s is not that of this test; go test ./test/mutants -update rewrites it. It should be\n%s", path, want)
	}
	if err := os.WriteFile(path, []byte(before+mark+want+"\n\n"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// document is the table as docs/mutants.md shows it.
func document() string {
	lines := []string{"| | bug | what finds it | which says |", "|---|---|---|---|"}
	for _, m := range all {
		number, _, _ := strings.Cut(m.patch, "-")
		bug := strings.TrimSpace(m.bug + " " + m.here)
		lines = append(lines, fmt.Sprintf("| [%s](../test/mutants/%s.patch) | %s | `%s` | %s |",
			number, m.patch, bug, strings.ReplaceAll(m.command(), "|", `\|`), m.says))
	}
	return strings.Join(lines, "\n")
}
