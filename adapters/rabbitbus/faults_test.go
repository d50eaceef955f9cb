package rabbitbus_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	amqp "github.com/rabbitmq/amqp091-go"

	"daybook/adapters/rabbitbus"
	"daybook/core/ports"
	"daybook/test/faulttable"
	"daybook/test/servers"
)

func TestNoConfirmedMessageIsLostWhenTheBrokerIsKilledUnderLoad(t *testing.T) {
	faulttable.Covers(t, "F34", faulttable.RabbitMQ)
	server := servers.Private(t, "rabbitmq")
	declared := rabbitbus.Options{URL: server.URL(), Prefix: "daybook.", Durable: []ports.Subscription{{Topic: "daybook.events", Name: "s"}}}
	if err := open(t, declared).Close(); err != nil {
		t.Fatal(err)
	}
	// RabbitMQ writes down the name of a new quorum queue a moment after it has declared it, and forgets the queue's messages
	// when it is killed before that. After a restart the name is on disk.
	server.Stop()
	server.Start()
	underLoad(t, server.URL(), "daybook.", 2, func() {
		server.Kill()
		server.Start()
	})
}

func TestNoConfirmedMessageIsLostWhenConnectionsAreCutUnderLoad(t *testing.T) {
	faulttable.Covers(t, "F34", faulttable.RabbitMQ)
	p := newProxy(t)
	underLoad(t, p.url, servers.RabbitPrefix(t), 20, p.cut)
}

// underLoad lets several publishers send numbered messages, each in order, and one subscriber take them, while fault happens some
// times. Each message must come, and for the first time after the one before it of the same publisher.
func underLoad(t *testing.T, url, prefix string, faults int, fault func()) {
	t.Helper()
	const publishers, page, pages = 4, 20, 100
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	topic := prefix + "events"
	broker := open(t, rabbitbus.Options{URL: url, Prefix: prefix, Durable: []ports.Subscription{{Topic: topic, Name: "s"}}})
	var published atomic.Int64
	var running sync.WaitGroup
	for p := range publishers {
		running.Go(func() {
			for n := 0; n < page*pages; n += page {
				if err := broker.Publish(topic, numbered(ctx, strconv.Itoa(p), n, page)...); err != nil {
					t.Errorf("Publish: %v", err)
					return
				}
				published.Add(page)
			}
		})
	}
	out, err := broker.Subscribe(ctx, topic, "s", 8)
	if err != nil {
		t.Fatal(err)
	}
	const total = publishers * page * pages
	seen, repeated, next := map[string]int{}, 0, total/faults/2
	for count := 0; count < total; {
		m := receive(ctx, t, out)
		publisher, number, _ := strings.Cut(m.UUID, "/")
		n, _ := strconv.Atoi(number)
		switch {
		case n > seen[publisher]:
			t.Fatalf("%s came before %d of the same publisher", m.UUID, seen[publisher])
		case n < seen[publisher]:
			repeated++
		default:
			seen[publisher]++
			count++
		}
		m.Ack()
		if count == next {
			next += total / faults
			running.Go(fault)
		}
	}
	running.Wait()
	if published.Load() != total {
		t.Fatalf("%d of %d were published", published.Load(), total)
	}
	t.Logf("%d messages, %d came again", total, repeated)
}

// numbered gives messages whose ids are publisher/number.
func numbered(ctx context.Context, publisher string, from, n int) []*message.Message {
	messages := make([]*message.Message, n)
	for i := range messages {
		messages[i] = message.NewMessageWithContext(ctx, publisher+"/"+strconv.Itoa(from+i), []byte("{}"))
	}
	return messages
}

