package asyncapi

import (
	"context"
	"sync"

	"daybook/core/es"
	"daybook/core/ports"
)

// capture is a bus that keeps what is published and does nothing else.
type capture struct {
	ports.Bus
	mu    sync.Mutex
	kept  []ports.Message
	ready chan struct{} // gets a value after each Publish
}

func (c *capture) Publish(_ context.Context, _ string, messages ...ports.Message) error {
	c.mu.Lock()
	c.kept = append(c.kept, messages...)
	c.mu.Unlock()
	c.ready <- struct{}{}
	return nil
}

func (c *capture) take() []ports.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.kept
	c.kept = nil
	return kept
}

// silent looks away.
type silent struct{}

func (silent) Decided(ports.Decision)               {}
func (silent) Committed(ports.Commit)               {}
func (silent) Relayed(ports.Passage)                {}
func (silent) Projected(ports.Passage, es.Position) {}
func (silent) Parked(_, _ string, _ error)          {}
func (silent) Failed(string, error)                 {}
