// Package overlay gives the compiler changed copies of files in the place of those in the tree, which stays as it is. The change is a
// patch.
package overlay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Apply applies a patch, made in the folder of go.mod, to copies of the files that it is for. The copies are made in dir, and with them
// the list of them that `go build -overlay` takes, whose path is given. A patch that does not apply is an error, which says where.
func Apply(ctx context.Context, dir, patch string) (list string, err error) {
	text, err := os.ReadFile(patch)
	if err != nil {
		return "", err
	}
	root, err := root(ctx)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "+++ b/")
		if !ok {
			continue
		}
		original, changed := filepath.Join(root, name), filepath.Join(dir, name)
		if err := copyFile(original, changed); err != nil {
			return "", err
		}
		replace[original] = changed
	}
	// Patches may have no lines of context.
	git := exec.CommandContext(ctx, "git", "apply", "--unidiff-zero", "-")
	git.Dir, git.Stdin, git.Env = dir, bytes.NewReader(text), append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if words, err := git.CombinedOutput(); err != nil {
		return "", fmt.Errorf("apply %s: %w\n%s", patch, err, words)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list = filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, overlay, 0o600)
}

// root is the folder of go.mod.
func root(ctx context.Context) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(mod))), err
}

// copyFile copies a file of the tree, unless the patch is to make it.
func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o700)
	}
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	return err
}
