package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

func (c *viewsCase) parked() {
	c.open()
	c.write(c.holding("a", 1, 10), c.holding("b", 1, 20), c.holding("c", 1, 30))
	b := c.holding("b", 1, 20)
	b.Parked = "event evt-17 has no such schema"
	c.write(b)
	_, at, err := c.views.Get(c.Context(), c.module.Name, "b")
	if !errors.Is(err, ports.ErrViewParked) || !strings.Contains(err.Error(), b.Parked) {
		c.Errorf("Get: %v", err)
	}
	if at != c.at {
		c.Errorf("it was read at %d, want %d", at, c.at)
	}
	c.shows(c.holding("a", 1, 10), c.holding("c", 1, 30))
	c.areParked(ports.ParkedDocument{View: c.module.Name, ID: "b", Reason: b.Parked})
}

func (c *viewsCase) areParked(want ...ports.ParkedDocument) {
	c.Helper()
	got, n, err := c.views.Parked(c.Context(), 100)
	c.must(err)
	slices.SortFunc(got, func(a, b ports.ParkedDocument) int { return strings.Compare(a.ID, b.ID) })
	if n != len(want) || !slices.Equal(got, want) {
		c.Errorf("parked are %d, %v, want %v", n, got, want)
	}
}

func (c *viewsCase) unparked() {
	park := func(version es.Version, why string) es.Document {
		d := c.holding("a", version, 10)
		d.Parked = why
		return d
	}
	c.write(park(1, "first"), park(1, "second"))
	c.open()
	c.areParked(ports.ParkedDocument{View: c.module.Name, ID: "a", Reason: "second"})
	c.write(c.holding("a", 1, 10))
	c.shows(c.holding("a", 1, 10))
	c.areParked()
	c.write(park(2, "again"))
	c.shows()
	c.write(c.holding("a", 4, 40))
	c.shows(c.holding("a", 4, 40))
	c.areParked()
}

func (c *viewsCase) parkedWithoutValues() {
	c.write(es.Document{ID: "b", Parked: "unreadable"})
	c.open()
	c.write(es.Document{ID: "a", Parked: "unreadable"})
	c.shows()
	c.areParked(ports.ParkedDocument{View: c.module.Name, ID: "a", Reason: "unreadable"},
		ports.ParkedDocument{View: c.module.Name, ID: "b", Reason: "unreadable"})
	c.write(c.holding("a", 1, 1), c.holding("b", 1, 2))
	c.shows(c.holding("a", 1, 1), c.holding("b", 1, 2))
}

func (c *viewsCase) parkedLimit() {
	for i := range 20 {
		c.write(es.Document{ID: fmt.Sprintf("p%02d", i), Parked: "unreadable"}, c.holding(fmt.Sprintf("a%02d", i), 1, 1))
	}
	for limit, want := range map[int]int{0: 0, 7: 7, 20: 20, 1000: 20} {
		if got, n, err := c.views.Parked(c.Context(), limit); err != nil || len(got) != want || n != 20 {
			c.Errorf("limit %d gives %d of %d, %v", limit, len(got), n, err)
		}
	}
}

// wholeWrites brings many accounts to the same version in one Write, again and again, while readers look at all of them.
func (c *viewsCase) wholeWrites() {
	write := func(version es.Version) {
		documents := make([]es.Document, 200)
		for i := range documents {
			documents[i] = c.holding(fmt.Sprintf("a%03d", i), version, int64(version)*int64(i%7-3))
		}
		c.write(documents...)
	}
	c.open()
	write(1)
	ctx, stop := context.WithCancel(c.Context())
	var reading sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			q := ports.Query{Sort: c.module.View.Field("balance"), Limit: 1000}
			for ctx.Err() == nil {
				page, err := c.views.List(c.Context(), c.module.Name, q)
				if err != nil || len(page.Documents) != 200 {
					c.Errorf("List gives %d documents, %v", len(page.Documents), err)
					return
				}
				version := page.Documents[0].Version
				for _, d := range page.Documents {
					if d.Version != version || es.Position(version) < page.At {
						c.Errorf("at %d, %s is at version %d and %s at %d", page.At, page.Documents[0].ID, version, d.ID, d.Version)
						return
					}
				}
			}
		})
	}
	for version := es.Version(2); version <= 60; version++ {
		write(version)
	}
	stop()
	reading.Wait()
}

