package engine

import (
	"context"
	"errors"
	"testing"
)

func TestProjectingEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	ended, end := context.WithCancel(t.Context())
	end()
	for range 100 { // the reader may or may not get its last page across
		if err := w.engine.projector.catchUp(ended); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
}
