package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"

	"github.com/danielgtaylor/huma/v2"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"daybook/core/access"
)

// pageRoutes are the document of the API and the pages that show it.
func (s *server) pageRoutes() []route {
	explorer := newExplorer()
	return []route{
		{method: http.MethodGet, path: "/openapi.json", right: access.Public, operation: describePage("openapi", "This document", "application/json"), serve: s.openAPI()},
		{method: http.MethodGet, path: "/docs", right: access.Public, operation: describePage("docs", "The API's pages", htmlType), serve: explorer.page},
		{method: http.MethodGet, path: "/docs/errors", right: access.Public, operation: describePage("error-codes", "What each error code means", htmlType), serve: s.errorsPage},
		{method: http.MethodGet, path: "/docs/assets/{file}", right: access.Public, operation: describePage("docs-assets", "What the API's pages are made of", "application/octet-stream"), serve: explorer.asset,
			params: []*huma.Param{pathParam("file", &huma.Schema{Type: "string"}, "The name of the file.")}},
	}
}

const (
	htmlType   = "text/html; charset=utf-8"
	assetsPath = "/docs/assets/"
)

// openAPI serves the document. It is made once, from all routes, when it is first asked for.
func (s *server) openAPI() handler {
	return func(w http.ResponseWriter, _ *http.Request, _ *values) error {
		body, err := s.document31()
		if err != nil {
			return err
		}
		answerJSON(w, http.StatusOK, body)
		return nil
	}
}

// explorer is Swagger UI out of this program: nothing is loaded from outside.
type explorer struct {
	ui     http.Handler
	html   []byte
	policy []string
}

// inline finds what is written in a page itself. RE2 has no back references, and no style holds the end of a script.
var inline = regexp.MustCompile(`(?s)<(script|style)>(.*?)</(?:script|style)>`)

// newExplorer makes the page once, so that its policy can name the hashes of the scripts in it and allow no others.
func newExplorer() *explorer {
	e := &explorer{ui: v5emb.NewWithConfig(swgui.Config{
		ShowTopBar: false, JsonEditor: false,
		SettingsUI: map[string]string{"tryItOutEnabled": "true", "persistAuthorization": "false"},
	})("Daybook", "/openapi.json", assetsPath)}
	var page rendered
	e.ui.ServeHTTP(&page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: assetsPath}})
	e.html = page.Bytes()
	e.policy = pagePolicy(e.html)
	return e
}

// pagePolicy allows a page what this server serves, and the scripts and styles written in it, by their hashes.
func pagePolicy(html []byte) []string {
	allowed := map[string]string{"script": "'self'", "style": "'self'"}
	for _, m := range inline.FindAllSubmatch(html, -1) {
		sum := sha256.Sum256(m[2])
		allowed[string(m[1])] += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return []string{"default-src 'none'; script-src " + allowed["script"] + "; style-src " + allowed["style"] +
		"; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
}

// rendered keeps a page that a handler writes.
type rendered struct{ bytes.Buffer }

func (*rendered) Header() http.Header { return http.Header{} }
func (*rendered) WriteHeader(int)     {}

func (e *explorer) page(w http.ResponseWriter, _ *http.Request, _ *values) error {
	h := w.Header()
	h["Content-Type"], h["Content-Security-Policy"] = []string{htmlType}, e.policy
	_, _ = w.Write(e.html) // a client that left is no failure of ours
	return nil
}

func (e *explorer) asset(w http.ResponseWriter, r *http.Request, _ *values) error {
	found := &foundOnly{ResponseWriter: w}
	w.Header()["Cache-Control"] = []string{"public, max-age=3600"}
	e.ui.ServeHTTP(found, r)
	if found.missing {
		w.Header()["Cache-Control"] = noStore
		return errNoRoute
	}
	return nil
}

// foundOnly swallows the plain 404 of a file server, so that it can be answered like every other.
type foundOnly struct {
	http.ResponseWriter
	missing bool
}

func (w *foundOnly) WriteHeader(status int) {
	if w.missing = status == http.StatusNotFound; !w.missing {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *foundOnly) Write(b []byte) (int, error) {
	if w.missing {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}
