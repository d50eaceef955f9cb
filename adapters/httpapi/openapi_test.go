package httpapi

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

func TestTheDocumentDescribesEveryRouteAndNoOther(t *testing.T) {
	w := newWorld(t, func(o *options) { o.still = true })
	var document struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(w.get("/openapi.json").body), &document); err != nil {
		t.Fatal(err)
	}
	if document.OpenAPI != "3.1.0" {
		t.Errorf("got version %q", document.OpenAPI)
	}
	described := 0
	for path, item := range document.Paths {
		for method := range item {
			described++
			concrete := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "x")
			r, _ := http.NewRequest(strings.ToUpper(method), concrete, nil)
			if _, pattern := w.api.mux.Handler(r); pattern != path {
				t.Errorf("%s %s is described and served by %q", method, path, pattern)
			}
		}
	}
	if described != len(w.api.routes) {
		t.Errorf("%d operations are described, %d are served", described, len(w.api.routes))
	}
	for _, want := range []string{"/v1/accounts/{id}/deposit", "/v1/accounts/{id}/set-overdraft-limit", "/v1/commands", "/v1/accounts/{id}/statement", "/v1/feed", "/readyz", "/docs"} {
		if document.Paths[want] == nil {
			t.Errorf("%s is not described", want)
		}
	}
}

func TestEveryReferenceOfTheDocumentResolves(t *testing.T) {
	w := newWorld(t, func(o *options) { o.still = true })
	var document map[string]any
	if err := json.Unmarshal([]byte(w.get("/openapi.json").body), &document); err != nil {
		t.Fatal(err)
	}
	schemas := document["components"].(map[string]any)["schemas"].(map[string]any)
	used := map[string]bool{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if target, ok := v["$ref"].(string); ok {
				name, local := strings.CutPrefix(target, schemaPrefix)
				if !local || schemas[name] == nil {
					t.Errorf("%s: %s does not resolve", at, target)
				}
				used[name] = true
			}
			if pattern, ok := v["pattern"].(string); ok {
				if _, err := regexp.Compile(pattern); err != nil {
					t.Errorf("%s: %v", at, err)
				}
			}
			for k, child := range v {
				walk(at+"/"+k, child)
			}
		case []any:
			for i, child := range v {
				walk(at+"/"+strconv.Itoa(i), child)
			}
		}
	}
	walk("", document)
	for name := range schemas {
		if !used[name] {
			t.Errorf("the schema %s is not used", name)
		}
	}
}

func TestPathParametersAreDescribed(t *testing.T) {
	w := newWorld(t, func(o *options) { o.still = true })
	for _, rt := range w.api.routes {
		for _, m := range regexp.MustCompile(`\{([^}]*)\}`).FindAllStringSubmatch(rt.path, -1) {
			found := false
			for _, p := range rt.params {
				found = found || p.In == "path" && p.Name == m[1] && p.Required
			}
			if !found {
				t.Errorf("%s: the parameter %s is not described", rt.path, m[1])
			}
		}
		if rt.operation.Summary == "" || rt.operation.OperationID == "" {
			t.Errorf("%s %s has no summary or id", rt.method, rt.path)
		}
	}
}

// valid checks a JSON text against a schema of the document.
func valid(tb testing.TB, api *huma.OpenAPI, what string, schema *huma.Schema, text string) {
	tb.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		tb.Errorf("%s: %v in %s", what, err, text)
		return
	}
	result := &huma.ValidateResult{}
	huma.Validate(api.Components.Schemas, schema, huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, value, result)
	for _, err := range result.Errors {
		tb.Errorf("%s: %v in %s", what, err, text)
	}
}

func precompute(s *huma.Schema) {
	if s == nil {
		return
	}
	s.PrecomputeMessages()
	for _, p := range s.Properties {
		precompute(p)
	}
	precompute(s.Items)
	for _, list := range [][]*huma.Schema{s.OneOf, s.AnyOf, s.AllOf} {
		for _, p := range list {
			precompute(p)
		}
	}
}

