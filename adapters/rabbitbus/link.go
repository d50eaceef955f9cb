package rabbitbus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	grace       = time.Second      // for what ends in order before it is ended without
	handshake   = 10 * time.Second // for a connection to be opened
	firstPause  = 50 * time.Millisecond
	longestRest = 2 * time.Second
)

// link keeps one connection to the broker from the first time it is asked for until it is closed.
type link struct {
	options Options
	name    string
	prepare func(*session) error // makes a session fit for use

	ctx     context.Context
	end     context.CancelFunc
	start   sync.Once
	running sync.WaitGroup

	mu      sync.Mutex
	current *session      // nil while there is none
	why     error         // why there is none; nil before the first attempt has ended
	changed chan struct{} // closed and replaced when the two change
}

// session is one connection while it lasts.
type session struct {
	conn    *amqp.Connection
	closed  chan *amqp.Error       // tells that the connection is closed
	blocked atomic.Pointer[string] // why the broker takes no messages at the moment
	outbox  *outbox                // of a publishing session

	once sync.Once
	done chan struct{} // closed when the session is over
	err  error         // why; set when done is closed
}

func newSession(conn *amqp.Connection) *session {
	return &session{conn: conn, closed: conn.NotifyClose(make(chan *amqp.Error, 1)), done: make(chan struct{})}
}

// lose says that the session is over; the first reason counts.
func (s *session) lose(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.done)
	})
}

// shut closes the connection, which ends all that still waits for it.
func (s *session) shut(err error) {
	s.lose(err)
	s.conn.CloseDeadline(time.Now().Add(grace)) //nolint:errcheck // it is gone either way
}

func newLink(o Options, name string, prepare func(*session) error) *link {
	l := &link{options: o, name: name, prepare: prepare, changed: make(chan struct{})}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

// session waits for a connection: until ctx ends or, when it has no deadline, for as long as the options say. It does not wait
// where only an operator can help.
func (l *link) session(ctx context.Context) (*session, error) {
	l.start.Do(func() { l.running.Go(l.keep) })
	var patience <-chan time.Time
	if _, limited := ctx.Deadline(); !limited {
		timer := time.NewTimer(l.options.Patience)
		defer timer.Stop()
		patience = timer.C
	}
	for {
		s, changed, why := l.state()
		switch {
		case l.ctx.Err() != nil:
			return nil, ErrClosed
		case s != nil:
			return s, nil
		case hopeless(why):
			return nil, why
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), why)
		case <-patience:
			return nil, errors.Join(fmt.Errorf("rabbitbus: no connection within %s", l.options.Patience), why)
		}
	}
}

// state is the present connection, or why there is none, and what is closed when that changes.
func (l *link) state() (current *session, changed <-chan struct{}, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current, l.changed, l.why
}

func (l *link) set(s *session, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current, l.why = s, why
	close(l.changed)
	l.changed = make(chan struct{})
}

// healthy is nil while the connection stands or nobody has asked for one.
func (l *link) healthy() error {
	s, _, why := l.state()
	if s == nil {
		return why
	}
	if reason := s.blocked.Load(); reason != nil {
		return fmt.Errorf("rabbitbus: the broker takes no messages: %s", *reason)
	}
	return nil
}

// keep connects again and again until the link is closed.
func (l *link) keep() {
	for failures := 0; l.ctx.Err() == nil; failures++ {
		s, err := l.connect()
		if err == nil {
			failures = 0
			l.set(s, nil)
			err = l.watch(s)
		}
		l.set(nil, err)
		if l.ctx.Err() == nil {
			l.options.Log.Warn("the connection to RabbitMQ is not there", "for", l.name, "failures", failures+1, "error", err)
			rest(l.ctx, backoff(failures))
		}
	}
}

// watch returns when the session is over and its connection closed, and why.
func (l *link) watch(s *session) error {
	blocked := s.conn.NotifyBlocked(make(chan amqp.Blocking, 1))
	for {
		select {
		case b, open := <-blocked:
			switch {
			case !open:
				blocked = nil
			case b.Active:
				s.blocked.Store(&b.Reason)
			default:
				s.blocked.Store(nil)
			}
		case err := <-s.closed:
			if err == nil {
				err = amqp.ErrClosed
			}
			s.lose(words("the connection was lost", err))
		case <-l.ctx.Done():
			s.lose(ErrClosed)
		case <-s.done:
			s.shut(nil)
			return s.err
		}
	}
}

// connect opens a connection and prepares it.
func (l *link) connect() (*session, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName("daybook " + l.name)
	var raw net.Conn
	release := func() bool { return true }
	defer func() { release() }()
	conn, err := amqp.DialConfig(l.options.URL, amqp.Config{
		Heartbeat:  l.options.Heartbeat,
		Properties: properties,
		Dial: func(network, address string) (_ net.Conn, err error) {
			if raw, err = l.dial(network, address); err == nil {
				// until the session is fit for use, closing the link ends it the hard way
				release = context.AfterFunc(l.ctx, func() { raw.Close() }) //nolint:errcheck // the handshake tells
			}
			return raw, err
		},
	})
	if err != nil {
		if raw != nil {
			raw.Close() //nolint:errcheck // the first error counts
		}
		return nil, words("RabbitMQ cannot be reached", err)
	}
	s := newSession(conn)
	if err := l.prepare(s); err != nil {
		s.shut(err)
		return nil, err
	}
	return s, nil
}

// dial opens a connection on which the handshake cannot take for ever.
func (l *link) dial(network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: handshake}
	conn, err := dialer.DialContext(l.ctx, network, address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(handshake)); err != nil { // cleared when the connection is open
		conn.Close() //nolint:errcheck // the first error counts
		return nil, err
	}
	return gather(conn), nil
}

func (l *link) close() {
	l.end()
	l.running.Wait()
}

// hopeless reports whether trying again without an operator's help is no use.
func hopeless(err error) bool {
	var e *amqp.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case amqp.AccessRefused, amqp.PreconditionFailed, amqp.NotAllowed:
		return true
	}
	return false
}

// backoff is the pause after so many failures in a row: it doubles, and differs from one process to the next.
func backoff(failures int) time.Duration {
	pause := min(firstPause<<min(failures, 10), longestRest)
	return pause/2 + rand.N(pause/2) //nolint:gosec // nobody need be unable to guess it
}

// rest lets the pause pass and reports whether the context goes on.
func rest(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
