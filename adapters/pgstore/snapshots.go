package pgstore

import (
	"context"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/core/es"
	"daybook/core/ports"
)

// SaveSnapshots implements ports.Store. It takes no lock of the writers' and does not wait for the disk.
func (s *Store) SaveSnapshots(ctx context.Context, all []ports.Snapshot) error {
	streams, positions, bodies := make([]string, len(all)), make([]int64, len(all)), make([][]byte, len(all))
	for i := range all {
		streams[i], positions[i], bodies[i] = string(all[i].Stream), int64(all[i].Position), all[i].Body
	}
	return s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		_, err := conn.Exec(ctx, s.sql.saveSnapshots, streams, positions, bodies)
		return err
	})
}

// Snapshot implements ports.Store.
func (s *Store) Snapshot(ctx context.Context, stream es.StreamID, upTo es.Position) (found *ports.Snapshot, err error) {
	if err := s.usable(ctx); err != nil || !utf8.ValidString(string(stream)) {
		return nil, err
	}
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		n := ports.Snapshot{Stream: stream}
		switch err := conn.QueryRow(ctx, s.sql.snapshot, string(stream), int64(min(upTo, math.MaxInt64))).Scan(&n.Position, &n.Body); {
		case errors.Is(err, pgx.ErrNoRows):
			found = nil
			return nil
		case err != nil:
			return err
		}
		found = &n
		return nil
	})
	return found, err
}
