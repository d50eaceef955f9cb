package pgstore

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"daybook/core/es"
	"daybook/core/ports"
)

// batchID is what a batch is looked up by when the answer to its commit was lost: 16 random bytes, a uuid to the server.
type batchID [16]byte

// Commit implements ports.Unit.
func (u *unit) Commit(ctx context.Context, b ports.Batch) error {
	if u.ended {
		return ports.ErrBatchRefused.Say("The unit of work has ended already; nothing was written.")
	}
	s := u.store
	defer u.Rollback()
	if err := s.usable(ctx); err != nil {
		return err
	}
	before := u.tree.Root()
	rows, next, err := u.rows(b.Events)
	if err != nil {
		return err
	}
	if len(b.Events) == 0 && len(b.Outcomes) == 0 {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.life.Err() != nil {
		return ports.ErrStoreClosed
	}
	if err := u.send(rows, next, b.Outcomes); err != nil {
		return err
	}
	s.recent.add(b.Events, before, next.Tree.Root())
	u.end() // the server has ended it: there is nothing to roll back
	s.head.Raise(next.Head)
	return nil
}

// send writes the batch and ends the transaction, in one round trip, whatever becomes of the caller.
func (u *unit) send(rows *eventRows, next *ports.Continuation, outcomes []ports.Outcome) error {
	s, head := u.store, next.Head
	if err := s.inUnit(); err != nil {
		return err
	}
	var id batchID
	_, _ = rand.Read(id[:]) // never fails
	batch := &pgx.Batch{}
	if len(rows.positions) > 0 {
		batch.Queue(s.sql.addEvents, rows.arguments()...)
		s.queueTree(batch, next)
	}
	if len(outcomes) > 0 {
		arguments, fresh := u.outcomeRows(outcomes)
		if fresh { // the server need not look for them again
			batch.Queue(s.sql.addOutcomes, arguments...)
		} else {
			batch.Queue(s.sql.setOutcomes, arguments...)
		}
	}
	batch.Queue(s.sql.addBatch, int64(head), id)
	batch.Queue(s.sql.notify, strconv.FormatUint(uint64(head), 10))
	batch.Queue(`COMMIT`)
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.options.UnitTimeout)
	defer cancel()
	// gofail: var pgBeforeCommit struct{}
	answers := s.writer.SendBatch(ctx, batch)
	// gofail: var pgAfterSend struct{}
	for range batch.Len() {
		if _, err := answers.Exec(); err != nil {
			_ = answers.Close() // the first error is the one that counts
			return s.uncommitted(id, head, err)
		}
	}
	// gofail: var pgAfterCommit struct{}
	if err := answers.Close(); err != nil { // the commit has been answered
		s.dropWriter()
	}
	return nil
}

// inUnit is an error if the writer's connection is not in the transaction that Begin opened.
func (s *Store) inUnit() error {
	if s.writer == nil || s.writer.IsClosed() || s.writer.PgConn().TxStatus() != 'T' {
		return ports.ErrStoreUnavailable.Say("The connection to the database was lost before the commit; nothing was written.")
	}
	return nil
}

// uncommitted finds out what became of a batch after an error.
func (s *Store) uncommitted(id batchID, head es.Position, err error) error {
	if lost(err) {
		s.dropWriter()
	}
	if certain(err) {
		return s.failed(context.Background(), err)
	}
	s.dropWriter()
	switch committed, settled := s.settle(id, head); {
	case settled != nil:
		s.options.Logf("what became of batch %x at position %d could not be found out: %v (after: %v)", id, head, reason(settled), reason(err))
		return ports.ErrOutcomeUnknown.Because(err)
	case committed:
		s.options.Logf("the answer to a commit was lost (%v); the batch is there", reason(err))
		return nil
	}
	return ports.ErrStoreUnavailable.Say("The connection to the database was lost during the commit; nothing was written.").Because(s.at(err))
}

// settle asks on a new connection whether a batch was committed. It takes the lock first: so the transaction that was lost
// has ended. Its error means that nobody could be asked in time.
func (s *Store) settle(id batchID, head es.Position) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.settleWithin)
	defer cancel()
	for {
		if committed, err = s.ask(ctx, id, head); err == nil {
			return committed, nil
		}
		s.dropWriter()
		if ctx.Err() != nil || !s.retryAfter(ctx, 100*time.Millisecond) {
			return false, err
		}
	}
}

func (s *Store) ask(ctx context.Context, id batchID, head es.Position) (committed bool, err error) {
	if err := s.connectWriter(ctx); err != nil {
		return false, err
	}
	batch := &pgx.Batch{}
	batch.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`)
	batch.Queue(s.sql.setUp, milliseconds(s.options.UnitTimeout), milliseconds(s.options.settleWithin), milliseconds(s.options.settleWithin))
	batch.Queue(s.sql.lock)
	batch.Queue(s.sql.findBatch, int64(head), id)
	batch.Queue(`ROLLBACK`)
	answers := s.writer.SendBatch(ctx, batch)
	for range 3 {
		if _, err := answers.Exec(); err != nil {
			_ = answers.Close() // the first error is the one that counts
			return false, err
		}
	}
	err = answers.QueryRow().Scan(&committed)
	if closed := answers.Close(); err == nil {
		err = closed
	}
	return committed, err
}

// retryAfter waits for d, also while the store is being closed: whoever waits for the answer must get it.
func (s *Store) retryAfter(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
