package importer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Counts says what became of the rows of a run so far.
type Counts struct {
	Rows         int `json:"rows"`         // read
	Accounts     int `json:"accounts"`     // among the rows that could be read
	Created      int `json:"created"`      // accounts that this run created
	Posted       int `json:"posted"`       // rows written by this run
	AlreadyThere int `json:"alreadyThere"` // rows whose command was done before
	Skipped      int `json:"skipped"`      // rows without an amount, and those the mapping says to skip
	Rejected     int `json:"rejected"`     // rows in the rejects file
	RepeatedIDs  int `json:"repeatedIds"`  // of those already there: rows whose id was first used while this run went on
}

// Answer is what the server said to one line.
type Answer struct {
	Status   int
	Replayed bool   // the command was done before, and this is the first answer again
	Resent   bool   // the line was sent more than once, so that a replay may be of this run's own doing
	Position uint64 // of the last event written, in an answer of success
	Code     string // of the problem, in a refusal
	Reason   string // in a refusal
}

// Line is one command on its way to the server.
type Line struct {
	JSON []byte

	id       string // of the row's first command, before any retry
	account  string
	row      []string // as read, for the rejects file; nil for the line that creates an account
	number   int
	refusals int
}

// Run is one import. One goroutine calls Next, another Answered with every line that Next gave, in the same order; Counts may be
// called from anywhere.
type Run struct {
	rows    *Reader
	plan    *Plan // nil: the rows are envelopes
	rejects *Rejects
	retried *Retried

	held  *Row   // to be looked at again before the next row is read; Next alone touches it
	queue []Line // given before the next row is read; Next alone touches it

	mu       sync.Mutex
	accounts map[string]*account // every account met; the only thing that grows with the file
	counts   Counts
	created  bool          // some create was accepted, so that the mapping's values for new accounts are sound
	settled  chan struct{} // told when a create was answered
	first    uint64        // position of the first event that this run wrote
	finished bool
}

// account is what a run knows of one account.
type account struct {
	refused string // why it could not be created
	settled bool   // its create was answered
}

// NewRun begins an import of rows, which plan turns into commands; without a plan the rows are envelopes.
func NewRun(rows *Reader, plan *Plan, rejects *Rejects, retried *Retried) *Run {
	return &Run{
		rows: rows, plan: plan, rejects: rejects, retried: retried,
		accounts: map[string]*account{}, settled: make(chan struct{}, 1),
	}
}

// Counts gives what became of the rows so far.
func (r *Run) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts
	c.Accounts = len(r.accounts)
	return c
}

// Next gives the next line to send, io.EOF at the end, or the error that the file broke off with. Rows that cannot be used
// and rows to be skipped are counted and passed over.
func (r *Run) Next(ctx context.Context) (Line, error) {
	for len(r.queue) == 0 {
		if err := ctx.Err(); err != nil {
			return Line{}, err
		}
		row, err := r.read()
		var bad *Unreadable
		switch {
		case errors.As(err, &bad):
			r.reject([]string{bad.Text}, bad.Line, bad.Reason, 0)
		case err != nil:
			return Line{}, err
		case r.plan == nil:
			r.envelope(row)
		default:
			if err := r.mapped(ctx, row); err != nil {
				return Line{}, err
			}
		}
	}
	line := r.queue[0]
	r.queue = r.queue[1:]
	return line, nil
}

func (r *Run) read() (Row, error) {
	if r.held != nil {
		row := *r.held
		r.held = nil
		return row, nil
	}
	return r.rows.Read()
}

// mapped queues one row, or the create of its account if this run has not met it; then the row is held. Until one create was
// accepted each is waited for, so that a mapping whose currency is wrong, say, spends no row's id.
func (r *Run) mapped(ctx context.Context, row Row) error {
	e, err := r.plan.Entry(row.Fields)
	if err != nil {
		r.reject(row.Fields, row.Line, err.Error(), row.Refusals)
		return nil
	}
	creates := r.plan.mapping.Create != nil
	r.mu.Lock()
	acc, known := r.accounts[e.Account]
	if !known {
		acc = &account{settled: !creates}
		r.accounts[e.Account] = acc
	}
	wait, refused := !acc.settled && !r.created, acc.refused
	r.mu.Unlock()

	switch {
	case !known && creates:
		r.queue = append(r.queue, Line{JSON: r.plan.appendCreate(nil, e.Account, row.Fields, row.Refusals), account: e.Account})
		r.held = &row
	case wait:
		r.held = &row
		select {
		case <-r.settled:
		case <-ctx.Done():
			return ctx.Err()
		}
	case e.Amount == 0:
		r.count(func(c *Counts) { c.Rows++; c.Skipped++ })
	case refused != "":
		r.reject(row.Fields, row.Line, refused, row.Refusals)
	default:
		r.send(r.plan.mapping.commandID(e.ID, 0), e.Account, row, func() []byte { return r.plan.appendEntry(nil, &e, row.Refusals) })
	}
	return nil
}

