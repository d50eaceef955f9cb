package arch

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// lines gives the lines of files from the root, with their places.
func lines(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range patterns {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("there is no %s (%v)", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // a folder
			}
			n := 0
			for line := range strings.Lines(string(text)) {
				n++
				all[strings.TrimPrefix(file, root+"/")+":"+strconv.Itoa(n)] = strings.TrimSpace(line)
			}
		}
	}
	return all
}

func TestModulesAreThoseThatAreNamed(t *testing.T) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require                   []struct{ Path, Version string }
		Replace, Exclude, Retract []any
		Go                        string
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Replace)+len(mod.Exclude)+len(mod.Retract) > 0 {
		t.Error("go.mod replaces, excludes or retracts modules: use a version as its authors released it")
	}
	if len(mod.Require) < 10 || strings.Count(mod.Go, ".") != 2 {
		t.Errorf("go.mod has %d requirements and says go %s: name the whole version", len(mod.Require), mod.Go)
	}
}

var (
	// moves is the end of a name that means something else every time.
	moves = regexp.MustCompile(`[@:=](latest|main|master|head|stable|edge|nightly|upgrade|LATEST|RELEASE)\b`)
	// tool is a Go program that is built from its module.
	tool     = regexp.MustCompile(`\b[a-z0-9.-]+\.[a-z]+(?:/[\w.-]+)+@(\S+)`)
	version  = regexp.MustCompile(`^v\d+\.\d+\.\d+$`)
	image    = regexp.MustCompile(`^(?:FROM|image:)\s+(\S+)`)
	required = regexp.MustCompile(`^[A-Za-z0-9._-]+==[0-9][\w.]*( ;.*)? \\$`)
	hash     = regexp.MustCompile(`^--hash=sha256:[0-9a-f]{64}( \\)?$`)
)

func TestToolsAndImagesArePinned(t *testing.T) {
	tools := 0
	for at, line := range lines(t, ".ci/run", "scripts/*", "scripts/servers.d/*", "scripts/servers.d/elasticsearch/*", "Dockerfile", "docker-compose.yml") {
		if found := moves.FindString(line); found != "" && !strings.HasPrefix(line, "#") {
			t.Errorf("%s: %q is another thing tomorrow: name a version", at, found)
		}
		for _, found := range tool.FindAllStringSubmatch(line, -1) {
			if tools++; !version.MatchString(found[1]) {
				t.Errorf("%s: %s: name the whole version", at, found[0])
			}
		}
		if found := image.FindStringSubmatch(line); found != nil && found[1] != "daybook" && !strings.Contains(found[1], ":") {
			t.Errorf("%s: the image %s has no version", at, found[1])
		}
		if strings.Contains(line, "pip") && strings.Contains(line, " install ") && !strings.Contains(line, "--require-hashes") {
			t.Errorf("%s: install with --require-hashes", at)
		}
	}
	if tools == 0 {
		t.Error("no tool was found: is this rule looking at the right files?")
	}
}

func TestWhatPythonNeedsIsPinnedByItsHashes(t *testing.T) {
	packages, hashes := 0, 0
	for at, line := range lines(t, "test/schemathesis/requirements.txt") {
		switch {
		case line == "", strings.HasPrefix(line, "#"):
		case required.MatchString(line):
			packages++
		case hash.MatchString(line):
			hashes++
		default:
			t.Errorf("%s: %s: name the version and the hashes", at, line)
		}
	}
	if packages == 0 || hashes < packages {
		t.Errorf("there are %d packages with %d hashes", packages, hashes)
	}
}
