package es_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"daybook/core/es"
)

func TestWatermarkWakesThoseItHasReachedAndNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w es.Watermark
		reached := map[es.Position]bool{}
		for _, p := range []es.Position{0, 3, 5} {
			go func() {
				if err := w.Wait(t.Context(), p); err != nil {
					t.Error(err)
				}
				reached[p] = true
			}()
			synctest.Wait()
		}
		for _, step := range []struct {
			raise     es.Position
			at        es.Position
			three     bool
			five      bool
			afterward string
		}{
			{0, 0, false, false, "zero changes nothing"},
			{2, 2, false, false, "below both"},
			{3, 3, true, false, "the first is reached exactly"},
			{1, 3, true, false, "it never falls"},
			{9, 9, true, true, "the second is passed"},
		} {
			w.Raise(step.raise)
			synctest.Wait()
			if !reached[0] || reached[3] != step.three || reached[5] != step.five || w.At() != step.at {
				t.Errorf("%s: at %d, reached %v", step.afterward, w.At(), reached)
			}
		}
	})
}

func TestWatermarkWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w es.Watermark
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- w.Wait(ctx, 1) }()
		synctest.Wait()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		w.Raise(1)
		if err := w.Wait(ctx, 1); err != nil {
			t.Errorf("what is reached already needs no context: %v", err)
		}
	})
}

func TestAWatermarkThatWasLoweredIsReachedAgainByRising(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w es.Watermark
		w.Raise(5)
		reached := false
		go func() { reached = w.Wait(t.Context(), 6) == nil }()
		synctest.Wait()
		w.Lower(7)
		if w.At() != 5 {
			t.Errorf("lowered to what is above it, it stands at %d", w.At())
		}
		w.Lower(3)
		w.Raise(5)
		synctest.Wait()
		if reached || w.At() != 5 {
			t.Errorf("at %d, 6 reached: %v", w.At(), reached)
		}
		w.Raise(6)
		synctest.Wait()
		if !reached {
			t.Error("who waited for 6 was forgotten")
		}
	})
}
