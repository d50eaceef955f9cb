package importer

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// done is what an account waits for that needs no create.
var done = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// readAhead reads the file to its end or until the context ends. The create of an account goes out as soon as its first row is
// met.
func (r *Run) readAhead(ctx context.Context) {
	defer close(r.rows)
	for {
		row, err := r.Rows.Read()
		var bad *Unreadable
		switch {
		case errors.As(err, &bad):
			err = r.queue(ctx, unusable(Row{Line: bad.Line, Fields: []string{bad.Text}}, bad.Reason))
		case err == nil:
			row.Fields = append([]string(nil), row.Fields...)
			var p pending
			if p, err = r.parse(row); err != nil {
				p = unusable(row, err.Error())
			}
			err = r.queue(ctx, p)
		}
		if err != nil {
			r.end = err
			return
		}
	}
}

// unusable is a row that goes the way of all rows, so that the rejects file keeps their order.
func unusable(row Row, reason string) pending {
	return pending{Row: row, account: &account{settled: done}, problem: reason}
}

// parse reads a row by the mapping, or as an envelope.
func (r *Run) parse(row Row) (pending, error) {
	if r.Plan == nil {
		return r.envelope(row)
	}
	e, err := r.Plan.Entry(row.Fields)
	if err != nil {
		return pending{}, err
	}
	return pending{
		Row: row, account: &account{name: e.Account}, id: r.Plan.mapping.commandID(e.ID, 0), amount: e.Amount,
		command: func(refusals int) []byte { return r.Plan.appendEntry(nil, &e, refusals) },
	}, nil
}

// envelope reads a row that is an envelope already. Only its id is looked at; the server judges the rest.
func (r *Run) envelope(row Row) (pending, error) {
	var e struct {
		ID      string         `json:"id"`
		Account string         `json:"account"`
		Rest    jsontext.Value `json:",embed"`
	}
	if err := json.Unmarshal([]byte(row.Fields[0]), &e); err != nil {
		return pending{}, errors.New("is not an envelope: " + err.Error())
	}
	if e.ID == "" {
		return pending{}, errors.New("is not an envelope: it has no id, by which it would be done once only")
	}
	return pending{Row: row, account: &account{name: e.Account}, id: e.ID, command: func(refusals int) []byte {
		if refusals == 0 {
			return []byte(row.Fields[0])
		}
		e.ID = retried(e.ID, refusals)
		text, _ := json.Marshal(&e) // what was read can be written
		return text
	}}, nil
}

// queue sends the create of an account that is met for the first time, and then the row.
func (r *Run) queue(ctx context.Context, p pending) error {
	known := true
	if p.problem == "" {
		p.account, known = r.meet(p.account)
	}
	if plan, acc := r.Plan, p.account; !known && plan != nil && plan.mapping.Create != nil {
		acc.settled = make(chan struct{})
		create := Line{
			ID:   plan.mapping.commandID("create:"+acc.name, p.Refusals),
			JSON: plan.appendCreate(nil, acc.name, p.Fields, p.Refusals), creates: acc,
		}
		select {
		case r.creates <- create:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case r.rows <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// meet gives what is known of an account, and whether it was met before.
func (r *Run) meet(acc *account) (*account, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.accounts[acc.name]; old != nil {
		return old, true
	}
	acc.settled = done
	r.accounts[acc.name] = acc
	return acc, false
}