func (c *viewsCase) forReader() {
	of := func(id string, version es.Version, owner string, holders ...string) es.Document {
		return c.document(id, version, account.Account{Owner: owner, Holders: holders, Currency: "EUR", Status: account.Open})
	}
	finds := func(reader string, ids ...string) {
		c.Helper()
		page, err := c.views.List(c.Context(), c.module.Name, ports.Query{Reader: reader, Limit: 10})
		c.must(err)
		var got []string
		for _, d := range page.Documents {
			got = append(got, d.ID)
		}
		if !slices.Equal(got, ids) {
			c.Errorf("%q finds %v, want %v", reader, got, ids)
		}
	}
	c.write(of("a", 1, "Ann"), of("b", 1, "Bob", "Ann", "Eve"))
	c.open()
	c.write(of("c", 1, "Eve"), of("d", 1, "Ann", "Bob"))
	finds("Ann", "a", "b", "d")
	finds("Bob", "b", "d")
	finds("ann")
	finds("An")
	c.write(of("b", 2, "Bob", "Eve"), of("a", 1, "Ann"))
	finds("Ann", "a", "d")
	finds("Eve", "b", "c")
	parked := of("d", 2, "Ann")
	parked.Parked = "unreadable"
	c.write(parked)
	finds("Ann", "a")
	finds("Bob", "b")
	finds("", "a", "b", "c")
}

func (c *viewsCase) writesBetweenPages() {
	c.open()
	for i := range 30 {
		c.write(c.holding(fmt.Sprintf("a%02d", i), 1, int64(i)))
	}
	seen := map[string]bool{}
	q := ports.Query{Limit: 4}
	for version := es.Version(2); ; version++ {
		page, err := c.views.List(c.Context(), c.module.Name, q)
		c.must(err)
		for _, d := range page.Documents {
			if seen[d.ID] {
				c.Errorf("%s is repeated", d.ID)
			}
			seen[d.ID] = true
		}
		if !page.More {
			break
		}
		last := page.Documents[len(page.Documents)-1]
		q.After = &ports.Cursor{Key: last.Values[q.Sort], ID: last.ID}
		parked := c.holding(last.ID, version, 0)
		parked.Parked = "so that the cursor's own document is gone"
		c.write(parked, c.holding("a00", version, 5), c.holding("a00-"+last.ID, version, 5))
	}
	if len(seen) != 30 {
		c.Errorf("%d documents were seen, want 30", len(seen))
	}
}

func (c *viewsCase) agreesWithModel() {
	rapid.Check(c.T, func(t *rapid.T) {
		c.must(c.views.Reset(c.Context(), c.token))
		c.at = 0
		model := map[string]es.Document{}
		write := func(label string) {
			documents := rapid.SliceOfN(rapid.Custom(c.drawDocument), 0, 25).Draw(t, label)
			for _, d := range documents {
				if d.Version >= model[d.ID].Version {
					model[d.ID] = d
				}
			}
			c.write(documents...)
		}
		write("while closed")
		c.open()
		write("while open")
		for range 8 {
			c.agrees(t, model, c.drawQuery(t, model))
		}
		write("later")
		for range 4 {
			c.agrees(t, model, c.drawQuery(t, model))
		}
	})
}

// agrees walks all pages of a query and compares each with the model.
func (c *viewsCase) agrees(t *rapid.T, model map[string]es.Document, q ports.Query) {
	want := c.expected(model, q)
	for {
		page, err := c.views.List(c.Context(), c.module.Name, q)
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		n := min(q.Limit, len(want))
		if !slices.EqualFunc(page.Documents, want[:n], sameDocument) || page.More != (len(want) > n) || page.At != c.at {
			t.Fatalf("the query %+v gives, more: %t, at %d of %d\n%swant\n%s", q, page.More, page.At, c.at, describe(page.Documents), describe(want[:n]))
		}
		if want = want[n:]; len(want) == 0 {
			return
		}
		last := page.Documents[n-1]
		q.After = &ports.Cursor{Key: last.Values[q.Sort], ID: last.ID}
	}
}

// expected is what a query must give, found the plain way.
func (c *viewsCase) expected(model map[string]es.Document, q ports.Query) (documents []es.Document) {
	compare := func(key es.Value, id string, d es.Document) int {
		order := cmp.Or(key.Compare(d.Values[q.Sort]), strings.Compare(id, d.ID))
		if q.Desc {
			return -order
		}
		return order
	}
	for _, d := range model {
		if d.Parked == "" && c.matches(d, q) && (q.After == nil || compare(q.After.Key, q.After.ID, d) < 0) {
			documents = append(documents, d)
		}
	}
	slices.SortFunc(documents, func(a, b es.Document) int { return compare(a.Values[q.Sort], a.ID, b) })
	return documents
}

