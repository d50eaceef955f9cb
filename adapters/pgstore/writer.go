package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// connectWriter makes the connection that writes, if there is none.
func (s *Store) connectWriter(ctx context.Context) error {
	if s.writer != nil && !s.writer.IsClosed() {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return err
	}
	s.writer = conn
	return nil
}

// reset brings the writer's connection out of its transaction, or gives it up.
func (s *Store) reset() {
	if s.writer == nil || s.writer.IsClosed() {
		s.writer = nil
		return
	}
	if s.writer.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.options.UnitTimeout)
	defer cancel()
	if _, err := s.writer.Exec(ctx, `ROLLBACK`); err != nil {
		s.dropWriter()
	}
}

// dropWriter closes the writer's connection; the server rolls back what was open.
func (s *Store) dropWriter() {
	if s.writer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.writer.Close(ctx)
	s.writer = nil
}

// evict ends the session of a process that stopped while it was sending a batch. The lock is free then.
func (s *Store) evict(ctx context.Context) bool {
	if s.writer == nil {
		return false
	}
	var n int
	if err := s.writer.QueryRow(ctx, s.sql.evict, s.options.UnitTimeout).Scan(&n); err != nil || n == 0 {
		return false
	}
	s.options.Logf("a process held the write lock of the %s and has stopped: its session was ended", s.place)
	return true
}
