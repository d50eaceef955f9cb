package rabbitbus

import (
	"net"
	"sync"
	"time"
)

// gatherLimit is how many bytes may wait to be written before Write blocks.
const gatherLimit = 256 << 10

// gathering is a connection whose small writes are written together: those that come while one is being written. The client
// writes each message by itself; one system call and one packet for many is most of the speed of publishing.
type gathering struct {
	net.Conn
	mu      sync.Mutex
	changed sync.Cond // of what follows
	waiting []byte
	err     error // of an earlier write, or that the connection is closed
	closing bool
	ended   chan struct{} // closed when nothing more is written
}

func gather(conn net.Conn) *gathering {
	g := &gathering{Conn: conn, ended: make(chan struct{})}
	g.changed.L = &g.mu
	go g.write()
	return g
}

// Write takes p to be written soon; an error is that of an earlier write.
func (g *gathering) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.waiting) > gatherLimit && g.err == nil && !g.closing {
		g.changed.Wait()
	}
	switch {
	case g.err != nil:
		return 0, g.err
	case g.closing:
		return 0, net.ErrClosed
	}
	g.waiting = append(g.waiting, p...)
	g.changed.Broadcast()
	return len(p), nil
}

// write writes what waits until the connection is closed or fails.
func (g *gathering) write() {
	defer close(g.ended)
	var writing []byte
	for {
		g.mu.Lock()
		for len(g.waiting) == 0 && !g.closing {
			g.changed.Wait()
		}
		writing, g.waiting = g.waiting, writing[:0]
		done := len(writing) == 0
		g.changed.Broadcast()
		g.mu.Unlock()
		if done {
			return
		}
		if _, err := g.Conn.Write(writing); err != nil {
			g.mu.Lock()
			g.err = err
			g.changed.Broadcast()
			g.mu.Unlock()
			g.Conn.Close() //nolint:errcheck // the reader learns of it
			return
		}
	}
}

// Close writes what waits, unless that takes long, and closes the connection.
func (g *gathering) Close() error {
	g.mu.Lock()
	g.closing = true
	g.changed.Broadcast()
	g.mu.Unlock()
	unblock := time.AfterFunc(grace, func() { g.Conn.Close() }) //nolint:errcheck // told by the second
	defer unblock.Stop()
	<-g.ended
	return g.Conn.Close()
}
