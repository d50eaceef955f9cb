package asyncapi

import (
	"context"
	"sync"

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
