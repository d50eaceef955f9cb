package pgstore

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/core/es"
	"daybook/core/ports"
)

const (
	readTimeout    = 10 * time.Second // of one exchange; a server that says nothing for so long is not there
	acquireTimeout = 5 * time.Second  // for a connection to become free
	readTries      = 3
)

// read runs f on a connection, and again on another one when the first turns out to be lost: reading twice does no harm,
// and so do the few writes that come this way.
func (s *Store) read(ctx context.Context, f func(context.Context, *pgxpool.Conn) error) error {
	for try := 1; ; try++ {
		if err := s.usable(ctx); err != nil {
			return err
		}
		err := s.readOnce(ctx, f)
		if err == nil {
			return nil
		}
		failed := s.failed(ctx, err)
		if try == readTries || ctx.Err() != nil || s.life.Err() != nil || !lost(err) || errors.Is(err, errBusy) {
			return failed
		}
		s.readers.Reset() // the others have lost the same server
		if !s.pause(ctx, time.Duration(try-1)*100*time.Millisecond) {
			return s.failed(ctx, err)
		}
	}
}

// errBusy: all connections are in use.
var errBusy = ports.ErrStoreUnavailable.Say("All connections to the database are in use; nothing was done. More need a higher pool_max_conns in its URL.")

func (s *Store) readOnce(ctx context.Context, f func(context.Context, *pgxpool.Conn) error) error {
	bounded, cancel := s.bounded(ctx, readTimeout)
	defer cancel()
	acquiring, stop := context.WithTimeout(bounded, acquireTimeout)
	conn, err := s.readers.Acquire(acquiring)
	stop()
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) && s.readers.Stat().AcquiredConns() == s.readers.Config().MaxConns {
			return errBusy.Because(err)
		}
		return err
	}
	defer conn.Release()
	return f(bounded, conn)
}

// number reads one number; none is zero.
func (s *Store) number(ctx context.Context, sql string, args ...any) (n int64, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		err := conn.QueryRow(ctx, sql, args...).Scan(&n)
		if errors.Is(err, pgx.ErrNoRows) {
			n, err = 0, nil
		}
		return err
	})
	return n, err
}

// Head implements ports.Store.
func (s *Store) Head(ctx context.Context) (es.Position, error) {
	n, err := s.number(ctx, s.sql.head)
	if err != nil {
		return 0, err
	}
	s.head.Raise(es.Position(n))
	return es.Position(n), nil
}

// ReadStream implements ports.Store.
func (s *Store) ReadStream(ctx context.Context, stream es.StreamID, after es.Version, limit int) ([]es.Recorded, error) {
	if err := s.usable(ctx); err != nil || limit <= 0 || after >= math.MaxInt64 || !utf8.ValidString(string(stream)) {
		return nil, err
	}
	events, err := s.events(ctx, limit, s.sql.stream, string(stream), int64(after), limit)
	if err != nil {
		return nil, err
	}
	for i := range events {
		if e := &events[i]; e.Version != after+es.Version(i)+1 {
			return nil, errDamaged.Say("Version %d of %s is missing; the next one there is %d.", after+es.Version(i)+1, stream, e.Version)
		}
	}
	return events, nil
}

// ReadFeed implements ports.Store.
func (s *Store) ReadFeed(ctx context.Context, after es.Position, limit int) ([]es.Recorded, error) {
	if err := s.usable(ctx); err != nil || limit <= 0 || after >= math.MaxInt64 {
		return nil, err
	}
	var events []es.Recorded
	if after >= s.archived.At() {
		events = s.recent.after(after, limit)
	}
	if len(events) < limit {
		var err error
		if events, err = s.feedBehind(ctx, after, events, limit); err != nil {
			return nil, err
		}
	}
	for i := range events {
		if e := &events[i]; e.Position != after+es.Position(i)+1 {
			return nil, errDamaged.Say("The event at position %d is missing; the next one there is %d.", after+es.Position(i)+1, e.Position)
		}
	}
	if n := len(events); n > 0 {
		s.head.Raise(events[n-1].Position)
	}
	return events, nil
}

