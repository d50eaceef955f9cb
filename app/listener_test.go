package app

import (
	"errors"
	"net"
	"testing"
)

func TestClientsLeaveFilesToTheStore(t *testing.T) {
	for files, want := range map[int]int{64: 8, 100: 36, 128: 64, 256: 192, 1024: 768, 1 << 20: 3 << 18} {
		if got := connections(files); got != want {
			t.Errorf("of %d files, clients may have %d, want %d", files, got, want)
		}
	}
}

func TestConnectionsBeyondTheBoundWaitUntilOneCloses(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := bound(inner, 16) // two at a time
	accepted, ended := make(chan net.Conn), make(chan error)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- conn
		}
	}()
	for range 4 {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	one, two := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Fatal("a third one was let in")
	default:
	}
	_ = one.Close()
	_ = one.Close() // makes room once
	three := <-accepted
	if err := errors.Join(l.Close(), two.Close(), three.Close()); err != nil {
		t.Error(err)
	}
	for {
		select {
		case conn := <-accepted: // it came before the end
			_ = conn.Close()
			continue
		case err := <-ended:
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
		return
	}
}
