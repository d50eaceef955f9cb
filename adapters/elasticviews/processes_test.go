package elasticviews_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"daybook/adapters/elasticviews"
	"daybook/core/es"
	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

// request asks the server as somebody else would, and gives the body of its answer.
func request(t *testing.T, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := server(t).RoundTrip(req)
	must(t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	must(t, err)
	return string(answer)
}

// indices are the names of all that the views keep on the server.
func indices(t *testing.T, o elasticviews.Options) []string {
	t.Helper()
	var found []struct{ Index string }
	must(t, json.Unmarshal([]byte(request(t, "GET", o.URL+"/_cat/indices/"+o.Prefix+"-*?format=json&h=index", "")), &found))
	var names []string
	for _, f := range found {
		names = append(names, f.Index)
	}
	slices.Sort(names)
	return names
}

func isMoved(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, ports.ErrCheckpointMoved) {
		t.Errorf("%s gives %v, want ErrCheckpointMoved", what, err)
	}
}

func TestAProjectorThatWasReplacedChangesNothing(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F13", faulttable.Elasticsearch)
	o := options(t, newRegistry(t))
	view := &o.Registry.Module(accounts).View
	old, now := open(t, o), open(t, o)
	must(t, old.Reset(t.Context(), 1))
	must(t, old.Write(t.Context(), 1, []ports.Change{change(view, 0, 1)}, 0, 1, es.Hash{}))
	must(t, old.Open(t.Context(), 1))
	shows(t, now, 1, 1)

	must(t, now.Write(t.Context(), 2, []ports.Change{change(view, 0, 2)}, 1, 2, es.Hash{}))
	replaced := func() {
		t.Helper()
		isMoved(t, "Reset", old.Reset(t.Context(), 1))
		isMoved(t, "Open", old.Open(t.Context(), 1))
		isMoved(t, "Write", old.Write(t.Context(), 1, []ports.Change{change(view, 7, 9)}, 2, 3, es.Hash{}))
	}
	replaced()
	shows(t, old, 2, 2)
	must(t, now.Reset(t.Context(), 2))
	replaced()
	if p, err := old.Progress(t.Context()); err != nil || p != (ports.Progress{}) {
		t.Errorf("the progress is %+v, %v", p, err)
	}
	must(t, now.Write(t.Context(), 2, []ports.Change{change(view, 0, 1)}, 0, 2, es.Hash{}))
	must(t, now.Open(t.Context(), 2))
	replaced()
	shows(t, old, 2, 1)
}

func TestAProjectorThatStoodStillInsideItsWriteWhileAnotherFilledTheViewsChangesNothing(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F7", faulttable.Elasticsearch)
	o := options(t, newRegistry(t))
	view := &o.Registry.Module(accounts).View
	now := open(t, o)
	s, reached, goOn := server(t), make(chan bool), make(chan bool)
	o.Transport = tripper(func(req *http.Request) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Path, "/_bulk") {
			reached <- true
			<-goOn
		}
		return s.RoundTrip(req)
	})
	old := open(t, o)
	must(t, now.Open(t.Context(), 1))
	written := make(chan error)
	go func() {
		written <- old.Write(t.Context(), 1, []ports.Change{change(view, 0, 9), change(view, 1, 9)}, 0, 18, es.Hash{})
	}()
	<-reached
	must(t, now.Reset(t.Context(), 2))
	must(t, now.Write(t.Context(), 2, []ports.Change{change(view, 0, 1)}, 0, 1, es.Hash{}))
	must(t, now.Open(t.Context(), 2))
	close(goOn)
	isMoved(t, "Write", <-written)
	must(t, now.Write(t.Context(), 2, []ports.Change{change(view, 2, 1)}, 1, 2, es.Hash{}))
	shows(t, now, 2, 1, 1)
	if names := indices(t, o); len(names) != 2 {
		t.Errorf("there are the indices %v, want one of documents and one of the progress", names)
	}
}

