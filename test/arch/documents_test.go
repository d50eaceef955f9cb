package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goTest is a command of a document: what is between it and the end of its line, or of its quotation.
var goTest = regexp.MustCompile("go test ([^`#\n]+)")

// A proof that names no test proves nothing: each alternative of a -run or -bench pattern must match a test of one of the packages named.
func TestEveryCommandOfTheDocumentsRunsATest(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]int{}
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goTest.FindAllStringSubmatch(string(text), -1) {
			line := strings.ReplaceAll(strings.TrimSpace(m[1]), `\|`, "|")
			commands[filepath.Base(page)]++
			for _, problem := range wrongWith(t, line) {
				t.Errorf("%s: go test %s: %s", filepath.Base(page), line, problem)
			}
		}
	}
	if commands["guarantees.md"] < 30 || commands["security.md"] < 5 {
		t.Errorf("is this rule looking at the right pages? It found %v", commands)
	}
}

// wrongWith says which of the packages of a command are none, and which of its patterns match no test.
func wrongWith(t *testing.T, command string) (problems []string) {
	t.Helper()
	var packages []string
	patterns := map[string]string{} // by their flag
	words := strings.Fields(command)
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == "-run" || words[i] == "-bench" || words[i] == "-fuzz":
			if i++; i < len(words) {
				patterns[words[i-1]] = strings.Trim(words[i], `'"`)
			}
		case strings.HasPrefix(words[i], "./"):
			packages = append(packages, strings.TrimPrefix(words[i], "./"))
		}
	}
	var names []string
	for _, p := range packages {
		found := testsOf(t, strings.Trim(p, `'"),;`))
		if len(found) == 0 && p != "..." {
			problems = append(problems, p+" has no tests")
		}
		names = append(names, found...)
	}
	for flag, pattern := range patterns {
		kind := map[string]string{"-run": "Test", "-bench": "Benchmark", "-fuzz": "Fuzz"}[flag]
		for one := range strings.SplitSeq(pattern, "|") {
			one, _, _ = strings.Cut(one, "/") // the rest names what runs in it
			is, err := regexp.Compile(one)
			if err != nil {
				problems = append(problems, err.Error())
				continue
			}
			if one != "^$" && !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, kind) && is.MatchString(n) }) {
				problems = append(problems, one+" matches none of the tests there")
			}
		}
	}
	return problems
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)

// testsOf are the names of the tests of a package, and of those below it for one that ends in /...
func testsOf(t *testing.T, folder string) (names []string) {
	t.Helper()
	root := filepath.Join("../..", strings.TrimSuffix(folder, "..."))
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // there is nothing, which is what is looked for
		case entry.IsDir() && path != filepath.Clean(root) && !strings.HasSuffix(folder, "..."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
