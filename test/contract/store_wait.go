package contract

import (
	"context"
	"sync"
	"testing"

	"daybook/core/es"
	"daybook/core/ports"
)

func waitCases() []storeCase {
	return []storeCase{
		{"wait returns at once when the head is past the position", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(5, "a")...)
			for past := range es.Position(5) {
				if err := s.Wait(patience(t), past); err != nil {
					t.Errorf("past %d: %v", past, err)
				}
			}
		}},
		{"wait is woken by the commit that takes the head past the position, not before", func(t *testing.T, s ports.Store) {
			woken := make(chan error)
			for past := range es.Position(3) {
				go func() {
					err := s.Wait(patience(t), past)
					if h, _ := s.Head(t.Context()); err == nil && h <= past {
						t.Errorf("wait past %d was woken at head %d", past, h)
					}
					woken <- err
				}()
			}
			for n := range es.Position(3) {
				writeEvents(t, s, at(n+1, "a", es.Version(n+1)))
				if err := <-woken; err != nil {
					t.Error(err)
				}
			}
		}},
		{"wait returns the error of a context that ends", func(t *testing.T, s ports.Store) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Wait(ctx, 0) }()
			cancel()
			wantIs(t, "wait", <-done, context.Canceled)
		}},
	}
}

func closeCases() []storeCase {
	return []storeCase{
		{"closing twice is no error", func(t *testing.T, s ports.Store) {
			for range 3 {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}},
		{"waiting calls return when the store is closed", func(t *testing.T, s ports.Store) {
			u := begin(t, s, ports.Needs{})
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					wantIs(t, "wait", s.Wait(patience(t), 0), ports.ErrStoreClosed)
				})
				wg.Go(func() {
					_, err := s.Begin(patience(t), ports.Needs{})
					wantIs(t, "begin", err, ports.ErrStoreClosed)
				})
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			u.Rollback()
		}},
		{"calls after a close fail with ErrStoreClosed", func(t *testing.T, s ports.Store) {
			writeEvents(t, s, sequence(1, "a")...)
			u := begin(t, s, ports.Needs{})
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			ctx := t.Context()
			for what, call := range map[string]func() error{
				"begin":           func() error { _, err := s.Begin(ctx, ports.Needs{}); return err },
				"commit":          func() error { return u.Commit(ctx, ports.Batch{Events: []es.Recorded{at(2, "a", 2)}}) },
				"head":            func() error { _, err := s.Head(ctx); return err },
				"read stream":     func() error { _, err := s.ReadStream(ctx, "a", 0, 1); return err },
				"save snapshots":  func() error { return s.SaveSnapshots(ctx, []ports.Snapshot{{Stream: "a", Position: 1}}) },
				"snapshot":        func() error { _, err := s.Snapshot(ctx, "a", 1); return err },
				"read feed":       func() error { _, err := s.ReadFeed(ctx, 0, 1); return err },
				"position at":     func() error { _, err := s.PositionAt(ctx, epoch); return err },
				"tree":            func() error { _, err := s.Tree(ctx); return err },
				"tree nodes":      func() error { _, err := s.TreeNodes(ctx, 1, 0, 1); return err },
				"archived":        func() error { _, err := s.Archived(ctx); return err },
				"forget":          func() error { return s.Forget(ctx, 1) },
				"outcome":         func() error { _, err := s.Outcome(ctx, "k"); return err },
				"wait":            func() error { return s.Wait(ctx, 1) },
				"checkpoint":      func() error { _, err := s.Checkpoint(ctx, "c"); return err },
				"checkpoints":     func() error { _, err := s.Checkpoints(ctx); return err },
				"save checkpoint": func() error { return s.SaveCheckpoint(ctx, "c", 0, 2) },
				"lease":           func() error { _, err := s.Lease(ctx, "l", "h", long); return err },
				"release":         func() error { return s.Release(ctx, "l", 1) },
			} {
				wantIs(t, what, call(), ports.ErrStoreClosed)
			}
			u.Rollback()
		}},
		{"a close while many write lets each commit be whole or refused", func(t *testing.T, s ports.Store) {
			var wg sync.WaitGroup
			for _, stream := range []es.StreamID{"a", "b", "c", "d"} {
				wg.Go(func() {
					for v := es.Version(0); ; v++ {
						if _, err := ports.Append(patience(t), s, epoch, stream, v, draft(1)); err != nil {
							wantIs(t, "append", err, ports.ErrStoreClosed)
							return
						}
					}
				})
			}
			if err := s.Wait(patience(t), 10); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
		}},
	}
}
