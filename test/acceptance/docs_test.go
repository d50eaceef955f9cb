package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryProofThatIsNamedExists looks up the tests that the README and docs name as proofs: a renamed test must not leave a
// promise without one.
func TestEveryProofThatIsNamedExists(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED under -short: it builds tests")
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`go test -run '?([^' ]+)'? ([./a-z]+)`)
	found := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(strings.ReplaceAll(string(text), `\|`, "|"), -1) {
			found++
			cmd := exec.CommandContext(t.Context(), "go", "test", "-list", m[1], m[2])
			cmd.Dir = "../.."
			out, err := cmd.CombinedOutput()
			for pattern := range strings.SplitSeq(m[1], "|") {
				if err != nil || !regexp.MustCompile(`(?m)^Test.*`+pattern).Match(out) {
					t.Errorf("%s names the proof %q of %s, which is not there: %v %s", filepath.Base(page), pattern, m[2], err, out)
				}
			}
		}
	}
	if found < 8 {
		t.Errorf("only %d proofs are named: is this looking at the right pages?", found)
	}
}
