package contract

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Views checks that an adapter keeps the contract of ports.Views, on the views of the account module. open gives views of
// its own to each case, as they are before anything was done to them.
func Views(t *testing.T, open func(t *testing.T, r *es.Registry) ports.Views) {
	cases := map[string]func(*viewsCase){
		"views that were never opened are closed":                                           (*viewsCase).neverOpened,
		"a Write while the views are closed is shown when they open":                        (*viewsCase).filledWhileClosed,
		"Reset empties the views, moves the checkpoint to zero and closes them":             (*viewsCase).reset,
		"after Write returns, Get and List show the whole documents and the checkpoint":     (*viewsCase).written,
		"a Write of nothing moves the checkpoint":                                           (*viewsCase).writeOfNothing,
		"a Write from another checkpoint fails and writes nothing":                          (*viewsCase).checkpointMoved,
		"of writers from one checkpoint exactly one succeeds":                               (*viewsCase).concurrentWriters,
		"a writer with a lower token than one before changes nothing":                       (*viewsCase).fenced,
		"a document whose version is below the stored one changes nothing":                  (*viewsCase).versions,
		"Get of an id that is not there is ErrNoDocument":                                   (*viewsCase).noDocument,
		"a parked document says why, is left out of lists and counted":                      (*viewsCase).parked,
		"a parked document is back when it is written whole again":                          (*viewsCase).unparked,
		"a document that was parked at its first event needs no values":                     (*viewsCase).parkedWithoutValues,
		"Parked gives up to limit documents and the number of all":                          (*viewsCase).parkedLimit,
		"readers never see half of a Write":                                                 (*viewsCase).wholeWrites,
		"a page after another repeats none of its documents, whatever is written between":   (*viewsCase).writesBetweenPages,
		"lists agree with a naive model for any documents, filters, words, sorts and pages": (*viewsCase).agreesWithModel,
		"a List for a reader has the documents that they are a reader of, and no others":    (*viewsCase).forReader,
		"a call whose context has ended gives its error":                                    (*viewsCase).endedContext,
		"a set beside is built without a change to what readers see":                        (*viewsCase).besideBuilt,
		"the set beside is found again as far as it was built":                              (*viewsCase).besideResumed,
		"Swap gives readers the set beside in one step":                                     (*viewsCase).swapped,
		"Swap without a set that is open and as far as the views changes nothing":           (*viewsCase).swappedTooEarly,
		"Reset gives the set beside up":                                                     (*viewsCase).besideGivenUp,
		"Beside and Swap with a lower token change nothing":                                 (*viewsCase).besideFenced,
		"after Close nothing can be used, and closing twice is no error":                    (*viewsCase).closed,
	}
	registry, err := es.NewRegistry(account.Module(func(string) string { return "" }))
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			views := open(t, registry)
			t.Cleanup(func() {
				if err := views.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			run(&viewsCase{T: t, views: views, module: registry.Modules[0]})
		})
	}
}

// viewsCase is the views under test; at is their checkpoint, token that of their writer.
type viewsCase struct {
	*testing.T
	views  ports.Views
	module *es.Module
	at     es.Position
	token  ports.Token
}

// document is what an account shows at a version.
func (c *viewsCase) document(id string, version es.Version, a account.Account) es.Document {
	created := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	return c.module.Document(&es.Folded{
		Stream: c.module.Stream(id), Version: version, Position: es.Position(version), State: a,
		CreatedAt: created, UpdatedAt: created.Add(time.Duration(version) * time.Second),
	})
}

// holding is the document of an open account with a balance.
func (c *viewsCase) holding(id string, version es.Version, balance int64) es.Document {
	return c.document(id, version, account.Account{Owner: "Ann Lee", Currency: "EUR", Status: account.Open, Balance: balance})
}

// must ends the case if an earlier call failed.
func (c *viewsCase) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// write writes the documents as the next position.
func (c *viewsCase) write(documents ...es.Document) {
	c.Helper()
	c.must(c.views.Write(c.Context(), c.token, c.changes(documents...), c.at, c.at+1, hashAt(c.at+1)))
	c.at++
}

func (c *viewsCase) changes(documents ...es.Document) (changes []ports.Change) {
	for _, d := range documents {
		changes = append(changes, ports.Change{View: c.module.Name, Document: d})
	}
	return changes
}

func (c *viewsCase) open() {
	c.Helper()
	c.must(c.views.Open(c.Context(), c.token))
}

// shows checks what Get and List give: exactly these documents, which are in the order of their ids.
func (c *viewsCase) shows(documents ...es.Document) {
	c.Helper()
	page, err := c.views.List(c.Context(), c.module.Name, ports.Query{Limit: 1000})
	c.must(err)
	c.same(page.Documents, documents)
	if page.More || page.At != c.at {
		c.Errorf("the page is read at %d, want %d; more: %t", page.At, c.at, page.More)
	}
	for _, want := range documents {
		got, at, err := c.views.Get(c.Context(), c.module.Name, want.ID)
		c.must(err)
		c.same([]es.Document{got}, []es.Document{want})
		if at != c.at {
			c.Errorf("%s is read at %d, want %d", want.ID, at, c.at)
		}
	}
	c.progress(ports.Progress{Checkpoint: c.at, Open: true})
}

