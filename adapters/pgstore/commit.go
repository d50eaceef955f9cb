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
	rows, err := u.rows(b.Events)
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
	head := u.known.Head + es.Position(len(b.Events))
	if err := u.send(head, rows, b.Outcomes); err != nil {
		return err
	}
	u.end() // the server has ended it: there is nothing to roll back
	s.head.Raise(head)
	return nil
}

// send writes the batch and ends the transaction, in one round trip, whatever becomes of the caller.
func (u *unit) send(head es.Position, rows *eventRows, outcomes []ports.Outcome) error {
	s := u.store
	if err := s.inUnit(); err != nil {
		return err
	}
	var id batchID
	_, _ = rand.Read(id[:]) // never fails
	batch := &pgx.Batch{}
	if len(rows.positions) > 0 {
		batch.Queue(s.sql.addEvents, rows.arguments()...)
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
	answers := s.writer.SendBatch(ctx, batch)
	for range batch.Len() {
		if _, err := answers.Exec(); err != nil {
			_ = answers.Close() // the first error is the one that counts
			return s.uncommitted(id, head, err)
		}
	}
	if err := answers.Close(); err != nil { // the commit has been answered
		s.dropWriter()
	}
	return nil
}

// inUnit is an error if the writer's connection is not in the transaction that Begin opened.
func (s *Store) inUnit() error {
	if s.writer == nil || s.writer.IsClosed() || s.writer.PgConn().TxStatus() != 'T' {
		return ports.ErrStoreUnavailable.Say("The connection to the %s was lost before the commit; nothing was written.", s.place)
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
	return ports.ErrStoreUnavailable.Say("The %s was lost during the commit; nothing was written.", s.place).Because(err)
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

// eventRows are events by columns, as one statement takes them.
type eventRows struct {
	positions, versions   []int64
	streams, types        []string
	schemas               []int32
	effectives, recordeds []time.Time
	data, metadata        [][]byte
}

func (r *eventRows) arguments() []any {
	return []any{r.positions, r.streams, r.versions, r.types, r.schemas, r.effectives, r.recordeds, r.data, r.metadata}
}

// rows checks that the events continue the store and can be read back, and gives them by columns.
func (u *unit) rows(events []es.Recorded) (*eventRows, error) {
	n := len(events)
	r := &eventRows{
		positions: make([]int64, n), versions: make([]int64, n), streams: make([]string, n), types: make([]string, n), schemas: make([]int32, n),
		effectives: make([]time.Time, n), recordeds: make([]time.Time, n), data: make([][]byte, n), metadata: make([][]byte, n),
	}
	next := ports.Continuation{
		Head: u.known.Head, Last: u.known.LastRecordedAt, Versions: u.versions,
		Version: func(stream es.StreamID) (es.Version, error) {
			err := u.learnVersions(events)
			return u.versions[stream], err
		},
	}
	var raw []byte
	for i := range events {
		e := &events[i]
		if err := next.Take(e); err != nil {
			return nil, err
		}
		raw = e.AppendJSON(raw[:0])
		parsed, err := es.ParseRecorded(raw)
		if err != nil || parsed.Stream != e.Stream || parsed.Type != e.Type {
			return nil, ports.ErrBatchRefused.Say("Version %d of %s could not be read back; nothing was written.", e.Version, e.Stream).Because(err)
		}
		r.positions[i], r.versions[i], r.schemas[i] = int64(e.Position), int64(e.Version), int32(e.Schema)
		r.streams[i], r.types[i], r.data[i], r.metadata[i] = string(e.Stream), e.Type, e.Data, e.Metadata
		r.effectives[i], r.recordeds[i] = parsed.EffectiveAt, parsed.RecordedAt
	}
	return r, nil
}

// learnVersions asks once for the versions of all streams of the batch that Begin did not learn.
func (u *unit) learnVersions(events []es.Recorded) error {
	var unknown []string
	asked := map[es.StreamID]bool{}
	for i := range events {
		stream := events[i].Stream
		if _, ok := u.versions[stream]; !ok && !asked[stream] {
			asked[stream] = true
			unknown = append(unknown, string(stream))
		}
	}
	s := u.store
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.life.Err() != nil {
		return ports.ErrStoreClosed
	}
	if err := s.inUnit(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*s.options.UnitTimeout)
	defer cancel()
	rows, err := s.writer.Query(ctx, s.sql.versions, unknown)
	if err != nil {
		return s.failed(context.Background(), err)
	}
	var stream string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&stream, &version}, func() error {
		u.versions[es.StreamID(stream)] = es.Version(version)
		return nil
	})
	if err != nil {
		return s.failed(context.Background(), err)
	}
	return nil
}

// outcomeRows gives outcomes by columns; fresh says that Begin found nothing under any of their keys. Of several under one
// key the last one counts.
func (u *unit) outcomeRows(outcomes []ports.Outcome) (arguments []any, fresh bool) {
	fresh = true
	at := make(map[string]int, len(outcomes))
	var keys, bodies [][]byte
	var refusals []bool
	var recorded []time.Time
	for _, o := range outcomes {
		fresh = fresh && u.absent[o.Key]
		body := o.Body
		if body == nil {
			body = []byte{}
		}
		if i, ok := at[o.Key]; ok {
			refusals[i], recorded[i], bodies[i] = o.Refusal, o.RecordedAt, body
			continue
		}
		at[o.Key] = len(keys)
		keys, refusals, recorded, bodies = append(keys, []byte(o.Key)), append(refusals, o.Refusal), append(recorded, o.RecordedAt), append(bodies, body)
	}
	return []any{keys, refusals, recorded, bodies}, fresh
}
