package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/core/es"
	"daybook/core/ports"
)

const (
	// forgetStep is how many events are forgotten in one transaction: few enough that a commit beside it need not wait long for the disk.
	forgetStep = 4 << 10
	// leastToVacuum is after how many forgotten events the room is given back at the earliest. A vacuum looks at all of the indexes, so
	// that of a large store waits for a tenth of its events.
	leastToVacuum = 128 << 10
)

// Archived implements ports.Store.
func (s *Store) Archived(ctx context.Context) (es.Position, error) {
	n, err := s.number(ctx, s.sql.archived)
	if err != nil {
		return 0, err
	}
	s.archived.Raise(es.Position(n))
	return es.Position(n), nil
}

// Forget implements ports.Store. It goes in steps, each a transaction that empties events and moves the archived position. The lock
// of those who write is not taken. The room is free for new events then; the files of the tables do not become smaller.
func (s *Store) Forget(ctx context.Context, upTo es.Position) error {
	at, err := s.Archived(ctx)
	if err != nil || upTo <= at {
		return err
	}
	if err := s.mayForget(ctx, upTo); err != nil {
		return err
	}
	for vacuumed := at; at < upTo; {
		if at, err = s.forgetNext(ctx, upTo); err != nil {
			return err
		}
		if at >= upTo || at-vacuumed >= max(leastToVacuum, s.head.At()/10) {
			s.giveRoomBack(ctx) // where the rows that follow go
			vacuumed = at
		}
	}
	return nil
}

// mayForget refuses what cannot be forgotten, and sees to it that the others are sealed: a hash cannot be made later.
func (s *Store) mayForget(ctx context.Context, upTo es.Position) error {
	head, err := s.Head(ctx)
	if err != nil {
		return err
	}
	if upTo >= head {
		return ports.ErrBatchRefused.Say("Events up to position %d cannot be forgotten: the last event of the store, at position %d, has to stay. Nothing was done.", upTo, head)
	}
	tree, err := s.Tree(ctx)
	if err != nil || tree.Size >= upTo {
		return err
	}
	unit, err := s.Begin(ctx, ports.Needs{}) // which seals all
	if err != nil {
		return err
	}
	unit.Rollback()
	return nil
}

// forgetNext forgets the events that come next, at the most up to a position, and gives the archived position. It may have been
// moved by another process: who holds its row goes on from there. What has begun is brought to its end, whatever becomes of the
// caller: nothing is forgotten after Forget has returned.
func (s *Store) forgetNext(ctx context.Context, upTo es.Position) (at es.Position, err error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	err = s.read(context.WithoutCancel(ctx), func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, s.sql.lockArchived).Scan(&at); err != nil || at >= upTo {
				return err
			}
			to := min(upTo, at+es.Position(s.options.forgetStep))
			if _, err := tx.Exec(ctx, s.sql.permit); err != nil {
				return err
			}
			emptied, err := tx.Exec(ctx, s.sql.emptyEvents, int64(at), int64(to))
			if err != nil {
				return err
			}
			// gofail: var pgMidPurge struct{}
			if there, want := emptied.RowsAffected(), int64(to-at); there != want {
				return errDamaged.Say("Of the %d events at positions %d to %d only %d are there; none of them was forgotten.", want, at+1, to, there)
			}
			batch := &pgx.Batch{}
			batch.Queue(s.sql.moveArchived, int64(to))
			batch.Queue(s.sql.notify, "") // others ask then
			at = to
			return tx.SendBatch(ctx, batch).Close()
		})
	})
	if err == nil {
		s.archived.Raise(at)
	}
	return at, err
}

// giveRoomBack makes the room of what was forgotten free for new rows. It is no failure when that does not come to its end: the
// server does it later on its own.
func (s *Store) giveRoomBack(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	conn, err := s.readers.Acquire(ctx)
	if err == nil {
		defer conn.Release()
		_, err = conn.Exec(ctx, s.sql.vacuum, pgx.QueryExecModeSimpleProtocol)
	}
	if err != nil && ctx.Err() == nil {
		s.options.Logf("the room of forgotten events in the %s was not given back yet: %v", s.place, reason(err))
	}
}

// checkPlaces makes sure of events that have come without what they said that they were forgotten.
func (s *Store) checkPlaces(ctx context.Context, events []es.Recorded) error {
	var last es.Position
	for i := range events {
		if events[i].Forgotten() {
			last = max(last, events[i].Position)
		}
	}
	if last <= s.archived.At() {
		return nil
	}
	archived, err := s.Archived(ctx)
	if err == nil && last > archived {
		err = errDamaged.Say("The event at position %d is empty, and only those up to %d were archived: it was changed behind Daybook's back.", last, archived)
	}
	return err
}
