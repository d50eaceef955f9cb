package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/core/es"
	"daybook/core/ports"
)

// SaveCheckpoint implements ports.Store.
func (s *Store) SaveCheckpoint(ctx context.Context, name string, token ports.Token, p es.Position) error {
	return s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		done, err := conn.Exec(ctx, s.sql.saveCheckpoint, plain(name), int64(token), int64(p))
		if err == nil && done.RowsAffected() == 0 {
			return ports.ErrLeaseLost
		}
		return err
	})
}

// Lease implements ports.Store, by the clock of the database.
func (s *Store) Lease(ctx context.Context, name, holder string, ttl time.Duration) (ports.Token, error) {
	var token int64
	err := s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		err := conn.QueryRow(ctx, s.sql.lease, plain(name), plain(holder), ttl).Scan(&token)
		if errors.Is(err, pgx.ErrNoRows) {
			return ports.ErrLeaseHeld
		}
		return err
	})
	return ports.Token(token), err
}

// Release implements ports.Store.
func (s *Store) Release(ctx context.Context, name string, token ports.Token) error {
	return s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, s.sql.release, plain(name), int64(token))
		return err
	})
}
