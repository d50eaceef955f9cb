package pgstore

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

// proxy stands between the store and the server, and cuts connections at a place of the test's choice.
type proxy struct {
	listener net.Listener
	server   string
	mu       sync.Mutex
	conns    map[net.Conn]bool
	trap     func(toServer bool, sent []byte) bool // true cuts the connection instead of passing the bytes on
	closed   bool                                  // lets nobody in
	done     sync.WaitGroup
}

// through gives the shared server's URL by way of a proxy.
func through(t *testing.T) (*proxy, string) {
	t.Helper()
	address, err := url.Parse(servers.Postgres(t))
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	p := &proxy{server: address.Host, conns: map[net.Conn]bool{}}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p.done.Go(p.serve)
	t.Cleanup(func() {
		_ = p.listener.Close()
		p.cut()
		p.done.Wait()
	})
	address.Host = p.listener.Addr().String()
	return p, address.String()
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		p.mu.Lock()
		refused := p.closed || err != nil
		if !refused {
			p.conns[client], p.conns[server] = true, true
		}
		p.mu.Unlock()
		if refused {
			_ = client.Close()
			if server != nil {
				_ = server.Close()
			}
			continue
		}
		p.done.Go(func() { p.pass(client, server, true) })
		p.done.Go(func() { p.pass(server, client, false) })
	}
}

func (p *proxy) pass(from, to net.Conn, toServer bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		cut := n > 0 && p.trap != nil && p.trap(toServer, buffer[:n])
		p.mu.Unlock()
		if err != nil || cut {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) set(trap func(toServer bool, sent []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = trap
}

func (p *proxy) shut(closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = closed
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// committed shows in what the server sends when a transaction has been committed, and key in what a client sends to write one.
var committed, key = []byte("COMMIT\x00"), []byte("key of ")

// once is a trap that goes off at the first sight of what.
func once(server bool, what []byte) func(bool, []byte) bool {
	sprung := false
	return func(toServer bool, sent []byte) bool {
		if sprung || toServer != server || !bytes.Contains(sent, what) {
			return false
		}
		sprung = true
		return true
	}
}

func TestACommitWhoseAnswerIsLostIsFoundToBeThere(t *testing.T) {
	faulttable.Covers(t, "F24", faulttable.PostgreSQL)
	noLeaks(t)
	p, url := through(t)
	s := open(t, Options{URL: url})
	mustWrite(t, s)
	p.set(once(false, committed))
	mustWrite(t, s)
	wantHead(t, s, 2)
	mustWrite(t, s)
	_ = s.Close()
}

func TestACommitThatDidNotReachTheServerIsAnsweredAsNotWritten(t *testing.T) {
	noLeaks(t)
	p, url := through(t)
	s := open(t, Options{URL: url})
	mustWrite(t, s)
	p.set(once(true, key))
	if err := write(patience(t), s); !errors.Is(err, ports.ErrStoreUnavailable) {
		t.Errorf("got %v, want that nothing was written", err)
	}
	wantHead(t, s, 1)
	mustWrite(t, s)
	_ = s.Close()
}

func TestACommitThatNobodyCanBeAskedAboutIsUnknownWithinItsBound(t *testing.T) {
	faulttable.Covers(t, "F24", faulttable.PostgreSQL)
	noLeaks(t)
	p, url := through(t)
	s := open(t, Options{URL: url, settleWithin: 500 * time.Millisecond})
	mustWrite(t, s)
	cut := once(false, committed)
	p.set(func(toServer bool, sent []byte) bool {
		hit := cut(toServer, sent)
		p.closed = p.closed || hit // the trap is asked under the lock
		return hit
	})
	if err := write(patience(t), s); !errors.Is(err, ports.ErrOutcomeUnknown) {
		t.Errorf("got %v, want that the outcome is unknown", err)
	}
	p.shut(false)
	wantHead(t, s, 2)
	mustWrite(t, s)
	_ = s.Close()
}

func TestAConnectionLostWhileIdleCostsNothing(t *testing.T) {
	noLeaks(t)
	p, url := through(t)
	s := open(t, Options{URL: url})
	for range 5 {
		mustWrite(t, s)
		if _, err := s.ReadFeed(patience(t), 0, 10); err != nil {
			t.Fatal(err)
		}
		p.cut()
	}
	wantHead(t, s, 5)
	_ = s.Close()
}

func TestAServerThatSaysNothingIsGivenUp(t *testing.T) {
	faulttable.Covers(t, "F23", faulttable.PostgreSQL)
	noLeaks(t)
	p, url := through(t)
	s := open(t, Options{URL: url, UnitTimeout: 250 * time.Millisecond, settleWithin: 500 * time.Millisecond})
	mustWrite(t, s)
	hole, fill := io.Pipe()
	p.set(func(toServer bool, _ []byte) bool { // holds back what the server says
		if !toServer {
			p.mu.Unlock()
			_, _ = hole.Read(make([]byte, 1))
			p.mu.Lock()
		}
		return !toServer
	})
	if err := write(patience(t), s); !errors.Is(err, ports.ErrStoreUnavailable) {
		t.Errorf("got %v, want that the store is unavailable", err)
	}
	_ = fill.Close()
	p.set(nil)
	mustWrite(t, s)
	wantHead(t, s, 2)
	_ = s.Close()
}
