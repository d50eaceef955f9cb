package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"daybook/core/es"
	"daybook/core/ports"
)

// unit is a ports.Unit. Whoever has it open holds the store's turn, and the lock in the database.
type unit struct {
	store  *Store
	known  ports.Known
	tree   es.Tree                         // up to the head
	ends   map[es.StreamID]ports.StreamEnd // of streams, as far as Begin learned them
	absent map[string]bool                 // keys under which there is no outcome
	ended  bool
}

// Begin implements ports.Store.
func (s *Store) Begin(ctx context.Context, needs ports.Needs) (ports.Unit, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := s.turn.Take(ctx); err != nil {
		return nil, err
	}
	u, err := s.begin(ctx, needs)
	if err != nil {
		s.turn.End()
		return nil, s.failed(ctx, err)
	}
	s.head.Raise(u.known.Head)
	for _, tail := range u.known.Tails {
		if err := s.checkPlaces(ctx, tail); err != nil {
			u.Rollback()
			return nil, err
		}
	}
	return u, nil
}

// begin opens the unit on the connection at hand, and on a new one when that turns out to be lost: nothing is written yet.
func (s *Store) begin(ctx context.Context, needs ports.Needs) (*unit, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	// The server gives up waiting for the lock before this end does, and its answer says why.
	bounded, cancel := s.bounded(ctx, 4*s.options.UnitTimeout)
	defer cancel()
	reused := s.writer != nil
	evicted := false
	for {
		u, err := s.tryBegin(bounded, needs)
		if err == nil {
			return u, nil
		}
		s.reset()
		var known *pgconn.PgError
		switch {
		case bounded.Err() != nil:
			return nil, err
		case errors.Is(err, errUnsealed):
			if err := s.sealPage(bounded); err != nil {
				return nil, err
			}
		case reused && lost(err):
			reused = false
		case !evicted && errors.As(err, &known) && known.Code == "55P03" && s.evict(bounded):
			evicted = true
		default:
			return nil, err
		}
	}
}

