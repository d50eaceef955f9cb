package overlay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// patched applies a patch with these lines.
func patched(t *testing.T, patch string) (list string, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "the.patch")
	if err := os.WriteFile(file, []byte(patch), 0o600); err != nil {
		t.Fatal(err)
	}
	return Apply(t.Context(), t.TempDir(), file)
}

func TestAPatchChangesAndMakesCopiesAndLeavesTheTreeAsItIs(t *testing.T) {
	before, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	list, err := patched(t, "--- a/go.mod\n+++ b/go.mod\n@@ -1,1 +1,1 @@\n-module daybook\n+module nightbook\n"+
		"--- /dev/null\n+++ b/core/new.go\n@@ -0,0 +1,1 @@\n+package core\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(list)
	var overlay struct{ Replace map[string]string }
	if err != nil || json.Unmarshal(text, &overlay) != nil || len(overlay.Replace) != 2 {
		t.Fatalf("the list is %s (%v)", text, err)
	}
	for original, changed := range overlay.Replace {
		now, err := os.ReadFile(changed)
		want := strings.Replace(string(before), "module daybook", "module nightbook", 1)
		if strings.HasSuffix(original, "new.go") {
			want = "package core\n"
		}
		if err != nil || string(now) != want {
			t.Errorf("in the place of %s is %v\n%s", original, err, now)
		}
	}
	if after, err := os.ReadFile("../../go.mod"); err != nil || string(after) != string(before) {
		t.Errorf("go.mod of the tree was changed (%v)", err)
	}
}

func TestAPatchThatDoesNotApplySaysWhere(t *testing.T) {
	_, err := patched(t, "--- a/go.mod\n+++ b/go.mod\n@@ -1,1 +1,1 @@\n-module somebook\n+module nightbook\n")
	if err == nil || !strings.Contains(err.Error(), "go.mod:1") || !strings.Contains(err.Error(), "the.patch") {
		t.Errorf("got %v", err)
	}
}
