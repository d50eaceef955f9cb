package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"daybook/test/books"
	"daybook/test/cluster"
	"daybook/test/faulttable"
)

func TestADocumentThatWasEditedByHandIsNamedByARebuildAndPutRight(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F58", faulttable.Production)
	w := prepare(t, place{})
	p := w.cluster.Start("all roles", elastic)
	w.apis = append(w.apis, p)
	for _, id := range []string{"left", "edited"} {
		post(t, p, id+"/create", `{"owner":"Ada","currency":"EUR"}`, "create-"+id)
	}
	last := post(t, p, "edited/deposit", `{"amount":5}`, "deposit")
	balance := func() int64 {
		t.Helper()
		var one books.Account
		cluster.Within(t, recovery, "the view shows the account", func(ctx context.Context) error {
			return cluster.Get(ctx, fmt.Sprintf("%s/v1/accounts/edited?minPosition=%d", p.URL(), last.Position), &one)
		})
		return one.Balance
	}
	if got := balance(); got != 5 {
		t.Fatalf("the balance is %d", got)
	}
	w.edit("edited", "balance", 6)
	if got := balance(); got != 6 {
		t.Fatalf("the view was edited and shows %d", got)
	}
	report := w.daybook("rebuild")
	for _, want := range []string{"1 documents are as they were, 0 added, 0 removed, 1 changed", `edited balance: "6", now "5"`} {
		if !strings.Contains(report, want) {
			t.Errorf("the rebuild does not say %s:\n%s", want, report)
		}
	}
	if got := balance(); got != 5 {
		t.Errorf("after the rebuild the balance is %d", got)
	}
	if report = w.daybook("rebuild"); !strings.Contains(report, "all 2 documents are as they were") {
		t.Errorf("a second rebuild says\n%s", report)
	}
}

// edit changes a member of an account's document in Elasticsearch, past the program.
func (w *world) edit(id, member string, value any) {
	w.t.Helper()
	index := w.indicesOf("accounts")[0]
	var found struct {
		Hits struct {
			Hits []struct {
				ID     string         `json:"_id"`
				Source map[string]any `json:"_source"`
			}
		}
	}
	if err := json.Unmarshal([]byte(w.elasticsearch(http.MethodGet, "/"+index+"/_search")), &found); err != nil {
		w.t.Fatal(err)
	}
	for _, hit := range found.Hits.Hits {
		if hit.Source["id"] != id {
			continue
		}
		hit.Source[member] = value
		body, err := json.Marshal(hit.Source)
		if err != nil {
			w.t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, w.search+"/"+index+"/_doc/"+hit.ID+"?refresh=true", bytes.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			w.t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			w.t.Fatalf("the document was not edited: %s", res.Status)
		}
		return
	}
	w.t.Fatalf("there is no document of %s: %+v", id, found)
}
