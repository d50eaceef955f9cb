package faulttable

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root = "../.."
	page = root + "/docs/faults.md"
)

// call is how tests name it; in two parts, so that this file is none of them.
const call = "faulttable" + ".Covers("

var update = flag.Bool("update", false, "write what the runs noted in $"+folder+" into docs/faults.md")

func TestThePageClaimsWhatTestsDoAndNothingElse(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	tests := covered(t)
	proofs := claims(string(text))
	if *update {
		runs, err := noted(os.Getenv(folder))
		if err != nil {
			t.Fatal(err)
		}
		proofs = merge(proofs, runs, tests)
	}
	want, err := render(string(text), proofs)
	switch {
	case err != nil:
		t.Fatal(err)
	case *update:
		if err := os.WriteFile(page, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	case want != string(text):
		t.Errorf("%s is not what its rows and its list of tests give: go test ./test/faulttable -update writes it", page)
	}
	for _, p := range proofs {
		if !slices.Contains(tests, p.key()) {
			t.Errorf("%s claims that %s of %s covers %s on %s, and it does not say so", page, p.Test, p.Package, p.Row, p.On)
		}
	}
	for _, p := range tests {
		if !slices.ContainsFunc(proofs, func(q Proof) bool { return q.key() == p }) {
			t.Errorf("%s does not have that %s of %s covers %s on %s: run it with %s=FOLDER and then -update", page, p.Test, p.Package, p.Row, p.On, folder)
		}
	}
}

func TestARowThatWasNotTriedOnAProgramSaysWhy(t *testing.T) {
	tests := covered(t)
	for i, r := range Rows() {
		if i > 0 && number(r.Number) <= number(Rows()[i-1].Number) || r.Fault == "" || r.Sees == "" || r.Group == "" {
			t.Errorf("%s is out of order or says too little", r.Number)
		}
		for _, program := range []SetUp{Embedded, Production} {
			if r.Not == "" && tried(r, program, tests) == "–" {
				t.Errorf("%s (%s) has no test on %s, and no reason", r.Number, r.Fault, program)
			}
		}
	}
}

// covered are all calls of Covers in the project, found by reading its tests.
func covered(t *testing.T) (proofs []Proof) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != root):
			return filepath.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(text), call) {
			return err
		}
		at, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		proofs = append(proofs, callsIn(t, name, filepath.ToSlash(at), text)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return proofs
}

// callsIn are those of a file.
func callsIn(t *testing.T, name, at string, text []byte) (proofs []Proof) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
			continue
		}
		for _, s := range f.Body.List {
			if row, on, ok := covers(s); ok {
				proofs = append(proofs, Proof{Row: row, On: on, Package: at, Test: f.Name.Name})
			}
		}
	}
	if n := strings.Count(string(text), call); n != len(proofs) {
		t.Errorf("%s calls Covers %d times, but %d times as a statement of a test with a row and a set-up written out", name, n, len(proofs))
	}
	return proofs
}

// setUps are the set-ups by the names that tests call them.
var setUps = map[string]SetUp{
	"Embedded": Embedded, "Production": Production, "Pebble": Pebble, "PostgreSQL": PostgreSQL, "RabbitMQ": RabbitMQ,
	"Elasticsearch": Elasticsearch, "Archive": Archive, "Memory": Memory,
}

// covers gives the row and the set-up of a statement that is a call of Covers.
func covers(s ast.Stmt) (row string, on SetUp, ok bool) {
	e, ok := s.(*ast.ExprStmt)
	if !ok {
		return "", "", false
	}
	c, ok := e.X.(*ast.CallExpr)
	if !ok || len(c.Args) < 3 || !isOurs(c.Fun, "Covers") {
		return "", "", false
	}
	literal, ok := c.Args[1].(*ast.BasicLit)
	if !ok {
		return "", "", false
	}
	row, err := strconv.Unquote(literal.Value)
	for name, setUp := range setUps {
		if isOurs(c.Args[2], name) {
			return row, setUp, err == nil
		}
	}
	return "", "", false
}

// isOurs reports that an expression is the name in this package.
func isOurs(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "faulttable"
}

func TestAPageIsReadAsItWasWritten(t *testing.T) {
	proofs := []Proof{
		{Row: "F1", On: Embedded, Package: "test/crash", Test: "TestOne", Flags: "-crash.seed=7"},
		{Row: "F22", On: PostgreSQL, Package: "adapters/pgstore", Test: "TestTwo"},
	}
	text, err := render("by hand\n"+tableMark+endMark+"more\n"+proofsMark+endMark+"the end\n", slices.Clone(proofs))
	if err != nil || !slices.Equal(claims(text), proofs) {
		t.Fatalf("%+v, %v", claims(text), err)
	}
	if again, err := render(text, claims(text)); err != nil || again != text {
		t.Errorf("written again it is another one: %v", err)
	}
	if _, err := render("a page without marks", nil); err == nil {
		t.Error("a page without marks was written")
	}
}

func TestARunAddsWhatPassedAndTakesAwayWhatFailed(t *testing.T) {
	proof := func(test, flags string) Proof {
		return Proof{Row: "F1", On: Embedded, Package: "test/crash", Test: test, Flags: flags}
	}
	before := []Proof{proof("TestNotRun", "-seed=1"), proof("TestFails", ""), proof("TestRemoved", "")}
	runs := []note{{proof("TestFails", ""), false}, {proof("TestNew", "-seed=2"), true}}
	tests := []Proof{proof("TestNotRun", ""), proof("TestFails", ""), proof("TestNew", "")}
	got := merge(before, runs, tests)
	if len(got) != 2 || !slices.Contains(got, proof("TestNotRun", "-seed=1")) || !slices.Contains(got, proof("TestNew", "-seed=2")) {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsNotedOfARunIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(folder, dir)
	for _, server := range []string{"POSTGRES", "RABBITMQ", "ELASTICSEARCH"} {
		t.Setenv("DAYBOOK_TEST_"+server+"_URL", "")
	}
	t.Run("has no servers, so that parts of it were skipped", func(t *testing.T) { Covers(t, "F24", Production) })
	t.Run("needs others", func(t *testing.T) { Covers(t, "F29", PostgreSQL) })
	for _, server := range []string{"POSTGRES", "RABBITMQ", "ELASTICSEARCH"} {
		t.Setenv("DAYBOOK_TEST_"+server+"_URL", "somewhere")
	}
	t.Run("passes", func(t *testing.T) { Covers(t, "F22", Production, "-seed=3") })
	t.Run("is skipped", func(t *testing.T) {
		Covers(t, "F23", Production)
		t.Skip("to see that it is not noted")
	})
	runs, err := noted(dir)
	want := note{Proof{Row: "F22", On: Production, Package: "test/faulttable", Test: t.Name() + "/passes", Flags: "-seed=3"}, true}
	if err != nil || len(runs) != 1 || runs[0] != want {
		t.Errorf("%+v, %v", runs, err)
	}
}