// feedBehind adds to events after the position, that are in memory, those that the database has behind them. It asks for the last of
// them too: a server that took over may not have got it, and then all are read anew.
func (s *Store) feedBehind(ctx context.Context, after es.Position, events []es.Recorded, limit int) ([]es.Recorded, error) {
	n := len(events)
	if n == 0 {
		return s.events(ctx, limit, s.sql.feed, int64(after), limit)
	}
	more, err := s.events(ctx, limit-n+1, s.sql.feed, int64(after)+int64(n)-1, limit-n+1)
	if err != nil {
		return nil, err
	}
	if len(more) > 0 && more[0].Hash == events[n-1].Hash {
		return append(events, more[1:]...), nil
	}
	s.recent.forget()
	return s.feedBehind(ctx, after, nil, limit)
}

// events reads up to limit rows of events.
func (s *Store) events(ctx context.Context, limit int, sql string, args ...any) (events []es.Recorded, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		d := decoder{left: limit}
		events = make([]es.Recorded, 0, min(limit, 4096))
		for rows.Next() {
			events = append(events, es.Recorded{})
			if err := d.event(rows.RawValues(), &events[len(events)-1]); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err == nil {
		err = s.checkPlaces(ctx, events)
	}
	return events, err
}

// PositionAt implements ports.Store.
func (s *Store) PositionAt(ctx context.Context, t time.Time) (es.Position, error) {
	n, err := s.number(ctx, s.sql.positionAt, t.UTC().Truncate(time.Microsecond))
	return es.Position(n), err
}

// Outcome implements ports.Store.
func (s *Store) Outcome(ctx context.Context, key string) (o *ports.Outcome, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		found := ports.Outcome{Key: key}
		switch err := conn.QueryRow(ctx, s.sql.outcome, []byte(key)).Scan(&found.Refusal, &found.RecordedAt, &found.Body); {
		case errors.Is(err, pgx.ErrNoRows):
			o = nil
			return nil
		case err != nil:
			return err
		}
		found.RecordedAt = found.RecordedAt.UTC()
		o = &found
		return nil
	})
	return o, err
}

// Outcomes implements ports.Store.
func (s *Store) Outcomes(ctx context.Context, from string, limit int) (page []ports.Outcome, err error) {
	if limit <= 0 {
		return nil, s.usable(ctx)
	}
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, s.sql.outcomes, []byte(from), limit)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (o ports.Outcome, err error) {
			var key []byte
			err = row.Scan(&key, &o.Refusal, &o.RecordedAt, &o.Body)
			o.Key, o.RecordedAt = string(key), o.RecordedAt.UTC()
			return o, err
		})
		return err
	})
	return page, err
}

// Checkpoint implements ports.Store.
func (s *Store) Checkpoint(ctx context.Context, name string) (es.Position, error) {
	n, err := s.number(ctx, s.sql.checkpoint, plain(name))
	return es.Position(n), err
}

// Checkpoints implements ports.Store.
func (s *Store) Checkpoints(ctx context.Context) (all map[string]es.Position, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		rows, err := conn.Query(ctx, s.sql.checkpoints)
		if err != nil {
			return err
		}
		all = map[string]es.Position{}
		var quoted string
		var p es.Position
		_, err = pgx.ForEachRow(rows, []any{&quoted, &p}, func() error {
			name, err := strconv.Unquote(`"` + quoted + `"`)
			all[name] = p
			return err
		})
		return err
	})
	return all, err
}

// plain writes a name of any bytes in a form that the database takes as text. Usual names stay as they are.
func plain(name string) string {
	quoted := strconv.QuoteToASCII(name)
	return quoted[1 : len(quoted)-1]
}
