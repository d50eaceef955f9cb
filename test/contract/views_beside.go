package contract

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"daybook/core/es"
	"daybook/core/ports"
)

// beside gives the set beside.
func (c *viewsCase) beside() ports.ViewSet {
	c.Helper()
	b, err := c.views.Beside(c.Context(), c.token)
	c.must(err)
	return b
}

// into writes documents to a set, from one position to another.
func (c *viewsCase) into(b ports.ViewSet, from, to es.Position, documents ...es.Document) {
	c.Helper()
	c.must(b.Write(c.Context(), c.token, c.changes(documents...), from, to, hashAt(to)))
}

func (c *viewsCase) besideBuilt() {
	c.open()
	c.write(c.holding("a", 1, 10))
	b := c.beside()
	if p, err := b.Progress(c.Context()); err != nil || p != (ports.Progress{}) {
		c.Errorf("the set beside begins at %+v, %v", p, err)
	}
	if _, err := b.List(c.Context(), c.module.Name, ports.Query{Limit: 1}); !errors.Is(err, ports.ErrViewRebuilding) {
		c.Errorf("List of a set that is not open: %v", err)
	}
	c.into(b, 0, 7, c.holding("a", 3, 30), c.holding("b", 1, 1), es.Document{ID: "p", Version: 1, Parked: "broken"})
	c.must(b.Open(c.Context(), c.token))
	c.progress(ports.Progress{Checkpoint: c.at, Open: true, Beside: 7})
	d, at, err := b.Get(c.Context(), c.module.Name, "a")
	c.must(err)
	if c.same([]es.Document{d}, []es.Document{c.holding("a", 3, 30)}); at != 7 {
		c.Errorf("it is read at %d", at)
	}
	c.areParked()
	page, err := c.views.List(c.Context(), c.module.Name, ports.Query{Limit: 10})
	c.must(err)
	c.same(page.Documents, []es.Document{c.holding("a", 1, 10)})
	c.write(c.holding("c", 1, 5))
	page, err = b.List(c.Context(), c.module.Name, ports.Query{Limit: 10})
	c.must(err)
	c.same(page.Documents, []es.Document{c.holding("a", 3, 30), c.holding("b", 1, 1)})
}

func (c *viewsCase) besideResumed() {
	c.open()
	c.write(c.holding("a", 1, 10))
	c.into(c.beside(), 0, 1, c.holding("a", 1, 11))
	c.token++
	b := c.beside()
	if p, err := b.Progress(c.Context()); err != nil || p.Checkpoint != 1 || p.Open {
		c.Errorf("it is found at %+v, %v", p, err)
	}
	c.must(b.Reset(c.Context(), c.token))
	if p, err := b.Progress(c.Context()); err != nil || p.Checkpoint != 0 {
		c.Errorf("after its Reset it is at %+v, %v", p, err)
	}
	c.shows(c.holding("a", 1, 10))
}

func (c *viewsCase) swapped() {
	documents := func(version es.Version) (documents []es.Document) {
		for i := range 50 {
			documents = append(documents, c.holding(fmt.Sprintf("a%02d", i), version, int64(version)))
		}
		return documents
	}
	c.open()
	c.write(documents(1)...)
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	var reading sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			page, err := c.views.List(c.Context(), c.module.Name, ports.Query{Limit: 100})
			if err != nil || len(page.Documents) != 50 {
				c.Errorf("List gives %d documents, %v", len(page.Documents), err)
				return
			}
			if first, last := page.Documents[0], page.Documents[49]; first.Version != last.Version {
				c.Errorf("one list has the versions %d and %d", first.Version, last.Version)
				return
			}
		}
	})
	for version := es.Version(2); version < 6; version++ {
		b := c.beside()
		c.into(b, 0, c.at+1, documents(version)...)
		c.must(b.Open(c.Context(), c.token))
		c.must(c.views.Swap(c.Context(), c.token))
		c.at++
		if _, err := b.Progress(c.Context()); !errors.Is(err, ports.ErrViewUnavailable) {
			c.Errorf("what was beside before the Swap: %v", err)
		}
		c.shows(documents(version)...)
	}
	stop()
	reading.Wait()
	c.write(c.holding("b", 1, 1))
	c.shows(append(documents(5), c.holding("b", 1, 1))...)
}

func (c *viewsCase) swappedTooEarly() {
	c.open()
	c.write(c.holding("a", 1, 10))
	c.write(c.holding("a", 2, 20))
	refused := func(why string) {
		c.Helper()
		if err := c.views.Swap(c.Context(), c.token); !errors.Is(err, ports.ErrCheckpointMoved) {
			c.Errorf("%s: %v", why, err)
		}
	}
	refused("nothing is beside")
	b := c.beside()
	c.into(b, 0, 1, c.holding("a", 1, 10))
	c.must(b.Open(c.Context(), c.token))
	refused("what is beside is behind")
	c.must(b.Reset(c.Context(), c.token))
	c.into(b, 0, 2, c.holding("a", 2, 20))
	refused("what is beside is not open")
	c.progress(ports.Progress{Checkpoint: c.at, Open: true, Beside: 2})
	c.must(b.Open(c.Context(), c.token))
	c.must(c.views.Swap(c.Context(), c.token))
	refused("it was swapped before")
	c.shows(c.holding("a", 2, 20))
}

func (c *viewsCase) besideGivenUp() {
	c.open()
	b := c.beside()
	c.into(b, 0, 4, c.holding("b", 1, 10))
	c.must(c.views.Reset(c.Context(), c.token))
	c.progress(ports.Progress{})
	if err := b.Write(c.Context(), c.token, nil, 4, 5, hashAt(5)); !errors.Is(err, ports.ErrViewUnavailable) {
		c.Errorf("Write to it: %v", err)
	}
	if p, err := c.beside().Progress(c.Context()); err != nil || p.Checkpoint != 0 {
		c.Errorf("the next one begins at %+v, %v", p, err)
	}
}

func (c *viewsCase) besideFenced() {
	c.token = 7
	c.open()
	c.write(c.holding("a", 1, 10))
	c.token = 8
	b := c.beside()
	c.into(b, 0, 1, c.holding("a", 1, 11))
	c.must(b.Open(c.Context(), c.token))
	_, errBeside := c.views.Beside(c.Context(), 7)
	for what, err := range map[string]error{
		"Beside":          errBeside,
		"Swap":            c.views.Swap(c.Context(), 7),
		"Write":           c.views.Write(c.Context(), 7, nil, 1, 2, hashAt(2)),
		"Write beside":    b.Write(c.Context(), 7, nil, 1, 2, hashAt(2)),
		"Open of beside":  b.Open(c.Context(), 7),
		"Reset of beside": b.Reset(c.Context(), 7),
	} {
		if !errors.Is(err, ports.ErrCheckpointMoved) {
			c.Errorf("%s with a lower token: %v", what, err)
		}
	}
	page, err := c.views.List(c.Context(), c.module.Name, ports.Query{Limit: 10})
	c.must(err)
	c.same(page.Documents, []es.Document{c.holding("a", 1, 10)})
}