// send queues the command of a row, unless an earlier run posted it under a later id.
func (r *Run) send(id, account string, row Row, command func() []byte) {
	if r.retried.has(id) && row.Refusals == 0 {
		r.count(func(c *Counts) { c.Rows++; c.AlreadyThere++ })
		return
	}
	r.count(func(c *Counts) { c.Rows++ })
	r.queue = append(r.queue, Line{
		JSON: command(), id: id, account: account,
		row: append([]string(nil), row.Fields...), number: row.Line, refusals: row.Refusals,
	})
}

// envelope queues a row that is an envelope already. Only its id is looked at; the server judges the rest.
func (r *Run) envelope(row Row) {
	var e struct {
		ID      string         `json:"id"`
		Account string         `json:"account"`
		Rest    jsontext.Value `json:",embed"`
	}
	err := json.Unmarshal([]byte(row.Fields[0]), &e)
	if err == nil && e.ID == "" {
		err = errors.New("it has no id, by which it would be done once only")
	}
	if err != nil {
		r.reject(row.Fields, row.Line, "is not an envelope: "+err.Error(), row.Refusals)
		return
	}
	r.mu.Lock()
	if r.accounts[e.Account] == nil {
		r.accounts[e.Account] = &account{settled: true}
	}
	r.mu.Unlock()
	r.send(e.ID, e.Account, row, func() []byte {
		text := []byte(row.Fields[0])
		if row.Refusals > 0 {
			e.ID = retried(e.ID, row.Refusals)
			text, _ = json.Marshal(&e) // what was read can be written
		}
		return text
	})
}

// Answered takes the server's answer to a line.
func (r *Run) Answered(l Line, a Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	success := a.Status < 300
	if success && !a.Replayed && r.first == 0 {
		r.first = a.Position
	}
	ownReplay := a.Replayed && r.first > 0 && a.Position >= r.first
	switch {
	case l.row == nil:
		r.createAnswered(l, a, success)
	case success:
		if !a.Replayed || ownReplay && a.Resent {
			r.counts.Posted++
		} else {
			r.counts.AlreadyThere++
			if ownReplay {
				r.counts.RepeatedIDs++
			}
		}
		if l.refusals > 0 {
			r.retried.add(l.id)
		}
	default:
		r.counts.Rejected++
		reason := a.Reason
		if acc := r.accounts[l.account]; acc != nil && acc.refused != "" {
			reason = acc.refused
		}
		if kept(a.Status) {
			l.refusals++
		}
		r.rejects.Add(l.row, l.number, reason, l.refusals)
	}
}

// createAnswered settles an account. That it exists already, or was created under the same id with other values, is as good
// as creating it: then its rows say whether it takes them.
func (r *Run) createAnswered(l Line, a Answer, success bool) {
	acc := r.accounts[l.account]
	acc.settled = true
	switch {
	case success:
		r.created = true
		if !a.Replayed {
			r.counts.Created++
		}
	case a.Code != "account_exists" && a.Code != "idempotency_key_mismatch":
		acc.refused = fmt.Sprintf("its account could not be created: %s", a.Reason)
	}
	select {
	case r.settled <- struct{}{}:
	default:
	}
}

// kept reports whether the server keeps a refusal of this status under the command's id, so that only a new id is decided
// anew.
func kept(status int) bool { return status == 404 || status == 409 || status == 422 }

// reject writes a row that is not sent.
func (r *Run) reject(fields []string, line int, reason string, refusals int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return
	}
	r.counts.Rows++
	r.counts.Rejected++
	r.rejects.Add(fields, line, reason, refusals)
}

func (r *Run) count(change func(*Counts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.counts)
}

// Finish writes what is buffered and gives the first error of writing. Rows that Next still reads afterwards, after a run that
// failed, are not counted.
func (r *Run) Finish() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = true
	return errors.Join(r.rejects.Flush(), r.retried.Err())
}
