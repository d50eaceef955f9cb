package faultbuild

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root = "../.."
	page = root + "/docs/crash-points.md"
)

var update = flag.Bool("update", false, "write the table of points into docs/crash-points.md")

func TestEachPointOfTheListIsInTheProgramOnceAndNoOther(t *testing.T) {
	files, err := sources(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		points := crashPoint.FindAllSubmatch(text, -1)
		if n := strings.Count(string(text), "gofail:"); n != len(points) {
			t.Errorf("%s speaks of gofail %d times, and has %d points on a line of their own", name, n, len(points))
		}
		for _, p := range points {
			if at, twice := found[string(p[1])]; twice {
				t.Errorf("the point %s is in %s and in %s", p[1], at, name)
			}
			found[string(p[1])] = name
		}
	}
	for _, p := range Points() {
		if found[p.Name] == "" {
			t.Errorf("the point %s is in no file", p.Name)
		}
		delete(found, p.Name)
	}
	for name, at := range found {
		t.Errorf("the point %s of %s is not in the list: say what is done there and what is not", name, at)
	}
}

// What follows a point's line, if it is a comment, becomes code of the point.
func TestNoCommentFollowsAPoint(t *testing.T) {
	files, err := sources(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for i, line := range lines[:len(lines)-1] {
			if crashPoint.MatchString(line) && strings.HasPrefix(strings.TrimSpace(lines[i+1]), "//") {
				t.Errorf("%s:%d: a comment follows the point: put it before", name, i+2)
			}
		}
	}
}

func TestWhatIsShippedHasNoCrashPoints(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "daybook/cmd/daybook")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "daybook/core/engine\n") {
		t.Fatal("the list is not that of the program")
	}
	if strings.Contains(string(out), "gofail") {
		t.Error("the program as it is shipped depends on gofail")
	}
}

func TestTheFaultBuildIsTheProgram(t *testing.T) {
	binary, err := Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), binary, "version").CombinedOutput()
	if err != nil {
		t.Fatalf("version: %v\n%s", err, out)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(binary), "*")); err != nil || len(left) != 1 {
		t.Errorf("besides the program there are %v (%v)", left, err)
	}
}

func TestThePageListsThePoints(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- points: written by go test ./test/faultbuild -update -->\n", "<!-- end -->\n"
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the points", page)
	}
	want := before + begin + table() + end + after
	switch {
	case want == string(text):
	case *update:
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the list gives: go test ./test/faultbuild -update writes it", page)
	}
}

// table shows the points of each scene.
func table() string {
	var b strings.Builder
	var scene Scene
	for _, p := range Points() {
		if p.Scene != scene {
			scene = p.Scene
			fmt.Fprintf(&b, "\n### The program dies during %s\n\n| point | where it stops | in |\n|---|---|---|\n", scene)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.Name, p.Place, p.On)
	}
	return b.String() + "\n"
}
