package importer

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Counts says what became of the rows of a run so far.
type Counts struct {
	Rows         int `json:"rows"`         // looked at
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
	ID   string // of the command
	JSON []byte // the envelope

	creates *account // the account that the line creates; nil for a row's own line
	row     *pending // nil for the line that creates an account
}

// Options is what an import is made of.
type Options struct {
	Rows    *Reader
	Plan    *Plan // nil: the rows are envelopes
	Rejects *Rejects
	Retried *Retried
	// Currency asks for the currency of an account that is there already; "" when there is none after all. An error ends the run.
	Currency func(ctx context.Context, account string) (string, error)
}

// Run is one import. One goroutine calls Next, another Answered with every line that Next gave, in the same order; Counts may be
// called from anywhere.
type Run struct {
	Options
	begin   sync.Once
	creates chan Line    // of accounts met for the first time
	rows    chan pending // read ahead, so that the accounts are there when their rows are sent
	end     error        // what the file ended with; set before rows is closed
	head    *pending     // the row that is sent next; Next alone touches it

	mu       sync.Mutex
	accounts map[string]*account // every account met; the only thing that grows with the file
	counts   Counts
	first    uint64     // position of the first event that this run wrote
	last     *pending   // the row that was sent last
	waiting  []*pending // rows that others wait for, see pending.after
	finished bool
}

// lookahead is how many rows are read before they are sent, at the most.
const lookahead = 4096

// account is what a run knows of one account.
type account struct {
	name    string
	settled chan struct{} // closed when its create, if it needs one, was answered

	there   bool   // before settled: it was not this mapping's create that made it
	refused string // before settled, or when its first row is looked at: why its rows cannot be used
}

// pending is a row that is read and waits to be sent.
type pending struct {
	Row
	account *account
	id      string                    // of the row's first command, before any retry
	amount  int64                     // of a mapped row; zero: to be skipped
	command func(refusals int) []byte // its envelope
	problem string                    // why it cannot be used at all

	answered bool       // its line was
	after    []*pending // rejected while this row waited for its answer: they follow it into the rejects file
}

// NewRun begins an import.
func NewRun(o Options) *Run {
	return &Run{Options: o, creates: make(chan Line), rows: make(chan pending, lookahead), accounts: map[string]*account{}}
}

// Counts gives what became of the rows so far.
func (r *Run) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts
	c.Accounts = len(r.accounts)
	return c
}

// Next gives the next line to send, io.EOF at the end, or the error that the file broke off with. A row is given only after the
// create of its account was answered: a mapping whose currency is wrong, say, spends no row's id. Rows that cannot be used and
// rows to be skipped are counted and passed over. The file is read ahead until the context of the first call ends.
func (r *Run) Next(ctx context.Context) (Line, error) {
	r.begin.Do(func() { go r.readAhead(ctx) })
	for {
		var settled chan struct{}
		rows := r.rows
		if r.head != nil {
			settled, rows = r.head.account.settled, nil
		}
		select {
		case create := <-r.creates:
			return create, nil
		case row, ok := <-rows:
			if !ok {
				return Line{}, r.end
			}
			r.head = &row
		case <-settled:
			row := r.head
			r.head = nil
			if line, ok, err := r.line(ctx, row); ok || err != nil {
				return line, err
			}
		case <-ctx.Done():
			return Line{}, ctx.Err()
		}
	}
}

// line makes the line of a row whose account is settled, unless the row is not to be sent.
func (r *Run) line(ctx context.Context, row *pending) (line Line, ok bool, err error) {
	acc := row.account
	if row.problem != "" {
		r.reject(row, row.problem)
		return line, false, nil
	}
	if acc.there {
		acc.there = false
		if acc.refused, err = r.otherCurrency(ctx, row); err != nil {
			return line, false, err
		}
	}
	switch {
	case r.Plan != nil && row.amount == 0:
		r.count(func(c *Counts) { c.Skipped++ })
	case acc.refused != "":
		r.reject(row, acc.refused)
	case row.Refusals == 0 && r.Retried.has(row.id):
		r.count(func(c *Counts) { c.AlreadyThere++ })
	default:
		r.count(func(*Counts) { r.last = row })
		return Line{ID: retried(row.id, row.Refusals), JSON: row.command(row.Refusals), row: row}, true, nil
	}
	return line, false, nil
}

// otherCurrency says what is wrong when an account that was there before is not in the currency that the mapping creates
// accounts in. Its rows would be posted as if they were.
func (r *Run) otherCurrency(ctx context.Context, row *pending) (problem string, err error) {
	has, err := r.Currency(ctx, row.account.name)
	if want := r.Plan.currency.expand(row.Fields); err == nil && has != "" && has != want {
		problem = fmt.Sprintf("account %s is there already and is in %s, not in %s; a prefix in the mapping keeps files apart, as in account: \"%s-{column}\"",
			row.account.name, has, want, r.Plan.mapping.Name)
	}
	return problem, err
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
	wrote := success && (!a.Replayed || ownReplay && a.Resent)
	if l.creates != nil {
		if wrote {
			r.counts.Created++
		}
		l.creates.settle(a)
		return
	}
	switch {
	case !success:
		r.refused(l.row, a)
	case wrote:
		r.counts.Posted++
	default:
		r.counts.AlreadyThere++
		if ownReplay {
			r.counts.RepeatedIDs++
		}
	}
	if success && l.row.Refusals > 0 {
		r.Retried.add(l.row.id)
	}
	l.row.answered = true
	if len(l.row.after) > 0 {
		r.release()
	}
}

// release writes the rejected rows that waited for the oldest row that any waited for.
func (r *Run) release() {
	for _, row := range r.waiting[0].after {
		r.Rejects.Add(row.Fields, row.Line, row.problem, row.Refusals)
	}
	r.waiting = r.waiting[1:]
}

func (r *Run) refused(row *pending, a Answer) {
	refusals := row.Refusals
	if kept(a.Status) {
		refusals++
	}
	r.counts.Rejected++
	r.Rejects.Add(row.Fields, row.Line, a.Reason, refusals)
}

// settle takes the answer to the account's create. That it is there already, or was created under the same id with other
// values, is as good as creating it, if its currency is the same.
func (acc *account) settle(a Answer) {
	switch {
	case a.Status < 300:
	case a.Code == "account_exists" || a.Code == "idempotency_key_mismatch":
		acc.there = true
	default:
		acc.refused = "its account could not be created: " + a.Reason
	}
	close(acc.settled)
}

// kept reports whether the server keeps a refusal of this status under the command's id, so that only a new id is decided
// anew.
func kept(status int) bool { return status == 404 || status == 409 || status == 422 }

// reject puts a row that is not sent into the rejects file, after the row before it.
func (r *Run) reject(row *pending, reason string) {
	row.problem = reason
	r.count(func(c *Counts) {
		c.Rejected++
		if last := r.last; last != nil && !last.answered && len(last.after) < lookahead {
			if len(last.after) == 0 {
				r.waiting = append(r.waiting, last)
			}
			last.after = append(last.after, row)
		} else {
			r.Rejects.Add(row.Fields, row.Line, reason, row.Refusals)
		}
	})
}

// count counts one row.
func (r *Run) count(change func(*Counts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.finished {
		r.counts.Rows++
		change(&r.counts)
	}
}

// Finish writes what is buffered and gives the first error of writing. Rows that are still read afterwards, after a run that
// failed, are not counted.
func (r *Run) Finish() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = true
	for len(r.waiting) > 0 {
		r.release()
	}
	return errors.Join(r.Rejects.Flush(), r.Retried.Err())
}
