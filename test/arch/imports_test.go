// Package arch holds the rules of the tree as tests: which way imports point, what the core may use, and how source files
// look. They need no tool but Go, and no network. Each rule says what to do instead.
package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "daybook/"

// layers, innermost first: a folder may import itself and what is left of it.
var layers = []string{"core", "adapters", "app", "cmd"}

// impure is the standard library the core may not use: it has no I/O, no randomness, no log and no reflection.
var impure = []string{
	"database/sql", "io/fs", "io/ioutil", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec", "os/signal",
	"path/filepath", "plugin", "reflect", "syscall", "testing", "unsafe",
}

// homes says in which folders a dependency is known; everywhere else it must not show. Those without a home are for tests.
var homes = map[string][]string{
	"github.com/anishathalye/porcupine": {},
	"github.com/cockroachdb/pebble":     {"adapters/pebblestore"},
	"github.com/danielgtaylor/huma":     {"adapters/httpapi"},
	"github.com/elastic":                {"adapters/elasticviews"},
	"github.com/go-jose":                {"adapters/tokens"},
	"github.com/jackc/pgx":              {"adapters/pgstore"},
	"github.com/johannesboyne":          {},
	"github.com/klauspost/compress":     {"adapters/logfile", "adapters/archive"},
	"github.com/pressly/goose":          {"adapters/pgstore"},
	"github.com/rabbitmq/amqp091-go":    {"adapters/rabbitbus"},
	"github.com/rogpeppe/go-internal":   {},
	"github.com/Shopify/toxiproxy":      {},
	"github.com/spf13/viper":            {"app"},
	"github.com/stretchr/testify":       {},
	"github.com/ThreeDotsLabs":          {"adapters/*bus", "adapters/msgapi"},
	"go.opentelemetry.io":               {"adapters/oteltracer"},
	"go.etcd.io":                        {},
	"go.uber.org/goleak":                {},
	"gocloud.dev":                       {"adapters/archive"},
	"golang.org/x/time":                 {"adapters/httpapi"},
	"pgregory.net/rapid":                {},
}

type pkg struct {
	ImportPath string
	Imports    []string // of the code that is not a test
}

func (p pkg) folder() string { return strings.TrimPrefix(p.ImportPath, module) }

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, words.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// layer is the place of a package in layers; -1 for test/, which may import everything.
func layer(importPath string) int {
	top, _, _ := strings.Cut(strings.TrimPrefix(importPath, module), "/")
	return slices.Index(layers, top)
}

func TestImportsPointInwards(t *testing.T) {
	found := map[int]int{}
	for _, p := range packages(t) {
		from := layer(p.ImportPath)
		found[from]++
		for _, imp := range p.Imports {
			ours := strings.HasPrefix(imp, module)
			switch {
			case from < 0:
			case ours && layer(imp) < 0:
				t.Errorf("%s imports %s: only tests may import test/", p.ImportPath, imp)
			case ours && layer(imp) > from:
				t.Errorf("%s imports %s: imports point inwards, %s", p.ImportPath, imp, strings.Join(layers, " <- "))
			}
		}
	}
	for i, l := range layers {
		if found[i] == 0 {
			t.Errorf("no package found in %s: is this rule looking at the right tree?", l)
		}
	}
}

func TestCoreIsPure(t *testing.T) {
	for _, p := range packages(t) {
		if layer(p.ImportPath) != 0 {
			continue
		}
		for _, imp := range p.Imports {
			first, _, _ := strings.Cut(imp, "/")
			switch {
			case strings.Contains(first, "."):
				t.Errorf("%s imports %s: the core imports the standard library only; put it behind a port", p.ImportPath, imp)
			case slices.Contains(impure, imp):
				t.Errorf("%s imports %s: the core does no I/O and looks at nothing but its arguments; put it behind a port", p.ImportPath, imp)
			}
		}
	}
}

// A module's folder in core knows the vocabulary and nothing of the machinery, so that its rules can be read alone.
func TestModulesKnowOnlyTheVocabulary(t *testing.T) {
	shared := []string{"core/access", "core/es", "core/fault", "core/ports", "core/engine"}
	for _, p := range packages(t) {
		if layer(p.ImportPath) != 0 || slices.Contains(shared, p.folder()) {
			continue
		}
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, module) && imp != module+"core/access" && imp != module+"core/es" && imp != module+"core/fault" {
				t.Errorf("%s imports %s: a module imports core/access, core/es and core/fault only", p.ImportPath, imp)
			}
		}
	}
}

func TestEachDependencyIsKnownInItsHomeOnly(t *testing.T) {
	for _, p := range packages(t) {
		if layer(p.ImportPath) < 0 {
			continue
		}
		for _, imp := range p.Imports {
			for dependency, allowed := range homes {
				if imp != dependency && !strings.HasPrefix(imp, dependency+"/") {
					continue
				}
				at := func(pattern string) bool {
					ok, err := path.Match(pattern, p.folder())
					return err == nil && ok
				}
				if !slices.ContainsFunc(allowed, at) {
					t.Errorf("%s imports %s, which belongs in %v and tests only", p.ImportPath, imp, allowed)
				}
			}
		}
	}
}
