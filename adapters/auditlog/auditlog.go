// Package auditlog keeps in the access ledger what was refused and what privileged people did, as events of its own: chained, sealed and
// verified as all events are, and never in the feed of accounts. Each process that writes has a stream of its own, so that none waits
// for another's version; the order of all is that of the ledger.
package auditlog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"daybook/core/access"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Type is the type of the log's events.
const Type = "Audited"

// streamPrefix begins the names of the log's streams.
const streamPrefix = "audit-"

// Bounds of the log.
const (
	writeWithin = 5 * time.Second
	waiting     = 1024 // entries that may wait to be written
	batch       = 256
	maxText     = 500 // bytes of a text that a client can choose
)

// ErrUnwritten: the action was not begun, since nobody could have told who did it.
var ErrUnwritten = fault.New(fault.Unavailable, "audit_unavailable", "The audit log cannot be written right now, and this is not done without: nothing was done.")

// Options say what a log is made of; all are required.
type Options struct {
	Store ports.Store
	Now   func() time.Time
	Log   *slog.Logger
}

// Log is access.AuditLog over a store. Open makes one. One goroutine writes, as much at once as waits: many who wait share one sync.
type Log struct {
	options Options
	queue   chan pending
	dropped atomic.Int64
	running sync.WaitGroup
	closing sync.RWMutex
	closed  bool

	stream  es.StreamID // of the writer
	version es.Version
}

// pending is an entry that is to be written.
type pending struct {
	access.Entry
	written chan error // told what became of it; nil: nobody waits
}

// Open begins a log; what is noted is written until Close.
func Open(o Options) *Log {
	l := &Log{options: o, queue: make(chan pending, waiting)}
	l.begin()
	l.running.Go(l.run)
	return l
}

// Close writes what waits. The store stays open.
func (l *Log) Close() error {
	l.closing.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.closing.Unlock()
	l.running.Wait()
	return nil
}

// begin goes on in a new stream: at the start, and when it is not known where the old one ends.
func (l *Log) begin() {
	l.stream, l.version = es.StreamID(streamPrefix+strings.ToLower(rand.Text())), 0
}

// errClosed: the log takes no more entries.
var errClosed = errors.New("the audit log is closed")

// Record implements access.AuditLog.
func (l *Log) Record(ctx context.Context, e access.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, writeWithin)
	defer cancel()
	written := make(chan error, 1)
	err := l.put(ctx, pending{e, written})
	if err == nil {
		select {
		case err = <-written:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		return ErrUnwritten.Because(err)
	}
	return nil
}

// put waits for room in the queue.
func (l *Log) put(ctx context.Context, p pending) error {
	l.closing.RLock()
	defer l.closing.RUnlock()
	if l.closed {
		return errClosed
	}
	select {
	case l.queue <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Note implements access.AuditLog.
func (l *Log) Note(e access.Entry) {
	l.closing.RLock()
	defer l.closing.RUnlock()
	if !l.closed {
		select {
		case l.queue <- pending{Entry: e}:
			return
		default:
		}
	}
	l.dropped.Add(1)
}

// Dropped is how many notes were not written and not yet counted in the log itself.
func (l *Log) Dropped() int64 { return l.dropped.Load() }

// run writes what comes, as much at once as is there, and tells those who wait.
func (l *Log) run() {
	for first := range l.queue {
		entries := append(make([]pending, 0, batch+1), first)
		for more := true; more && len(entries) < batch; {
			select {
			case p, open := <-l.queue:
				if more = open; open {
					entries = append(entries, p)
				}
			default:
				more = false
			}
		}
		lost := l.dropped.Swap(0)
		if lost > 0 {
			entries = append(entries, pending{Entry: access.Entry{Action: "audit", Outcome: "dropped", Detail: fmt.Sprintf("%d entries before this one could not be written", lost)}})
		}
		err := l.write(entries)
		for _, p := range entries {
			switch {
			case p.written != nil:
				p.written <- err // there is room for it
			case err != nil && p.Action != "audit":
				lost++
			}
		}
		if err != nil {
			l.dropped.Add(lost)
			l.options.Log.Error("the audit log cannot be written", "entries", len(entries), "lost", lost, "error", err)
		}
	}
}

// write appends entries to the stream, in one batch.
func (l *Log) write(entries []pending) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeWithin)
	defer cancel()
	drafts := make([]es.Recorded, len(entries))
	for i := range entries {
		drafts[i] = draft(&entries[i].Entry)
	}
	written, err := ports.Append(ctx, l.options.Store, l.options.Now(), l.stream, l.version, drafts...)
	if err != nil {
		l.begin()
		return err
	}
	l.version += es.Version(len(written))
	return nil
}

// data is what an entry is stored as, beside the metadata.
type data struct {
	Action  string `json:"action"`
	Target  string `json:"target,omitempty"`
	Outcome string `json:"outcome"`
	Address string `json:"address,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func draft(e *access.Entry) es.Recorded {
	body, _ := json.Marshal(data{cut(e.Action), cut(e.Target), cut(e.Outcome), cut(e.Address), cut(e.Detail), cut(e.Reason)}) // texts: it cannot fail
	who := es.Metadata{Principal: cut(e.Subject), RequestID: cut(e.RequestID)}
	return es.Recorded{Type: Type, Schema: 1, Data: body, Metadata: who.AppendJSON(nil)}
}

// cut keeps a text short: an entry has room for what a client sends, not for all that it could send.
func cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "")
}

// Entries implements access.AuditLog. What was done with keys are events of their own, and belong to the log too.
func (l *Log) Entries(ctx context.Context, after uint64, since time.Time, limit int) ([]access.Entry, error) {
	if !since.IsZero() {
		before, err := l.options.Store.PositionAt(ctx, since.Add(-time.Microsecond))
		if err != nil {
			return nil, err
		}
		after = max(after, uint64(before))
	}
	events, err := l.options.Store.ReadFeed(ctx, es.Position(after), limit)
	if err != nil {
		return nil, err
	}
	entries := make([]access.Entry, len(events))
	for i := range events {
		if entries[i], err = entryOf(&events[i]); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// Head implements access.AuditLog.
func (l *Log) Head(ctx context.Context) (uint64, error) {
	head, err := l.options.Store.Head(ctx)
	return uint64(head), err
}

// entryOf reads an event of the access ledger. Of a key's event it shows neither the hash nor more than who and what.
func entryOf(e *es.Recorded) (access.Entry, error) {
	var who es.Metadata
	var d struct {
		data
		Prefix   string   `json:"prefix"`
		Subject  string   `json:"subject"`
		Roles    []string `json:"roles"`
		Replaces string   `json:"replaces"`
	}
	if err := json.Unmarshal(e.Metadata, &who); err != nil {
		return access.Entry{}, errDamaged.Because(err)
	}
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return access.Entry{}, errDamaged.Because(err)
	}
	entry := access.Entry{
		Position: uint64(e.Position), At: e.RecordedAt, Subject: who.Principal, RequestID: who.RequestID,
		Action: d.Action, Target: d.Target, Outcome: d.Outcome, Address: d.Address, Detail: d.Detail, Reason: d.Reason,
	}
	if e.Type != Type {
		entry.Action, entry.Target, entry.Outcome = e.Type, d.Prefix, access.Done
		if d.Subject != "" {
			entry.Detail = "for " + d.Subject + " as " + strings.Join(d.Roles, ", ")
		}
		if d.Replaces != "" {
			entry.Detail += ", instead of " + d.Replaces
		}
	}
	return entry, nil
}

var errDamaged = fault.New(fault.Internal, "store_damaged", "The access ledger is damaged: an entry cannot be read.")