func receive(ctx context.Context, t *testing.T, from <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, isOpen := <-from:
		if !isOpen {
			t.Fatal("the subscription has ended")
		}
		return m
	case <-ctx.Done():
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

func TestWhatWasOutWhenTheConnectionWasLostComesAgainInOrderOnceItIsSettled(t *testing.T) {
	p := newProxy(t)
	prefix := servers.RabbitPrefix(t)
	broker := open(t, rabbitbus.Options{URL: p.url, Prefix: prefix})
	out, err := broker.Subscribe(t.Context(), prefix+"t", "s", 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Publish(prefix+"t", numbered(t.Context(), "p", 0, 5)...); err != nil {
		t.Fatal(err)
	}
	first := []*message.Message{receive(t.Context(), t, out), receive(t.Context(), t, out), receive(t.Context(), t, out)}
	p.cut()
	for _, m := range first {
		<-m.Context().Done()
	}
	first[1].Ack()
	first[0].Nack()
	select {
	case m := <-out:
		t.Fatalf("%s came while another was still being handled", m.UUID)
	case <-time.After(200 * time.Millisecond):
	}
	first[2].Ack() // too late: the delivery is void
	for n := range 5 {
		m := receive(t.Context(), t, out)
		if want := "p/" + strconv.Itoa(n); m.UUID != want {
			t.Fatalf("got %s, want %s", m.UUID, want)
		}
		m.Ack()
	}
}

func TestPublishAndCloseDoNotHangOnAConnectionThatHangs(t *testing.T) {
	faulttable.Covers(t, "F40", faulttable.RabbitMQ)
	p := newProxy(t)
	prefix := servers.RabbitPrefix(t)
	broker := open(t, rabbitbus.Options{URL: p.url, Prefix: prefix})
	if _, err := broker.Subscribe(t.Context(), prefix+"t", "s", 1); err != nil {
		t.Fatal(err)
	}
	p.frozen.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	messages := numbered(ctx, "p", 0, 2000)
	for _, m := range messages {
		m.Payload = make([]byte, 4096) // more than the buffers between hold
	}
	if err := broker.Publish(prefix+"t", messages...); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Publish: %v", err)
	}
	started := time.Now()
	if err := broker.Close(); err != nil || time.Since(started) > 10*time.Second {
		t.Fatalf("Close: %v after %s", err, time.Since(started))
	}
	if err := broker.Publish(prefix + "t"); !errors.Is(err, rabbitbus.ErrClosed) {
		t.Fatalf("Publish: %v", err)
	}
}

func TestTheBrokerIsHealthyWhileItIsConnected(t *testing.T) {
	p := newProxy(t)
	broker := open(t, rabbitbus.Options{URL: p.url, Patience: 50 * time.Millisecond})
	if err := broker.Healthy(); err != nil {
		t.Fatal(err)
	}
	p.refusing.Store(true)
	p.cut()
	await(t, func() bool { return broker.Healthy() != nil })
	err := broker.Publish(servers.RabbitPrefix(t)+"t", message.NewMessage("1", nil))
	if err == nil || strings.Contains(err.Error(), password(t)) {
		t.Fatalf("Publish: %v", err)
	}
	p.refusing.Store(false)
	await(t, func() bool { return broker.Healthy() == nil })
}

func TestOpenSaysAtOnceWhatOnlyAnOperatorCanMend(t *testing.T) {
	shared, prefix := servers.Rabbit(t), servers.RabbitPrefix(t)
	ch := channel(t)
	if _, err := ch.QueueDeclare(prefix+"commands", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	commands := ports.Subscription{Topic: prefix + "commands", Name: "commands"}
	for name, c := range map[string]struct {
		options rabbitbus.Options
		want    []string
	}{
		"a queue with other properties": {
			rabbitbus.Options{URL: shared, Prefix: prefix, Durable: []ports.Subscription{commands}}, []string{prefix + "commands", "delete it", "inequivalent arg"},
		},
		"a wrong password":     {rabbitbus.Options{URL: strings.Replace(shared, password(t)+"@", "S3cret@", 1)}, []string{"username or password"}},
		"a vhost that is not":  {rabbitbus.Options{URL: shared + "-not"}, []string{"not found"}},
		"a URL that is no URL": {rabbitbus.Options{URL: "amqp://u:S3cret@h:port/%zz"}, []string{"amqp://user:password@host"}},
	} {
		_, err := rabbitbus.Open(t.Context(), c.options)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
		if strings.Contains(err.Error(), "S3cret") || strings.Contains(err.Error(), ":"+password(t)+"@") {
			t.Errorf("%s: the error shows the password", name)
		}
	}
}

func TestABrokerThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	faulttable.Covers(t, "F65", faulttable.RabbitMQ)
	broker, err := rabbitbus.Open(t.Context(), rabbitbus.Options{URL: "amqp://u:S3cret@127.0.0.1:1/", StartPatience: time.Millisecond, Patience: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	await(t, func() bool { return broker.Healthy() != nil })
	err = broker.Publish("t", message.NewMessage("1", nil))
	if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "S3cret") {
		t.Errorf("to publish: %v", err)
	}
}

func password(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(servers.Rabbit(t))
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	secret, _ := u.User.Password()
	return secret
}

// channel is a channel of a client of somebody else.
func channel(t *testing.T) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(servers.Rabbit(t))
	if err != nil {
		t.Fatal("connect")
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func await(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(30 * time.Second); !condition(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it never became so")
		}
	}
}

// proxy stands between a client and the shared server.
type proxy struct {
	url      string
	frozen   atomic.Bool // passes nothing more, and closes nothing
	refusing atomic.Bool // closes new connections at once

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	target, err := url.Parse(servers.Rabbit(t))
	if err != nil {
		t.Fatal("the server's URL cannot be read")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target.Host)
			if err != nil || p.refusing.Load() {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			running.Go(func() { p.pass(client, server) })
			running.Go(func() { p.pass(server, client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		running.Wait()
	})
	front := *target
	front.Host = listener.Addr().String()
	p.url = front.String()
	return p
}

func (p *proxy) pass(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if p.frozen.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut closes all connections that are there.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range slices.Backward(p.conns) {
		c.Close()
	}
	p.conns = nil
}