func (s *Store) tryBegin(ctx context.Context, needs ports.Needs) (*unit, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := s.connectWriter(ctx); err != nil {
		return nil, err
	}
	b := &pgx.Batch{}
	b.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`) // every statement after the lock sees what was committed before it
	b.Queue(s.sql.setUp, milliseconds(s.options.UnitTimeout), milliseconds(2*s.options.UnitTimeout), milliseconds(3*s.options.UnitTimeout))
	b.Queue(s.sql.lock)
	b.Queue(s.sql.last)
	if len(needs.Streams) > 0 {
		b.Queue(s.sql.tails, streamNeeds(needs.Streams)...)
	}
	if len(needs.Keys) > 0 {
		b.Queue(s.sql.known, keysOf(needs.Keys))
	}
	answers := s.writer.SendBatch(ctx, b)
	u, err := s.readKnown(answers, needs)
	if closed := answers.Close(); err == nil {
		err = closed
	}
	return u, err
}

// readKnown reads the answers to the statements of a begin, in their order.
func (s *Store) readKnown(answers pgx.BatchResults, needs ports.Needs) (*unit, error) {
	for range 3 {
		if _, err := answers.Exec(); err != nil {
			return nil, err
		}
	}
	u := &unit{store: s, ends: make(map[es.StreamID]ports.StreamEnd, len(needs.Streams))}
	u.known.Tails = make([][]es.Recorded, len(needs.Streams))
	u.known.Outcomes = make([]*ports.Outcome, len(needs.Keys))
	if err := u.readLast(answers.QueryRow()); err != nil {
		return nil, err
	}
	if len(needs.Streams) > 0 {
		if err := u.readTails(answers, needs.Streams); err != nil {
			return nil, err
		}
	}
	if len(needs.Keys) > 0 {
		if err := u.readOutcomes(answers, needs.Keys); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// errUnsealed: there are events without a hash, which must be sealed before anything can be written.
var errUnsealed = errors.New("pgstore: the last events are not sealed yet")

// readLast reads where the store ends.
func (u *unit) readLast(row pgx.Row) error {
	var last pgtype.Timestamptz
	var size int64
	var state []byte
	if err := row.Scan(&u.known.Head, &last, &size, &state); err != nil {
		return err
	}
	if u.known.Head > 0 {
		u.known.LastRecordedAt = last.Time.UTC()
	}
	if err := u.tree.UnmarshalBinary(state); err != nil || u.tree.Size != es.Position(size) {
		return errDamaged.Say("The seal of the store, over %d events, is not as it was written.", size).Because(err)
	}
	if u.tree.Size < u.known.Head {
		return errUnsealed
	}
	return nil
}

// readTails reads what the caller does not know yet, and notes the versions that the streams are at.
func (u *unit) readTails(answers pgx.BatchResults, needs []ports.StreamNeed) error {
	for _, n := range needs {
		if n.At >= u.known.Head {
			u.ends[n.Stream] = ports.StreamEnd{Version: n.After, Hash: n.Hash}
		} else if n.After == 0 {
			u.ends[n.Stream] = ports.StreamEnd{} // unless a row shows more
		}
	}
	rows, err := answers.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	d := decoder{left: 16 * len(needs)}
	for rows.Next() {
		var e es.Recorded
		row := rows.RawValues()
		i, err := index(row[0], len(needs))
		if err == nil {
			err = d.event(row[1:], &e)
		}
		if err != nil {
			return err
		}
		if e.Version > u.ends[e.Stream].Version {
			u.ends[e.Stream] = ports.StreamEnd{Version: e.Version, Hash: e.Hash}
		}
		if e.Version > needs[i].After {
			if want := needs[i].After + es.Version(len(u.known.Tails[i])) + 1; e.Version != want {
				return errDamaged.Say("Version %d of %s is missing; the next one there is %d.", want, e.Stream, e.Version)
			}
			u.known.Tails[i] = append(u.known.Tails[i], e)
		}
	}
	return rows.Err()
}

func (u *unit) readOutcomes(answers pgx.BatchResults, keys []string) error {
	u.absent = make(map[string]bool, len(keys))
	for _, key := range keys {
		u.absent[key] = true
	}
	rows, err := answers.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var i int64
		var o ports.Outcome
		if err := rows.Scan(&i, &o.Refusal, &o.RecordedAt, &o.Body); err != nil {
			return err
		}
		o.Key, o.RecordedAt = keys[i-1], o.RecordedAt.UTC()
		u.known.Outcomes[i-1] = &o
		delete(u.absent, o.Key)
	}
	return rows.Err()
}

// streamNeeds are the arguments for the tails. A name that is not text names no stream, and neither does the empty one.
func streamNeeds(needs []ports.StreamNeed) []any {
	streams, after, at := make([]string, len(needs)), make([]int64, len(needs)), make([]int64, len(needs))
	for i, n := range needs {
		if utf8.ValidString(string(n.Stream)) {
			streams[i] = string(n.Stream)
		}
		after[i], at[i] = clamp(uint64(n.After)), clamp(uint64(n.At))
	}
	return []any{streams, after, at}
}

func keysOf(keys []string) [][]byte {
	all := make([][]byte, len(keys))
	for i, k := range keys {
		all[i] = []byte(k)
	}
	return all
}

// Known implements ports.Unit.
func (u *unit) Known() ports.Known { return u.known }

// Rollback implements ports.Unit.
func (u *unit) Rollback() {
	if u.ended {
		return
	}
	s := u.store
	s.writing.Lock()
	s.reset()
	s.writing.Unlock()
	u.end()
}

func (u *unit) end() {
	u.ended = true
	u.store.turn.End()
}

// index reads which of n needs a row is for.
func index(column []byte, n int) (int, error) {
	if len(column) == 8 && column[0] == 0 {
		i := 0
		for _, b := range column[1:] {
			i = i<<8 | int(b)
		}
		if i >= 1 && i <= n {
			return i - 1, nil
		}
	}
	return 0, fmt.Errorf("pgstore: a row is for need %x of %d", column, n)
}

func clamp(n uint64) int64 { return int64(min(n, 1<<63-1)) }

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(d.Milliseconds(), 1), 10) }