// hashAt stands for the hash of the event at a position.
func hashAt(p es.Position) (h es.Hash) {
	binary.BigEndian.PutUint64(h[:], uint64(p))
	return h
}

// progress checks the progress, with the hash that came with the checkpoint.
func (c *viewsCase) progress(want ports.Progress) {
	c.Helper()
	want.Hash = hashAt(want.Checkpoint)
	if got, err := c.views.Progress(c.Context()); err != nil || got != want {
		c.Errorf("the progress is %+v, %v, want %+v", got, err, want)
	}
}

func (c *viewsCase) same(got, want []es.Document) {
	c.Helper()
	if !slices.EqualFunc(got, want, sameDocument) {
		c.Fatalf("got\n%s\nwant\n%s", describe(got), describe(want))
	}
}

func sameDocument(a, b es.Document) bool {
	return a.ID == b.ID && a.Version == b.Version && a.Parked == b.Parked && slices.Equal(a.Values, b.Values) && slices.Equal(a.Readers, b.Readers)
}

func describe(documents []es.Document) string {
	var b strings.Builder
	for _, d := range documents {
		b.WriteString("  " + d.ID)
		for _, v := range d.Values {
			b.WriteString(" " + v.Str)
			b.Write(time.UnixMicro(v.Int).UTC().AppendFormat(nil, " 05.000000"))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// isClosed checks that readers are kept out.
func (c *viewsCase) isClosed() {
	c.Helper()
	if _, _, err := c.views.Get(c.Context(), c.module.Name, "a"); !errors.Is(err, ports.ErrViewRebuilding) {
		c.Errorf("Get: %v", err)
	}
	if _, err := c.views.List(c.Context(), c.module.Name, ports.Query{Limit: 1}); !errors.Is(err, ports.ErrViewRebuilding) {
		c.Errorf("List: %v", err)
	}
	c.progress(ports.Progress{Checkpoint: c.at})
}

func (c *viewsCase) neverOpened() {
	c.isClosed()
	c.write(c.holding("a", 1, 10))
	c.isClosed()
}

func (c *viewsCase) filledWhileClosed() {
	c.must(c.views.Reset(c.Context(), c.token))
	c.write(c.holding("b", 1, 10), c.holding("a", 1, 20))
	c.write(c.holding("b", 2, 5), c.holding("c", 1, 0))
	c.open()
	c.shows(c.holding("a", 1, 20), c.holding("b", 2, 5), c.holding("c", 1, 0))
	c.open()
	c.shows(c.holding("a", 1, 20), c.holding("b", 2, 5), c.holding("c", 1, 0))
}

func (c *viewsCase) reset() {
	c.open()
	c.write(c.holding("a", 7, 10), es.Document{ID: "p", Version: 3, Parked: "broken"})
	c.must(c.views.Reset(c.Context(), c.token))
	c.at = 0
	c.isClosed()
	if parked, n, err := c.views.Parked(c.Context(), 10); err != nil || n != 0 || len(parked) != 0 {
		c.Errorf("parked are %v, %d, %v", parked, n, err)
	}
	c.write(c.holding("a", 2, 4), c.holding("p", 1, 1))
	c.open()
	c.shows(c.holding("a", 2, 4), c.holding("p", 1, 1))
}

func (c *viewsCase) written() {
	c.open()
	c.shows()
	c.write(c.holding("b", 1, 10), c.holding("a", 1, 20))
	c.shows(c.holding("a", 1, 20), c.holding("b", 1, 10))
	frozen := c.document("b", 2, account.Account{Owner: "Zoë Ångström", Currency: "JPY", Status: account.Frozen, Balance: -es.MaxAmount, OverdraftLimit: es.MaxAmount})
	c.write(frozen, c.holding("c", 4, es.MaxAmount))
	c.shows(c.holding("a", 1, 20), frozen, c.holding("c", 4, es.MaxAmount))
}

func (c *viewsCase) writeOfNothing() {
	c.open()
	c.write(c.holding("a", 1, 20))
	c.must(c.views.Write(c.Context(), c.token, nil, c.at, c.at+900, hashAt(c.at+900)))
	c.at += 900
	c.shows(c.holding("a", 1, 20))
}

func (c *viewsCase) checkpointMoved() {
	c.open()
	c.write(c.holding("a", 1, 20))
	c.write(c.holding("a", 2, 30))
	for _, from := range []es.Position{0, 1, 3} {
		err := c.views.Write(c.Context(), c.token, c.changes(c.holding("a", 3, 40), c.holding("b", 1, 1)), from, from+1, hashAt(from+1))
		if !errors.Is(err, ports.ErrCheckpointMoved) {
			c.Errorf("from %d: %v", from, err)
		}
	}
	c.shows(c.holding("a", 2, 30))
}

func (c *viewsCase) concurrentWriters() {
	c.open()
	for range 10 {
		var writing sync.WaitGroup
		var won atomic.Int32
		for i := range 4 {
			writing.Go(func() {
				err := c.views.Write(c.Context(), c.token, c.changes(c.holding("a", es.Version(c.at+1), int64(i))), c.at, c.at+1, hashAt(c.at+1))
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, ports.ErrCheckpointMoved):
					c.Errorf("Write: %v", err)
				}
			})
		}
		writing.Wait()
		if won.Load() != 1 {
			c.Fatalf("%d writers succeeded", won.Load())
		}
		c.at++
	}
	c.progress(ports.Progress{Checkpoint: c.at, Open: true})
}

func (c *viewsCase) fenced() {
	c.token = 7
	c.must(c.views.Reset(c.Context(), c.token))
	c.write(c.holding("a", 1, 10))
	c.open()
	c.shows(c.holding("a", 1, 10))
	for what, err := range map[string]error{
		"Write": c.views.Write(c.Context(), 6, c.changes(c.holding("a", 2, 20)), c.at, c.at+1, hashAt(c.at+1)),
		"Reset": c.views.Reset(c.Context(), 6),
		"Open":  c.views.Open(c.Context(), 6),
	} {
		if !errors.Is(err, ports.ErrCheckpointMoved) {
			c.Errorf("%s with a lower token: %v", what, err)
		}
	}
	c.shows(c.holding("a", 1, 10))
	c.token = 8
	c.write(c.holding("a", 2, 20)) // a higher one takes over, and
	if err := c.views.Write(c.Context(), 7, nil, c.at, c.at+1, hashAt(c.at+1)); !errors.Is(err, ports.ErrCheckpointMoved) {
		c.Errorf("Write of the one before: %v", err)
	}
	c.shows(c.holding("a", 2, 20))
}

func (c *viewsCase) versions() {
	c.open()
	c.write(c.holding("a", 3, 30), c.holding("b", 3, 30))
	c.write(c.holding("a", 2, 20), es.Document{ID: "b", Version: 2, Parked: "late"})
	c.shows(c.holding("a", 3, 30), c.holding("b", 3, 30))
	c.write(c.holding("a", 3, 31))
	c.shows(c.holding("a", 3, 31), c.holding("b", 3, 30))
	c.write(c.holding("a", 5, 50), c.holding("a", 4, 40), c.holding("b", 4, 40), c.holding("b", 5, 50))
	c.shows(c.holding("a", 5, 50), c.holding("b", 5, 50))
}

func (c *viewsCase) noDocument() {
	c.open()
	c.write(c.holding("a", 1, 1))
	for _, id := range []string{"", "A", "aa", "b"} {
		if _, _, err := c.views.Get(c.Context(), c.module.Name, id); !errors.Is(err, ports.ErrNoDocument) {
			c.Errorf("%q: %v", id, err)
		}
	}
}

func (c *viewsCase) endedContext() {
	c.open()
	ctx, cancel := context.WithCancel(c.Context())
	cancel()
	_, errProgress := c.views.Progress(ctx)
	_, _, errGet := c.views.Get(ctx, c.module.Name, "a")
	_, errList := c.views.List(ctx, c.module.Name, ports.Query{Limit: 1})
	_, _, errParked := c.views.Parked(ctx, 1)
	errWrite := c.views.Write(ctx, c.token, c.changes(c.holding("a", 1, 1)), c.at, c.at+1, hashAt(c.at+1))
	for i, err := range []error{errProgress, errGet, errList, errParked, errWrite, c.views.Reset(ctx, c.token), c.views.Open(ctx, c.token)} {
		if !errors.Is(err, context.Canceled) {
			c.Errorf("call %d: %v", i, err)
		}
	}
	c.shows()
}

func (c *viewsCase) closed() {
	c.open()
	for range 2 {
		c.must(c.views.Close())
	}
	_, errProgress := c.views.Progress(c.Context())
	_, _, errGet := c.views.Get(c.Context(), c.module.Name, "a")
	_, errList := c.views.List(c.Context(), c.module.Name, ports.Query{Limit: 1})
	_, _, errParked := c.views.Parked(c.Context(), 1)
	errWrite := c.views.Write(c.Context(), c.token, nil, 0, 1, hashAt(1))
	for i, err := range []error{errProgress, errGet, errList, errParked, errWrite, c.views.Reset(c.Context(), c.token), c.views.Open(c.Context(), c.token)} {
		if fault.KindOf(err) != fault.Unavailable {
			c.Errorf("call %d: %v", i, err)
		}
	}
}
