// Command reference is the least that a durable ledger behind HTTP can be: net/http, Daybook's own strict decoder, a queue, and
// one synced Pebble batch for all deposits that wait, with the rows that Daybook writes. `daybook bench --raw` drives it as it
// drives Daybook, and the difference is what everything else costs. With -bare it writes nothing at all: it decodes the body and
// answers, which is what HTTP alone costs. It is a yardstick, not a program to use.
//
//	go run ./test/bench/reference -addr 127.0.0.1:8081 -dir "$(mktemp -d)/ledger"
//	daybook bench --raw --server http://127.0.0.1:8081
package main

import (
	"crypto/rand"
	"encoding/hex"
	"flag"
	"io"
	"log"
	"net/http"
	"strconv"
	"time"

	"daybook/adapters/wire"
	"daybook/core/account"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/test/bench"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8081", "where to listen")
	dir := flag.String("dir", "reference-data", "where to keep the events; it must not exist")
	bare := flag.Bool("bare", false, "decode and answer, and write nothing")
	flag.Parse()
	s := newServer(*bare)
	if !*bare {
		ledger, err := bench.Open(*dir)
		if err != nil {
			log.Fatal(err)
		}
		go s.commit(ledger)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/accounts/{id}/deposit", s.deposit)
	server := &http.Server{Addr: *addr, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Printf("the reference listens on %s", *addr)
	log.Fatal(server.ListenAndServe())
}

// waiting is a deposit whose request waits for done.
type waiting struct {
	bench.Deposit
	done chan error
}

type server struct {
	bare   bool
	module es.Module
	kind   *es.CommandType
	amount int // of the command's fields, the amount
	queue  chan *waiting
}

// queueLength is how many deposits may wait: more than there are connections.
const queueLength = 4096

func newServer(bare bool) *server {
	s := &server{bare: bare, module: account.Module(func(string) string { return "" }), queue: make(chan *waiting, queueLength)}
	for i := range s.module.Commands {
		if t := &s.module.Commands[i]; t.Name == "deposit" {
			s.kind = t
			for j := range t.Fields {
				if t.Fields[j].Name == "amount" {
					s.amount = j
				}
			}
		}
	}
	return s
}

func (s *server) deposit(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, err := wire.Decode(s.kind, text)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	d := &waiting{done: make(chan error, 1)}
	d.Account, d.Amount = r.PathValue("id"), *s.kind.Slot(body, s.amount).(*int64)
	d.RequestID, d.Key = hex.EncodeToString(id), r.Header.Get("Idempotency-Key")
	if s.bare {
		d.Version, d.Position, d.Balance = 1, 1, d.Amount // an answer of the usual size
	} else {
		s.queue <- d
		if err := <-d.done; err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	answer := wire.AppendAnswer(nil, &s.module, d.Account, &engine.Answer{
		Version: d.Version, Position: d.Position, Balance: d.Balance,
		Events: []engine.EventRef{{Type: "MoneyDeposited", Version: d.Version, Position: d.Position}},
	})
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(answer))}
	h["X-Request-Id"] = []string{d.RequestID}
	h["Daybook-Position"] = []string{strconv.FormatUint(uint64(d.Position), 10)}
	_, _ = w.Write(answer) // a client that left is no failure
}

// group waits for a deposit and takes those that wait with it.
func (s *server) group(group []*waiting) []*waiting {
	group = append(group[:0], <-s.queue)
	for len(group) < cap(group) {
		select {
		case d := <-s.queue:
			group = append(group, d)
		default:
			return group
		}
	}
	return group
}

// commit writes one group after the other, for ever.
func (s *server) commit(ledger *bench.Ledger) {
	group := make([]*waiting, 0, queueLength)
	deposits := make([]*bench.Deposit, 0, queueLength)
	for {
		group, deposits = s.group(group), deposits[:0]
		for _, d := range group {
			deposits = append(deposits, &d.Deposit)
		}
		err := ledger.Commit(deposits)
		for _, d := range group {
			d.done <- err
		}
	}
}