func (c *viewsCase) matches(d es.Document, q ports.Query) bool {
	if q.Reader != "" && !slices.Contains(d.Readers, q.Reader) {
		return false
	}
	for _, f := range q.Filters {
		v := d.Values[f.Field]
		if f.Min != nil && v.Compare(*f.Min) < 0 || f.Max != nil && v.Compare(*f.Max) > 0 {
			return false
		}
	}
	var words []string
	for i, field := range c.module.View.Fields {
		if field.Search {
			words = append(words, es.Words(d.Values[i].Str)...)
		}
	}
	for _, w := range q.Words {
		if !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, w) }) {
			return false
		}
	}
	return true
}

// drawDocument draws from few values, so that ties, updates and matches are common.
func (c *viewsCase) drawDocument(t *rapid.T) es.Document {
	id := rapid.StringMatching(`(acc-0|acc-1|b|B)[0-3]?`).Draw(t, "id")
	version := es.Version(rapid.IntRange(1, 3).Draw(t, "version"))
	created := time.Date(2026, 1, 1, 0, 0, rapid.IntRange(-2, 2).Draw(t, "created"), 0, time.UTC)
	d := c.module.Document(&es.Folded{
		Stream: c.module.Stream(id), Version: version, Position: 1, CreatedAt: created, UpdatedAt: created,
		State: account.Account{
			Owner:    rapid.SampledFrom([]string{"Ann Lee", "ann-marie LEE", "Åsa Öberg", "ÅSA", "b2b 0", "Straße 7", "日本 銀行", "..."}).Draw(t, "owner"),
			Currency: rapid.SampledFrom([]string{"EUR", "JPY"}).Draw(t, "currency"),
			Status:   rapid.SampledFrom([]string{account.Open, account.Frozen, account.Closed}).Draw(t, "status"),
			Balance:  rapid.OneOf(rapid.Int64Range(-2, 2), rapid.SampledFrom([]int64{-es.MaxAmount, es.MaxAmount})).Draw(t, "balance"),
			Holders:  rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"Åsa Öberg", "eve", "\"x\" & y"}), 0, 3, rapid.ID).Draw(t, "holders"),
		},
	})
	if rapid.IntRange(0, 9).Draw(t, "parked") == 0 {
		d.Parked = "unreadable"
		if rapid.Bool().Draw(t, "without values") {
			d.Values, d.Readers = nil, nil
		}
	}
	return d
}

// drawQuery asks by values that some document has, or by none.
func (c *viewsCase) drawQuery(t *rapid.T, model map[string]es.Document) ports.Query {
	fields := c.module.View.Fields
	var sorted []int
	for i := range fields {
		if fields[i].Sorted {
			sorted = append(sorted, i)
		}
	}
	some := func() es.Document { return c.holding("none", 9, 1) }
	if ids := slices.Sorted(maps.Keys(model)); len(ids) > 0 {
		some = func() es.Document {
			if d := model[rapid.SampledFrom(ids).Draw(t, "of")]; d.Values != nil {
				return d
			}
			return c.holding("none", 9, 1)
		}
	}
	q := ports.Query{
		Sort:  rapid.SampledFrom(sorted).Draw(t, "sort"),
		Desc:  rapid.Bool().Draw(t, "descending"),
		Limit: rapid.IntRange(1, 8).Draw(t, "limit"),
	}
	if rapid.IntRange(0, 2).Draw(t, "for a reader") == 0 {
		q.Reader = rapid.SampledFrom([]string{"Ann Lee", "Åsa Öberg", "eve", "\"x\" & y", "e", "nobody"}).Draw(t, "reader")
	}
	for i := range fields {
		if fields[i].Lookup == es.NoLookup || rapid.IntRange(0, 3).Draw(t, "filter by "+fields[i].Name) != 0 {
			continue
		}
		low, high := some().Values[i], some().Values[i]
		f := ports.Filter{Field: i, Min: &low, Max: &low}
		if fields[i].Lookup == es.Between {
			f = rapid.SampledFrom([]ports.Filter{{Field: i, Min: &low}, {Field: i, Max: &high}, {Field: i, Min: &low, Max: &high}}).Draw(t, "range")
		}
		q.Filters = append(q.Filters, f)
	}
	for range rapid.IntRange(0, 2).Draw(t, "words") {
		d := some()
		words := append(es.Words(d.Values[0].Str+" "+d.Values[1].Str), "x")
		w := []rune(rapid.SampledFrom(words).Draw(t, "word"))
		q.Words = append(q.Words, string(w[:rapid.IntRange(1, len(w)).Draw(t, "prefix")]))
	}
	if rapid.IntRange(0, 3).Draw(t, "from a cursor") == 0 {
		q.After = &ports.Cursor{Key: some().Values[q.Sort], ID: some().ID}
	}
	return q
}
