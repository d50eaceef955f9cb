package importer

import (
	"bufio"
	"fmt"
	"io"
)

// Retried remembers which rows were posted under a later id, after their first command was refused. A server may forget a
// refusal after a day; without this memory a second run of the whole file would then post such a row once more.
// It is used by one run.
type Retried struct {
	ids    map[string]bool
	append func() (io.Writer, error)
	out    io.Writer
	err    error
}

// NewRetried reads the ids remembered so far, one a line, from r, which may be nil; append opens the place to add to, and is
// not asked before there is something to add.
func NewRetried(r io.Reader, appendTo func() (io.Writer, error)) (*Retried, error) {
	t := &Retried{ids: map[string]bool{}, append: appendTo}
	if r == nil {
		return t, nil
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		t.ids[lines.Text()] = true
	}
	return t, lines.Err()
}

func (t *Retried) has(id string) bool { return t.ids[id] }

// add remembers one more id. The map is not touched: Next reads it meanwhile, and the id is not asked for again in this run.
func (t *Retried) add(id string) {
	if t.ids[id] || t.err != nil {
		return
	}
	if t.out == nil {
		if t.out, t.err = t.append(); t.err != nil {
			return
		}
	}
	_, t.err = io.WriteString(t.out, id+"\n")
}

// Err is the first error of remembering.
func (t *Retried) Err() error {
	if t.err != nil {
		return fmt.Errorf("the list of retried rows cannot be written: %w", t.err)
	}
	return nil
}