func TestRealAnswersAreAsDescribed(t *testing.T) {
	w := newWorld(t)
	api := w.api.describe()
	for _, s := range api.Components.Schemas.Map() {
		precompute(s)
	}
	calls := 0
	check := func(method, path, template, body string, headers ...string) {
		t.Helper()
		calls++
		a := w.do(method, path, body, headers...)
		item := api.Paths[template]
		op := item.Get
		if method == http.MethodPost {
			op = item.Post
		}
		response := op.Responses[strconv.Itoa(a.status)]
		if response == nil {
			t.Errorf("%s %s: the status %d is not described; %s", method, path, a.status, a.body)
			return
		}
		media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
		content := response.Content[media]
		if content == nil {
			t.Errorf("%s %s: %s is not described for %d", method, path, media, a.status)
			return
		}
		precompute(content.Schema)
		if media == linesType {
			for line := range strings.Lines(a.body) {
				valid(t, api, path, content.Schema, line)
			}
			return
		}
		valid(t, api, method+" "+path, content.Schema, a.body)
	}
	const one = "/v1/accounts/{id}"
	check("POST", "/v1/accounts/a/create", one+"/create", `{"owner":"Ada","currency":"EUR","overdraftLimit":5}`, asJSON)
	check("POST", "/v1/accounts/b/create", one+"/create", `{"owner":"Bo","currency":"EUR"}`, asJSON)
	check("POST", "/v1/accounts/b/create", one+"/create", `{"owner":"Bo","currency":"EUR"}`, asJSON)
	check("POST", "/v1/accounts/a/deposit", one+"/deposit", `{"amount":7,"effectiveAt":"2025-01-01T00:00:00Z","reference":"r"}`, asJSON)
	check("POST", "/v1/accounts/a/deposit", one+"/deposit", `{"amount":"7"}`, asJSON)
	check("POST", "/v1/accounts/a/deposit", one+"/deposit", `{"amount":7}`)
	check("POST", "/v1/accounts/a/deposit", one+"/deposit", `{"amount":7}`, asJSON, `If-Match: "9"`)
	check("POST", "/v1/accounts/a/withdraw", one+"/withdraw", `{"amount":700}`, asJSON)
	check("POST", "/v1/accounts/a/withdraw?dryRun=true", one+"/withdraw", `{"amount":1}`, asJSON)
	check("POST", "/v1/accounts/a/transfer", one+"/transfer", `{"to":"b","amount":10}`, asJSON)
	check("POST", "/v1/accounts/a/correct", one+"/correct", `{"event":"evt-4","reason":"sent twice"}`, asJSON)
	check("POST", "/v1/accounts/a/correct", one+"/correct", `{"event":"4","reason":"sent twice"}`, asJSON)
	check("POST", "/v1/accounts/a/set-overdraft-limit", one+"/set-overdraft-limit", `{"limit":9}`, asJSON)
	check("POST", "/v1/accounts/b/freeze", one+"/freeze", `{"reason":"because"}`, asJSON)
	check("POST", "/v1/accounts/b/unfreeze", one+"/unfreeze", `{"reason":"because"}`, asJSON)
	check("POST", "/v1/accounts/b/close", one+"/close", `{"reason":"because"}`, asJSON)
	check("POST", "/v1/commands", "/v1/commands", deposit("k", "a", 1)+"bad\n"+deposit("l", "nobody", 1), ndjson)
	check("GET", "/v1/accounts/a", one, "", w.fresh())
	check("GET", "/v1/accounts/a?version=1", one, "")
	check("GET", "/v1/accounts/a?effectiveAt=2025-01-01T00:00:00Z", one, "")
	check("GET", "/v1/accounts/a?minPosition=999", one, "")
	check("GET", "/v1/accounts/nobody", one, "")
	check("GET", "/v1/accounts?limit=1&minBalance=-100", "/v1/accounts", "", w.fresh())
	check("GET", "/v1/accounts/a/events?limit=2", one+"/events", "")
	check("GET", "/v1/accounts/a/statement", one+"/statement", "")
	check("GET", "/v1/accounts/a/statement?from=2025-01-01T00:00:00Z", one+"/statement", "")
	check("GET", "/v1/events", "/v1/events", "")
	check("GET", "/v1/events/evt-1", "/v1/events/{id}", "")
	check("GET", "/v1/status", "/v1/status", "")
	check("POST", "/v1/admin/rebuild", "/v1/admin/rebuild", "")
	check("GET", "/v1/admin/operations/op-1", "/v1/admin/operations/{id}", "")
	check("GET", "/v1/admin/dead-letters", "/v1/admin/dead-letters", "")
	check("GET", "/v1/admin/dead-letters/m1", "/v1/admin/dead-letters/{id}", "")
	check("POST", "/v1/admin/dead-letters/m1/retry", "/v1/admin/dead-letters/{id}/retry", "")
	check("POST", "/v1/admin/dead-letters/m1/discard", "/v1/admin/dead-letters/{id}/discard", "")
	check("GET", "/livez", "/livez", "")
	check("GET", "/readyz?verbose", "/readyz", "")
}

func TestPagesLoadNothingFromOutside(t *testing.T) {
	w := newWorld(t, func(o *options) { o.still = true })
	page := w.get("/docs")
	if page.status != 200 || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
		t.Fatalf("got %d %v", page.status, page.header)
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.body, -1)
	if len(links) < 4 {
		t.Errorf("got the links %v", links)
	}
	for _, l := range links {
		if a := w.get(l[1]); !strings.HasPrefix(l[1], assetsPath) || a.status != 200 || len(a.body) == 0 {
			t.Errorf("%s: got %d", l[1], a.status)
		}
	}
	if scripts := strings.Count(page.body, "<script>"); scripts != strings.Count(page.header.Get("Content-Security-Policy"), "'sha256-")-strings.Count(page.body, "<style>") {
		t.Errorf("%d scripts and the policy %s", scripts, page.header.Get("Content-Security-Policy"))
	}
}

// A code that only a message on the bus can get never reaches a client.
func TestEveryCodeInTheSourceIsOnThePageOfCodes(t *testing.T) {
	w := newWorld(t, func(o *options) { o.still = true })
	page := w.get("/docs/errors").body
	for _, dir := range []string{"../../core", "../wire", "."} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if code := declaredCode(n); code != "" && code != "bad_event_message" && !strings.Contains(page, `<tr id="`+code+`">`) {
					t.Errorf("%s: the code %s is not on the page", path, code)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// declaredCode is the code of a call of fault.New with a literal code.
func declaredCode(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 3 {
		return ""
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || f.Sel.Name != "New" {
		return ""
	}
	if x, ok := f.X.(*ast.Ident); !ok || x.Name != "fault" {
		return ""
	}
	literal, ok := call.Args[1].(*ast.BasicLit)
	if !ok {
		return ""
	}
	code, _ := strconv.Unquote(literal.Value)
	return code
}
