package httpapi

import (
	"net/http"
	"testing"
)

func TestAnArchivalIsAskedForWithATimeAndNeedsAnArchive(t *testing.T) {
	w := newWorld(t)
	for query, want := range map[string]struct {
		status int
		code   string
	}{
		"":                              {400, "invalid_parameter"},
		"?before=yesterday":             {400, "invalid_parameter"},
		"?before=2025-01-01T00:00:00Z":  {422, "no_archive"},
		"?after=2025-01-01T00:00:00Z":   {400, "invalid_parameter"},
		"?before=2025-01-01T00:00:00Z&": {422, "no_archive"},
	} {
		if a := w.do(http.MethodPost, "/v1/admin/archive"+query, ""); a.status != want.status || a.json(t)["code"] != want.code {
			t.Errorf("%q: got %d %s", query, a.status, a.body)
		}
	}
}
