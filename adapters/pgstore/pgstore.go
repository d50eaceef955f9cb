// Package pgstore is the store in PostgreSQL 12 or later, which any number of processes use at once. It keeps the contract of
// ports.Store on top of one schema (migrations/*.sql); only what is about that database may live here.
//
// The table of events is the store and the feed: positions have no gap and follow the order of commits, because whoever
// writes holds an advisory lock until the transaction has ended. The lock is taken by Begin, and by a trigger for
// writers that bypass the store; another trigger refuses to change history. Data is kept as text, byte for byte.
//
// Begin is one round trip (transaction, lock, head, tails, outcomes), Commit a second one (events, outcomes, the batch's
// own id, one NOTIFY, the end of the transaction). A batch whose answer was lost is looked up by its id, under the lock,
// which nobody gets before the lost transaction has ended: so the answer is certain, or it is ErrOutcomeUnknown when no
// server could be asked in time.
//
// A process that stops in the middle of a unit holds the lock for Options.UnitTimeout at the most. The server ends its
// session then; one that stopped while it was sending, which no timeout of the server ends, is ended by those who wait.
//
// Events that were moved to an archive keep their rows, without data and metadata, up to the position in the table archived. Other
// processes hear of it as they hear of commits; until then they may still give an event that they have in memory as it was.
//
// Connections: one writes, one listens for the commits of others, the rest read. A URL may name several hosts: the one that is not
// a standby is used. The store works through pgbouncer in transaction mode with default_query_exec_mode=cache_describe in the
// URL; NOTIFY does not pass there, so that others' commits are seen within a second. The first start of a new build must reach
// the server itself: the lock under which it migrates belongs to a session.
package pgstore

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybook/core/es"
	"daybook/core/ports"
)

// Options say where the database is and how it is used. URL is required.
type Options struct {
	URL string // as libpq and pgx read it: postgres://user:password@host:port/database?sslmode=…
	// Schema holds the store's tables, and is made if there is none. Empty means daybook.
	Schema string
	// MaxConns bounds the connections of this store. Zero means pool_max_conns in the URL, or 10; fewer than 4 mean 4.
	MaxConns int
	// UnitTimeout is how long a unit of work may keep all other processes waiting before the server ends it. Zero means 5 s.
	UnitTimeout time.Duration
	// StartTimeout is how long Open tries to reach the database. Zero means 10 s.
	StartTimeout time.Duration
	// Logf takes warnings: a connection was lost, is back. It must not block or call the store. Nil drops them.
	Logf func(format string, args ...any)

	settleWithin time.Duration // how long a lost answer is looked for; zero means 10 s
	forgetStep   int           // events in one transaction; zero means ours
}

// Store is a ports.Store in PostgreSQL. Open makes one.
type Store struct {
	options Options
	place   string // host, port and database, for words
	sql     queries
	readers *pgxpool.Pool
	config  *pgx.ConnConfig // of the connections outside of the pool

	head       es.Watermark       // of what is known to be committed
	archived   es.Watermark       // events up to it were forgotten, as far as this process has heard
	recent     recent             // used behind archived alone
	turn       ports.Turn         // of units of work in this process
	life       context.Context    // ends when the store is closed
	end        context.CancelFunc // ends it
	background sync.WaitGroup     // listening and pruning

	writing sync.Mutex // held while the writer is talked to, and by Close
	writer  *pgx.Conn  // nil when there is none
}

// Close implements ports.Store. It waits for a commit that is on its way; an open unit is rolled back.
func (s *Store) Close() error {
	s.end()
	s.writing.Lock()
	s.dropWriter()
	s.writing.Unlock()
	s.background.Wait()
	s.readers.Close()
	return nil
}

// Wait implements ports.Store.
func (s *Store) Wait(ctx context.Context, past es.Position) error {
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.life, stop)()
	if past+1 == 0 { // nothing comes after it
		past--
	}
	err := s.head.Wait(waiting, past+1)
	if s.life.Err() != nil {
		return ports.ErrStoreClosed
	}
	return err
}

// usable gives the reason why a call cannot go on: the store is closed or the caller's context has ended.
func (s *Store) usable(ctx context.Context) error {
	if s.life.Err() != nil {
		return ports.ErrStoreClosed
	}
	return ctx.Err()
}

// bounded gives a context for one exchange with the server: it ends with the caller's, when the store is closed, and after d.
func (s *Store) bounded(ctx context.Context, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}
