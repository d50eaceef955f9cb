package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root     = "../.."
	maxLines = 400
)

// vague names say nothing about what lives there.
var vague = []string{"base", "common", "helper", "helpers", "misc", "model", "models", "shared", "util", "utils"}

// unfinished is how work that was put off is usually marked. It belongs into an issue.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

type source struct {
	name  string // from the root, with slashes
	lines int
	fset  *token.FileSet
	*ast.File
}

func (s source) isTest() bool   { return strings.HasSuffix(s.name, "_test.go") }
func (s source) folder() string { return filepath.ToSlash(filepath.Dir(s.name)) }

// at is the place of a node, to click on.
func (s source) at(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// imports reports whether the file imports the package.
func (s source) imports(pkg string) bool {
	return slices.ContainsFunc(s.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(pkg) })
}

// uses gives the places where the file names one of the package's functions. It knows the package by its usual name.
func (s source) uses(pkg string, functions ...string) []string {
	var places []string
	ast.Inspect(s.File, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains(functions, sel.Sel.Name) {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == pkg {
				places = append(places, s.at(sel)+" "+pkg+"."+sel.Sel.Name)
			}
		}
		return true
	})
	return places
}

// sources are all Go files of the project but generated ones.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(d.Name(), ".") && name != root
		switch {
		case err != nil:
			return err
		case d.IsDir() && (hidden || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || hidden || filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, name)
		if err == nil && !ast.IsGenerated(file) {
			all = append(all, source{filepath.ToSlash(short), bytes.Count(text, []byte("\n")), fset, file})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files found: is this rule looking at the right tree?", len(all))
	}
	return all
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		documented[s.folder()] = documented[s.folder()] || s.Doc != nil && strings.HasPrefix(s.Doc.Text(), prefixOfDoc(s))
	}
	for folder, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment: say what lives there and what may not", folder)
		}
	}
}

func prefixOfDoc(s source) string {
	if s.Name.Name == "main" {
		return ""
	}
	return "Package " + strings.TrimSuffix(s.Name.Name, "_test") + " "
}

func TestNamesSayWhatIsInside(t *testing.T) {
	for _, s := range sources(t) {
		file := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(s.name), ".go"), "_test")
		if slices.Contains(vague, s.Name.Name) || slices.Contains(vague, file) {
			t.Errorf("%s (package %s): name it for what it does, not %v", s.name, s.Name.Name, vague)
		}
	}
}

func TestNothingHappensAtImport(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil && !s.isTest() {
				t.Errorf("%s: no init functions; app wires everything by hand", s.at(f))
			}
		}
	}
}

func TestClockIsAParameterInCore(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasPrefix(s.name, "core/") && !s.isTest() {
			for _, place := range s.uses("time", "Now", "Since", "Until") {
				t.Errorf("%s: the core is given the time", place)
			}
		}
	}
}

// In a synctest bubble time is not real, so a sleep there costs and hopes nothing.
func TestNoTestSleeps(t *testing.T) {
	for _, s := range sources(t) {
		if (s.isTest() || strings.HasPrefix(s.name, "test/")) && !s.imports("testing/synctest") {
			for _, place := range s.uses("time", "Sleep") {
				t.Errorf("%s: wait for what should happen with a channel, a context or testing/synctest", place)
			}
		}
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	for _, s := range sources(t) {
		for _, group := range s.Comments {
			if unfinished.MatchString(group.Text()) {
				t.Errorf("%s: do it or write an issue: %s", s.at(group), group.Text())
			}
		}
	}
}

func TestFilesAreShortEnoughToRead(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it by what its parts do", s.name, s.lines, maxLines)
		}
	}
}

// A reader of bytes that nobody knows to be fuzzed is taken for one that is not.
func TestEveryFuzzTargetIsListed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/fuzzing.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, s := range sources(t) {
		for _, d := range s.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.isTest() && strings.HasPrefix(f.Name.Name, "Fuzz") {
				if found++; !strings.Contains(string(text), "`"+f.Name.Name+"` `"+s.folder()+"`") {
					t.Errorf("%s: docs/fuzzing.md does not list %s of %s", s.at(f), f.Name.Name, s.folder())
				}
			}
		}
	}
	if listed := strings.Count(string(text), "| `Fuzz"); listed != found {
		t.Errorf("docs/fuzzing.md lists %d targets, and there are %d", listed, found)
	}
}
