// Package faultbuild makes another build of the program: one that can be told to stop at a crash point, so that a test can kill it
// just there. The points are comments, `// gofail: var NAME struct{}`, that mean nothing to the compiler; the tool gofail turns those
// of a copy of the source into code, and the copy is built. What is shipped has nothing of it.
//
// A program of the fault build that is started with GOFAIL_HTTP listens there: `PUT /NAME` with Terms arms a point, and
// `GET /NAME/count` tells how often it was passed since. GOFAIL_FAILPOINTS=NAME=TERMS arms one from the start.
package faultbuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// patience is how long a build may take.
const patience = 5 * time.Minute

// Terms lets the program pass a point so many times. Whoever comes by after that stops there until the program is killed, and so does
// everybody behind.
func Terms(passes int) string {
	const untilKilled = "sleep(3600000)"
	if passes == 0 {
		return untilKilled
	}
	return fmt.Sprintf("%d*off->%s", passes, untilKilled)
}

// Build builds the program with its crash points into the folder, with flags such as -race, and gives its path. It takes the source as
// it is in the working tree, not as it was committed. What did not change since another such build is not compiled again.
func Build(dir string, flags ...string) (binary string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	root, err := checkout(ctx)
	if err != nil {
		return "", err
	}
	source, err := os.MkdirTemp(dir, "source-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(source)) }()
	folders, err := copyTo(ctx, root, source)
	if err != nil {
		return "", err
	}
	if _, err := run(ctx, root, "go", append([]string{"tool", "gofail", "enable"}, folders...)...); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "daybook")
	// Without -trimpath the name of the folder, another one each time, would be part of what the compiler keeps.
	_, err = run(ctx, source, "go", append(append([]string{"build", "-trimpath", "-o", binary}, flags...), "./cmd/daybook")...)
	return binary, err
}

// checkout is the folder of go.mod.
func checkout(ctx context.Context) (string, error) {
	mod, err := run(ctx, ".", "go", "env", "GOMOD")
	return filepath.Dir(strings.TrimSpace(mod)), err
}

// crashPoint is a comment that is one.
var crashPoint = regexp.MustCompile(`(?m)^\s*// gofail: var (\w+) struct\{\}$`)

// copyTo copies all that the program is made of, and gives the folders with points.
func copyTo(ctx context.Context, root, to string) (folders []string, err error) {
	files, err := sources(ctx, root)
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, name))
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed, and git was not told yet
			continue
		case err != nil:
			return nil, err
		}
		copied := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(copied), 0o750); err != nil {
			return nil, err
		}
		if err := os.WriteFile(copied, text, 0o600); err != nil {
			return nil, err
		}
		if folder := filepath.Dir(copied); strings.HasSuffix(name, ".go") && crashPoint.Match(text) && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	return folders, nil
}

// sources are the names of all files but those of tests.
func sources(ctx context.Context, root string) (names []string, err error) {
	listing, err := run(ctx, root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "go.mod", "go.sum", "core", "adapters", "app", "cmd")
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Split(strings.TrimRight(listing, "\x00"), "\x00") {
		if !strings.HasSuffix(name, "_test.go") && !strings.Contains(name, "/testdata/") {
			names = append(names, name)
		}
	}
	return names, nil
}

// run runs a command in a folder and gives what it prints.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args[:min(2, len(args))], " "), err, out.String(), words.String())
	}
	return out.String(), nil
}
