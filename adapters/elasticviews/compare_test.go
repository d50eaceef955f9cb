package elasticviews_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"daybook/adapters/memviews"
	"daybook/core/account"
	"daybook/core/es"
	"daybook/core/ports"
)

// pair is the views under test and those in memory, which must answer alike.
type pair struct {
	*testing.T
	elastic, memory ports.Views
	view            *es.View
	documents       []es.Document // all that are listed, by id; where queries take their values from
	random          *rand.Rand
}

// same compares Get, List and Parked.
func (p *pair) same(queries int) {
	p.Helper()
	page, err := p.memory.List(p.Context(), accounts, ports.Query{Limit: 1 << 30})
	must(p, err)
	p.documents = page.Documents
	p.walks(ports.Query{Limit: 1000})
	for i := 0; i < len(p.documents); i += max(1, len(p.documents)/100) {
		want, wantAt, err := p.memory.Get(p.Context(), accounts, p.documents[i].ID)
		must(p, err)
		got, at, err := p.elastic.Get(p.Context(), accounts, want.ID)
		must(p, err)
		if !sameDocument(got, want) || at != wantAt {
			p.Fatalf("Get gives\n%+v at %d, want\n%+v at %d", got, at, want, wantAt)
		}
	}
	for range queries {
		p.walks(p.query())
	}
	for _, limit := range []int{0, 10, 5000} {
		want, wantCount, err := p.memory.Parked(p.Context(), limit)
		must(p, err)
		got, count, err := p.elastic.Parked(p.Context(), limit)
		must(p, err)
		if !slices.Equal(got, want) || count != wantCount {
			p.Fatalf("%d are parked, the first %d are %v, want %d, %v", count, limit, got, wantCount, want)
		}
	}
}

func sameDocument(a, b es.Document) bool {
	return a.ID == b.ID && a.Version == b.Version && a.Parked == b.Parked && slices.Equal(a.Values, b.Values)
}

// walks compares the pages of a query, some of them if they are many.
func (p *pair) walks(q ports.Query) {
	p.Helper()
	for range 8 {
		want, err := p.memory.List(p.Context(), accounts, q)
		must(p, err)
		got, err := p.elastic.List(p.Context(), accounts, q)
		must(p, err)
		if !slices.EqualFunc(got.Documents, want.Documents, sameDocument) || got.More != want.More || got.At != want.At {
			p.Fatalf("the query %+v gives %d documents, more: %t, at %d\n%+v\nwant %d, more: %t, at %d\n%+v", q,
				len(got.Documents), got.More, got.At, got.Documents, len(want.Documents), want.More, want.At, want.Documents)
		}
		if !want.More {
			return
		}
		last := want.Documents[len(want.Documents)-1]
		q.After = &ports.Cursor{Key: last.Values[q.Sort], ID: last.ID}
	}
}

// query asks by values that some document has.
func (p *pair) query() ports.Query {
	some := func() *es.Document { return &p.documents[p.random.IntN(len(p.documents))] }
	fields := p.view.Fields
	q := ports.Query{Desc: p.random.IntN(2) == 0, Limit: 1 + p.random.IntN(200)}
	for q.Sort = p.random.IntN(len(fields)); !fields[q.Sort].Sorted; {
		q.Sort = p.random.IntN(len(fields))
	}
	for i := range fields {
		if fields[i].Lookup == es.NoLookup || p.random.IntN(3) > 0 {
			continue
		}
		low, high := some().Values[i], some().Values[i]
		if high.Compare(low) < 0 {
			low, high = high, low
		}
		f := ports.Filter{Field: i, Min: &low, Max: &low}
		if fields[i].Lookup == es.Between {
			f = []ports.Filter{{Field: i, Min: &low}, {Field: i, Max: &high}, {Field: i, Min: &low, Max: &high}}[p.random.IntN(3)]
		}
		q.Filters = append(q.Filters, f)
	}
	for range p.random.IntN(3) {
		d := some()
		words := es.Words(d.Values[0].Str + " " + d.Values[1].Str)
		w := []rune(words[p.random.IntN(len(words))])
		q.Words = append(q.Words, string(w[:1+p.random.IntN(len(w))]))
	}
	if p.random.IntN(3) == 0 {
		d := some()
		q.After = &ports.Cursor{Key: d.Values[q.Sort], ID: d.ID}
	}
	return q
}

// account makes a document from few names and many amounts.
func (p *pair) account(n int, version es.Version) es.Document {
	names := []string{"Ann", "ann-marie", "Zoë", "ÅNGSTRÖM", "Straße", "日本", "銀行", "O'Neil", "K\u212Aelvin", "b2b", "𝔘nicode", "\u2028", "😀", "Ǆabc"}
	name := func() string { return names[p.random.IntN(len(names))] }
	id := fmt.Sprintf("%s%d", []string{"acc-", "ACC_", "a.", "Z"}[n%4], n)
	created := time.Date(2026, 1, 1, 0, 0, n%50, n%7*1000, time.UTC)
	amounts := []int64{p.random.Int64N(2_000_000) - 1_000_000, p.random.Int64N(3) - 1, es.MaxAmount - p.random.Int64N(3), -es.MaxAmount + p.random.Int64N(3)}
	return es.Document{ID: id, Version: version, Values: p.view.Values(id, &es.Folded{
		Version: version, Position: es.Position(p.random.Int64N(es.MaxAmount)), CreatedAt: created, UpdatedAt: created.Add(time.Duration(version) * time.Microsecond),
		State: account.Account{
			Owner:    name() + " " + name() + [...]string{"", " & Söhne", "\"\\</script>"}[p.random.IntN(3)],
			Currency: [...]string{"EUR", "JPY", "CZK"}[p.random.IntN(3)], Status: [...]string{account.Open, account.Frozen, account.Closed}[p.random.IntN(3)],
			Balance: amounts[p.random.IntN(4)], OverdraftLimit: p.random.Int64N(es.MaxAmount),
		},
	})}
}

func TestAnswersEqualThoseOfTheViewsInMemoryOverAHistoryOfThousandsOfDocuments(t *testing.T) {
	t.Parallel()
	o := options(t, newRegistry(t))
	p := &pair{
		T: t, elastic: open(t, o), memory: memviews.New(o.Registry), view: &o.Registry.Module(accounts).View,
		random: rand.New(rand.NewPCG(1, 2)),
	}
	versions, at := make([]es.Version, 4000), es.Position(0)
	write := func(documents int) {
		var changes []ports.Change
		for range documents {
			n := p.random.IntN(len(versions))
			versions[n] += es.Version(p.random.IntN(3)) // some are written again at the same version
			d := p.account(n, versions[n])
			if p.random.IntN(20) == 0 {
				d.Parked = cmp.Or([]string{"", "it says \"no\"\n"}[p.random.IntN(2)], "unreadable")
			}
			changes = append(changes, ports.Change{View: accounts, Document: d})
		}
		for _, v := range []ports.Views{p.memory, p.elastic} {
			must(t, v.Write(t.Context(), 1, changes, at, at+es.Position(documents), es.Hash{}))
		}
		at += es.Position(documents)
	}
	for range 3 {
		write(5000)
	}
	for _, v := range []ports.Views{p.memory, p.elastic} {
		must(t, v.Open(t.Context(), 1))
	}
	p.same(80)
	for _, documents := range []int{1, 10, 500, 3000} {
		write(documents)
		p.same(20)
	}
}
