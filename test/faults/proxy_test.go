package faults

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// network is a proxy in front of a server, on which what goes by can be held up, slowed down or cut.
type network struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

// between puts a proxy in front of the server at the URL.
func between(t *testing.T, address string) *network {
	t.Helper()
	registerCut()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), t.Name(), "127.0.0.1:0", u.Host)
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Stop)
	return &network{t, proxy}
}

// host is where the proxy listens.
func (n *network) host() string { return n.proxy.Listen }

// suffer adds a toxic in each of the directions ("upstream", "downstream") and takes it away when the function it gives is called.
func (n *network) suffer(kind, attributes string, directions ...string) (end func()) {
	n.t.Helper()
	for _, d := range directions {
		body := fmt.Sprintf(`{"name":%q,"type":%q,"stream":%q,"attributes":{%s}}`, kind+"_"+d, kind, d, attributes)
		if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(body)); err != nil {
			n.t.Fatal(err)
		}
	}
	return func() {
		for _, d := range directions {
			if err := n.proxy.Toxics.RemoveToxic(n.t.Context(), kind+"_"+d); err != nil {
				n.t.Error(err)
			}
		}
	}
}

// swallow lets nothing through, in either direction, and closes no connection: the other side just says nothing any more. When
// it ends those connections are closed, as what was swallowed cannot be made up for.
func (n *network) swallow() (end func()) {
	return n.suffer("timeout", `"timeout":0`, "upstream", "downstream")
}

// reset resets connections, over and over.
func (n *network) reset() (end func()) {
	return n.suffer("reset_peer", `"timeout":200`, "downstream")
}

// refuse closes all connections and lets nobody in.
func (n *network) refuse() (end func()) {
	n.t.Helper()
	n.proxy.Stop()
	return func() {
		if err := n.proxy.Start(); err != nil {
			n.t.Error(err)
		}
	}
}

// delay adds so many milliseconds to each answer.
func (n *network) delay(milliseconds int) (end func()) {
	return n.suffer("latency", fmt.Sprintf(`"latency":%d`, milliseconds), "downstream")
}

// cutCommits lets one in so many answers to a commit through by half and then closes the connection. It gives how many were cut.
func (n *network) cutCommits(every int) (end func(), cut func() int64) {
	return n.sufferCommits(fmt.Sprintf(`"every":%d`, every))
}

// cutCommitAndSwallow cuts the next answer to a commit, and lets nothing through from then on, as swallow does.
func (n *network) cutCommitAndSwallow() (end func(), cut func() int64) {
	return n.sufferCommits(`"every":1,"silent":true`)
}

func (n *network) sufferCommits(attributes string) (end func(), met func() int64) {
	counts := new(commitCounts)
	commits.Store(n.host(), counts)
	end = n.suffer("cut_commit", fmt.Sprintf(`"network":%q,`, n.host())+attributes, "downstream")
	return end, counts.met.Load
}

// cutCommit is a toxic that knows one thing of PostgreSQL's protocol: how the answer to COMMIT begins and ends.
type cutCommit struct {
	Network string `json:"network"` // whose counts these are
	Every   int64  `json:"every"`
	Silent  bool   `json:"silent"` // from then on nobody on the network is answered
}

// commitCounts is what a network has seen since its toxic came. Its connections share it, and no other network does.
type commitCounts struct{ seen, met atomic.Int64 }

var (
	registerCut = sync.OnceFunc(func() { toxics.Register("cut_commit", new(cutCommit)) })
	commits     sync.Map // host of a network -> *commitCounts
)

// committed is the message CommandComplete of a commit.
var committed = []byte("C\x00\x00\x00\x0bCOMMIT\x00")

// Pipe implements toxics.Toxic.
func (c *cutCommit) Pipe(stub *toxics.ToxicStub) {
	counts, _ := commits.Load(c.Network)
	n := counts.(*commitCounts)
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			at := bytes.Index(chunk.Data, committed)
			met := at >= 0 && n.seen.Add(1)%c.Every == 0 && (!c.Silent || n.met.Load() == 0)
			if met {
				n.met.Add(1)
			}
			switch {
			case met:
				stub.Output <- &stream.StreamChunk{Timestamp: chunk.Timestamp, Data: chunk.Data[:at+len(committed)/2]}
				stub.Close()
				return
			case !c.Silent || n.met.Load() == 0:
				stub.Output <- chunk
			}
		}
	}
}

// Cleanup implements toxics.CleanupToxic: what was swallowed cannot be made up for.
func (c *cutCommit) Cleanup(stub *toxics.ToxicStub) {
	if c.Silent && !stub.Closed() {
		stub.Close()
	}
}