func TestViewsThatSomebodyDeletedAreAsIfResetAndCanBeFilledAgain(t *testing.T) {
	faulttable.Covers(t, "F57", faulttable.Elasticsearch)
	for name, isDeleted := range map[string]func(index string) bool{
		"the documents": func(index string) bool { return !strings.HasSuffix(index, "-progress") },
		"the progress":  func(index string) bool { return strings.HasSuffix(index, "-progress") },
		"both":          func(string) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, newRegistry(t))
			view := &o.Registry.Module(accounts).View
			v, reader := open(t, o), open(t, o)
			must(t, v.Reset(t.Context(), 1))
			must(t, v.Write(t.Context(), 1, []ports.Change{change(view, 0, 9), change(view, 1, 9)}, 0, 18, es.Hash{}))
			must(t, v.Open(t.Context(), 1))
			shows(t, reader, 18, 9, 9)
			for _, index := range indices(t, o) {
				if isDeleted(index) {
					request(t, "DELETE", o.URL+"/"+index, "")
				}
			}
			for _, v := range []ports.Views{v, reader} {
				isReset(t, v)
			}
			isMoved(t, "Write", v.Write(t.Context(), 1, []ports.Change{change(view, 2, 1)}, 18, 19, es.Hash{}))
			isMoved(t, "Open", v.Open(t.Context(), 1))
			isReset(t, v)
			must(t, v.Reset(t.Context(), 1))
			must(t, v.Write(t.Context(), 1, []ports.Change{change(view, 0, 1)}, 0, 1, es.Hash{}))
			must(t, v.Open(t.Context(), 1))
			shows(t, reader, 1, 1)
			if names := indices(t, o); len(names) != 2 {
				t.Errorf("there are the indices %v, want one of documents and one of the progress", names)
			}
		})
	}
}

func isReset(t *testing.T, v ports.Views) {
	t.Helper()
	if p, err := v.Progress(t.Context()); err != nil || p != (ports.Progress{}) {
		t.Errorf("the progress is %+v, %v", p, err)
	}
	if _, _, err := v.Get(t.Context(), accounts, "acc-0000000"); !errors.Is(err, ports.ErrViewRebuilding) {
		t.Errorf("Get gives %v", err)
	}
	if _, err := v.List(t.Context(), accounts, ports.Query{Limit: 1}); !errors.Is(err, ports.ErrViewRebuilding) {
		t.Errorf("List gives %v", err)
	}
	if parked, n, err := v.Parked(t.Context(), 9); err != nil || n != 0 || parked != nil {
		t.Errorf("parked are %v, %d, %v", parked, n, err)
	}
}

func TestAnIndexDeletedInsideAWriteIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	var o elasticviews.Options
	s := server(t)
	deleting := false
	o = options(t, newRegistry(t))
	o.Transport = tripper(func(req *http.Request) (*http.Response, error) {
		if deleting && strings.HasSuffix(req.URL.Path, "/_bulk") {
			request(t, "DELETE", o.URL+strings.TrimSuffix(req.URL.Path, "/_bulk"), "")
		}
		return s.RoundTrip(req)
	})
	v, view := open(t, o), &o.Registry.Module(accounts).View
	must(t, v.Open(t.Context(), 1))
	deleting = true
	isMoved(t, "Write", v.Write(t.Context(), 1, []ports.Change{change(view, 0, 1)}, 0, 1, es.Hash{}))
	if names := indices(t, o); len(names) != 1 {
		t.Errorf("there are the indices %v, want the progress alone", names)
	}
	isReset(t, v)
}

