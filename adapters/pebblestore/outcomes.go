package pebblestore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"daybook/core/ports"
)

// flight is a commit on its way to the disk. Its rows can be read before they are durable, so nobody may be told of its
// outcomes until it has landed. Its events are held back by the head.
type flight struct {
	keys   []string
	landed chan struct{}
}

func newFlight(outcomes []ports.Outcome) *flight {
	f := &flight{keys: make([]string, len(outcomes)), landed: make(chan struct{})}
	for i := range outcomes {
		f.keys[i] = outcomes[i].Key
	}
	return f
}

// Outcome implements ports.Store. For a command that is being written it waits until that is durable. For one that was
// being written when the store failed, nobody can tell until the store is opened again.
func (s *Store) Outcome(ctx context.Context, key string) (*ports.Outcome, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	row := appendOutcomeKey(nil, key)
	v, err := s.get(row)
	if f := s.writing.Load(); err == nil && f != nil && slices.Contains(f.keys, key) {
		select {
		case <-f.landed:
			v, err = s.get(row)
		case <-s.stop.failed:
			return nil, s.failed(s.stop.err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, s.unreadable(err, fmt.Sprintf("the outcome of command %q", key))
	}
	return s.outcome(key, v)
}

func (s *Store) outcome(key string, v []byte) (*ports.Outcome, error) {
	if v == nil {
		return nil, nil
	}
	o, err := parseOutcome(key, v)
	if err != nil {
		return nil, s.damaged(fmt.Sprintf("the outcome of command %q is not as it was written.", key), err)
	}
	return o, nil
}

// outcomes looks up many keys with one iterator. Most are not there, which the filters of the tables mostly know.
func (s *Store) outcomes(keys []string) ([]*ports.Outcome, error) {
	found := make([]*ports.Outcome, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	table, err := s.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return nil, s.unreadable(err, "the outcomes of commands")
	}
	defer table.Close()
	var row []byte
	for _, i := range sorted(len(keys), func(i int) string { return keys[i] }) {
		key := keys[i]
		row = appendOutcomeKey(row[:0], key)
		if table.SeekPrefixGE(row) {
			if found[i], err = s.outcome(key, slices.Clone(table.Value())); err != nil {
				return nil, err
			}
		} else if err := table.Error(); err != nil {
			return nil, s.unreadable(err, fmt.Sprintf("the outcome of command %q", key))
		}
	}
	return found, nil
}

// sorted gives the numbers below n in the order of their keys, and of equal ones as they are: neighbours are cheaper to
// look up, and to write.
func sorted(n int, key func(i int) string) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(key(a), key(b)) })
	return order
}

// addOutcomes adds outcomes to a write, and removes refusals that were kept for long enough. It gives the recorded time
// of the oldest refusal that is kept then.
func (s *Store) addOutcomes(write *pebble.Batch, last time.Time, outcomes []ports.Outcome) int64 {
	newest := last
	for i := range outcomes {
		if o := &outcomes[i]; o.RecordedAt.After(newest) {
			newest = o.RecordedAt
		}
	}
	// Forgetting comes first: a key may get a new outcome in the same write.
	oldest, err := s.forget(write, newest.Add(-ports.RefusalsKept).UnixMicro(), 64+2*len(outcomes))
	if err != nil {
		s.options.Logf("The store in %s forgets no more refusals until it is opened again: %v", s.options.Dir, err)
		oldest = noRefusal
	}
	for _, i := range sorted(len(outcomes), func(i int) string { return outcomes[i].Key }) {
		o := &outcomes[i]
		if o.Refusal {
			at := o.RecordedAt.UnixMicro()
			_ = write.Set(appendRefusalKey(nil, at, o.Key), nil, nil) // fails for indexed batches alone
			oldest = min(oldest, at)
		}
		s.buffer = appendOutcome(s.buffer[:0], o)
		put(write.SetDeferred(len(o.Key)+1, len(s.buffer)), appendOutcomeKey, o.Key, s.buffer)
	}
	return oldest
}

// forget removes up to limit refusals recorded before a time, in microseconds, and gives the recorded time of the oldest
// that is left. It looks at nothing while there is none so old, and begins behind those that it has removed before.
func (s *Store) forget(write *pebble.Batch, before int64, limit int) (oldest int64, err error) {
	if s.oldest >= before {
		return s.oldest, nil
	}
	refusals, err := s.db.NewIter(&pebble.IterOptions{LowerBound: appendRefusalKey(nil, s.oldest, ""), UpperBound: []byte{tableRefusals + 1}})
	if err != nil {
		return 0, err
	}
	defer refusals.Close()
	for ok := refusals.First(); ok; ok = refusals.Next() {
		at, key, ok := parseRefusalKey(refusals.Key())
		if !ok {
			return 0, fmt.Errorf("%q is not the key of a refusal", refusals.Key())
		}
		if at >= before || limit == 0 {
			return at, nil
		}
		limit--
		if err := s.forgetOne(write, at, key); err != nil {
			return 0, err
		}
	}
	return noRefusal, refusals.Error()
}

// forgetOne removes a refusal from the index, and the outcome unless its key got another one since.
func (s *Store) forgetOne(write *pebble.Batch, at int64, key string) error {
	row := appendOutcomeKey(nil, key)
	v, err := s.get(row)
	if err != nil {
		return err
	}
	if o, err := parseOutcome(key, v); err == nil && o.Refusal && o.RecordedAt.UnixMicro() == at {
		_ = write.Delete(row, nil) // fails for indexed batches alone
	}
	_ = write.Delete(appendRefusalKey(nil, at, key), nil)
	return nil
}
