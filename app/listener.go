package app

import (
	"net"
	"sync"
)

// What a process keeps for itself of the files that it may have open: the store's, and its connections to servers. A store that
// cannot open its next file stops for good, so clients must never be able to take them all.
const (
	leastOwnFiles = 64
	ownFiles      = 4 // a quarter, where that is more
)

// connections is how many clients may be connected at a time where so many files may be open.
func connections(files int) int {
	return max(files/8, files-max(leastOwnFiles, files/ownFiles))
}

// bounded is a listener that lets so many connections in at a time. The others wait until one closes.
type bounded struct {
	net.Listener
	taken  chan struct{} // one for each connection
	closed chan struct{}
	close  func() error
}

// bound bounds a listener by the files that the process may have open.
func bound(l net.Listener, files int) net.Listener {
	if files == 0 {
		return l
	}
	b := &bounded{Listener: l, taken: make(chan struct{}, connections(files)), closed: make(chan struct{})}
	b.close = sync.OnceValue(func() error {
		close(b.closed)
		return l.Close()
	})
	return b
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.taken <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.taken
		return nil, err
	}
	return &boundedConn{conn, sync.OnceFunc(func() { <-b.taken })}, nil
}

// Close implements net.Listener.
func (b *bounded) Close() error { return b.close() }

// boundedConn makes room for another connection when it closes.
type boundedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