func TestOthersFindTheDocumentsByTheAliasAsTheAPIShowsThem(t *testing.T) {
	t.Parallel()
	o := options(t, newRegistry(t))
	view := &o.Registry.Module(accounts).View
	v := open(t, o)
	c := change(view, 25, 3)
	seen := func() string {
		return request(t, "GET", o.URL+"/"+o.Prefix+"-accounts/_search", `{
			"query":{"range":{"createdAt":{"gte":"2026-01-01T00:00:02Z","lt":"2026-01-01T00:00:03Z"}}},
			"_source":{"excludes":"daybook"}, "aggs":{"sum":{"sum":{"field":"balance"}}}}`)
	}
	for token := range ports.Token(3) {
		must(t, v.Reset(t.Context(), token))
		must(t, v.Write(t.Context(), token, []ports.Change{c, change(view, 99, 1)}, 0, 4, es.Hash{}))
		if want := `"_source":` + string(view.AppendJSON(nil, c.Document.Values)); token > 0 && !strings.Contains(seen(), want) {
			t.Errorf("while the views are filled anew, others do not find %s but %s", want, seen())
		}
		must(t, v.Open(t.Context(), token))
		if want := `"_source":` + string(view.AppendJSON(nil, c.Document.Values)); !strings.Contains(seen(), want) || !strings.Contains(seen(), `"value":1,`) {
			t.Errorf("others do not find %s alone but %s", want, seen())
		}
	}
	if names := indices(t, o); len(names) != 2 {
		t.Errorf("there are the indices %v, want one of documents and one of the progress", names)
	}
}

func TestAfterTheServerWasAwayEverythingGoesOn(t *testing.T) {
	t.Parallel()
	s := servers.Private(t, "elasticsearch")
	o := elasticviews.Options{URL: s.URL(), Prefix: "restarted", Registry: newRegistry(t), Logf: t.Logf}
	view := &o.Registry.Module(accounts).View
	var changes []ports.Change
	var versions []es.Version
	for n := range 900 {
		changes, versions = append(changes, change(view, n, 1)), append(versions, 1)
	}
	writer := open(t, o)
	must(t, writer.Open(t.Context(), 1))
	must(t, writer.Write(t.Context(), 1, changes[:300], 0, 300, es.Hash{}))
	must(t, writer.Write(t.Context(), 1, changes[300:600], 300, 600, es.Hash{}))
	s.Kill()
	reader := open(t, o) // of a process that starts now
	for _, v := range []ports.Views{writer, reader} {
		for call, err := range calls(t.Context(), v) {
			if !errors.Is(err, ports.ErrViewUnavailable) {
				t.Errorf("%s gives %v", call, err)
			}
		}
	}
	s.Start()
	shows(t, reader, 600, versions[:600]...)
	must(t, writer.Write(t.Context(), 1, changes[600:], 600, 900, es.Hash{}))
	shows(t, reader, 900, versions...)
}

func TestReadersOfViewsThatAreFilledAgainAndAgainSeeOneFillingWholeOrNone(t *testing.T) {
	t.Parallel()
	faulttable.Covers(t, "F56", faulttable.Elasticsearch)
	o := options(t, newRegistry(t))
	view := &o.Registry.Module(accounts).View
	v, reader := open(t, o), open(t, o)
	filled := make(chan bool)
	var reading sync.WaitGroup
	for range 3 {
		reading.Go(func() {
			for seen := 0; ; {
				select {
				case <-filled:
					if seen == 0 {
						t.Error("nothing was ever seen")
					}
					return
				default:
				}
				page, err := reader.List(t.Context(), accounts, ports.Query{Limit: 100})
				if errors.Is(err, ports.ErrViewRebuilding) || seen == 0 && errors.Is(err, ports.ErrViewUnavailable) { // the index of the progress is being made
					continue
				}
				seen++
				other := func(d es.Document) bool { return es.Position(d.Version) != page.At }
				if err != nil || len(page.Documents) != 50 || slices.ContainsFunc(page.Documents, other) {
					t.Errorf("a reader sees %d documents at %d, %v", len(page.Documents), page.At, err)
					return
				}
			}
		})
	}
	for filling := es.Version(1); filling <= 12; filling++ {
		var changes []ports.Change
		for n := range 50 {
			changes = append(changes, change(view, n, filling))
		}
		must(t, v.Reset(t.Context(), 1))
		must(t, v.Write(t.Context(), 1, changes, 0, es.Position(filling), es.Hash{}))
		must(t, v.Open(t.Context(), 1))
	}
	close(filled)
	reading.Wait()
}
