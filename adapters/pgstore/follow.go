package pgstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/core/es"
	"daybook/core/ports"
)

const (
	poll       = time.Second     // how often the head is asked for while nothing is heard
	maxBackoff = 2 * time.Second // between attempts to listen again
	pruneEvery = time.Minute
)

// follow raises the watermark for the commits of other processes until the store is closed. A NOTIFY tells of them at once;
// one that was lost, with its connection or in a pooler, costs a second.
func (s *Store) follow() {
	backoff := 50 * time.Millisecond
	for s.life.Err() == nil {
		heard, err := s.listen()
		if s.life.Err() != nil {
			return
		}
		if heard {
			backoff = 50 * time.Millisecond
			s.options.Logf("the connection that listens for commits was lost (%v); commits of other processes are seen late until it is back", reason(err))
		}
		if !s.pause(s.life, backoff) {
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// listen hears commits until its connection is lost; heard says that it had one. The server that is found next may not have what is in
// memory, so that is dropped.
func (s *Store) listen() (heard bool, err error) {
	defer s.recent.forget()
	conn, err := pgx.ConnectConfig(s.life, s.config.Copy())
	if err != nil {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(s.life, s.sql.listen); err != nil {
		return false, err
	}
	for {
		if err := s.askHead(conn); err != nil {
			return true, err
		}
		for {
			ctx, cancel := context.WithTimeout(s.life, poll)
			notice, err := conn.WaitForNotification(ctx)
			cancel()
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) || conn.IsClosed() {
					return true, err
				}
				break
			}
			head, err := strconv.ParseUint(notice.Payload, 10, 64)
			if err != nil { // from the trigger, which does not know where the transaction will end, or from Forget
				break
			}
			s.head.Raise(es.Position(head))
		}
	}
}

// askHead moves the watermarks to the head and to the archived position. A server that does not answer in time is gone. One whose head
// is below what was committed before it was asked has taken over without the last commits, or was put back.
func (s *Store) askHead(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(s.life, 5*time.Second)
	defer cancel()
	var head, archived int64
	before := s.head.At()
	if err := conn.QueryRow(ctx, s.sql.standing).Scan(&head, &archived); err != nil {
		return err
	}
	if es.Position(head) < before {
		s.options.Logf("the %s has gone back from position %d to %d", s.place, before, head)
		s.recent.forget()
		s.head.Lower(es.Position(head))
	}
	s.head.Raise(es.Position(head))
	s.archived.Raise(es.Position(archived))
	return nil
}

// prune forgets the batches that nobody asks for any more, and refusals that were kept for long enough, now and then.
func (s *Store) prune() {
	for s.pause(s.life, pruneEvery) {
		if err := s.forget(s.life); err != nil && s.life.Err() == nil {
			s.options.Logf("old batches and refusals could not be removed: %v", err)
		}
	}
}

func (s *Store) forget(ctx context.Context) error {
	return s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		if _, err := conn.Exec(ctx, s.sql.forgetBatches); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, s.sql.forgetRefusals, ports.RefusalsKept)
		return err
	})
}
