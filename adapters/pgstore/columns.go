package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"daybook/core/es"
	"daybook/core/ports"
)

// eventRows are events by columns, as one statement takes them.
type eventRows struct {
	positions, versions   []int64
	streams, types        []string
	schemas               []int32
	effectives, recordeds []time.Time
	data, metadata        [][]byte
	hashes                [][]byte
}

func (r *eventRows) arguments() []any {
	return []any{r.positions, r.streams, r.versions, r.types, r.schemas, r.effectives, r.recordeds, r.data, r.metadata, r.hashes}
}

// rows checks that the events continue the store, seals them, and gives them by columns, and where the store ends then.
func (u *unit) rows(events []es.Recorded) (*eventRows, *ports.Continuation, error) {
	n := len(events)
	r := &eventRows{
		positions: make([]int64, n), versions: make([]int64, n), streams: make([]string, n), types: make([]string, n), schemas: make([]int32, n),
		effectives: make([]time.Time, n), recordeds: make([]time.Time, n), data: make([][]byte, n), metadata: make([][]byte, n), hashes: make([][]byte, n),
	}
	next := &ports.Continuation{
		Head: u.known.Head, Last: u.known.LastRecordedAt, Ends: u.ends, Tree: u.tree,
		End: func(stream es.StreamID) (ports.StreamEnd, error) {
			err := u.learnEnds(events)
			return u.ends[stream], err
		},
	}
	for i := range events {
		e := &events[i]
		if err := next.Take(e); err != nil {
			return nil, nil, err
		}
		r.positions[i], r.versions[i], r.schemas[i] = int64(e.Position), int64(e.Version), int32(e.Schema)
		r.streams[i], r.types[i], r.data[i], r.metadata[i], r.hashes[i] = string(e.Stream), e.Type, e.Data, e.Metadata, e.Hash[:]
		r.effectives[i], r.recordeds[i] = e.EffectiveAt.UTC().Truncate(time.Microsecond), e.RecordedAt.UTC().Truncate(time.Microsecond)
	}
	return r, next, nil
}

// learnEnds asks once for the ends of all streams of the batch that Begin did not learn.
func (u *unit) learnEnds(events []es.Recorded) error {
	var unknown []string
	asked := map[es.StreamID]bool{}
	for i := range events {
		stream := events[i].Stream
		if end, ok := u.ends[stream]; (!ok || end.Version > 0 && end.Hash == es.Hash{}) && !asked[stream] {
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
	rows, err := s.writer.Query(ctx, s.sql.ends, unknown)
	if err != nil {
		return s.failed(context.Background(), err)
	}
	for _, stream := range unknown {
		u.ends[es.StreamID(stream)] = ports.StreamEnd{}
	}
	var stream string
	var version int64
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&stream, &version, &hash}, func() error {
		end := ports.StreamEnd{Version: es.Version(version)}
		copy(end.Hash[:], hash)
		u.ends[es.StreamID(stream)] = end
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
