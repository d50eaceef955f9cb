package oteltracer

import (
	"log/slog"
	"sync"
	"time"
)

// complaints log what the SDK could not do, once in a while: a collector that is away must not fill the log.
type complaints struct {
	log   *slog.Logger
	mu    sync.Mutex
	last  time.Time
	quiet int // complaints since then that were not logged
}

func newComplaints(log *slog.Logger) *complaints { return &complaints{log: log} }

// complainEvery is the least time between two lines.
const complainEvery = time.Minute

// Handle takes one complaint.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.last.IsZero() && now.Sub(c.last) < complainEvery {
		c.quiet++
		return
	}
	c.log.Warn("traces could not be delivered and are lost", "error", err, "others", c.quiet)
	c.last, c.quiet = now, 0
}
