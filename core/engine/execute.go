package engine

import (
	"context"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Request is one command with all that surrounds it.
type Request struct {
	Command  es.Command
	Key      string      // the idempotency key, "" for none; unique per principal
	Expected *es.Version // only if the stream is at this version
	DryRun   bool        // decide, write nothing
	Again    bool        // a refusal kept under the key is no answer: decide again
	Metadata es.Metadata // goes into the events; CommandID is set from Key, and Principal is who asks
}

// Answer is what a command that was accepted did to the stream it was sent to. Who may not read that stream is told the position alone.
type Answer struct {
	Version  es.Version  // zero: it may not be told, and neither may what follows but for the position
	Position es.Position // the last one the command wrote, in whatever stream
	Balance  int64       // of modules that keep one
	Events   []EventRef  // of the addressed stream
	Replayed bool        // the first answer to this key, given again
}

// EventRef names an event.
type EventRef struct {
	Type     string
	Version  es.Version
	Position es.Position
}

// Result is the outcome of one command: an answer or an error.
type Result struct {
	Answer Answer
	Err    error
}

// Ticket stands for commands that were taken in; Wait gives their results.
type Ticket struct {
	jobs    []job
	atomic  bool
	lane    *Lane           // nil: its order among others means nothing
	ctx     context.Context // of the client: commands whose client has left before they were begun are dropped
	taken   time.Time
	done    chan struct{}
	stopped <-chan struct{}
	single  [1]job
}

// job is one command on its way through the sequencer.
type job struct {
	Request
	referred    *es.Referred  // the earlier event it refers to
	unread      error         // why that could not be read
	streams     []es.StreamID // what the command must see, its own first
	storeKey    string        // principal and key
	fingerprint fingerprint
	metadata    []byte
	result      Result
	standing    standing
	grants      grants
}

// Execute runs one command and waits for its answer. A full queue is ErrOverloaded at once. When ctx ends first the
// outcome is unknown to the caller; with a key the command can be sent again.
func (e *Engine) Execute(ctx context.Context, r Request) (Answer, error) {
	t := &Ticket{}
	t.single[0].Request = r
	t.jobs = t.single[:]
	if err := e.sequencer.submit(ctx, t, false); err != nil {
		return Answer{}, err
	}
	results, err := t.Wait(ctx)
	if err != nil {
		return Answer{}, err
	}
	return results[0].Answer, results[0].Err
}

// Submit takes in commands, waiting while the queue is full, and returns before they are decided. Commands are decided in
// the order in which Submit took them. atomic: all are accepted or none has an effect.
func (e *Engine) Submit(ctx context.Context, atomic bool, requests ...Request) (*Ticket, error) {
	t := &Ticket{atomic: atomic, jobs: make([]job, len(requests))}
	for i, r := range requests {
		t.jobs[i].Request = r
	}
	return t, e.sequencer.submit(ctx, t, true)
}

// Wait gives the results in the order of the requests. Results that are there count, whatever else has ended.
func (t *Ticket) Wait(ctx context.Context) ([]Result, error) {
	var instead error
	select {
	case <-t.done:
	case <-ctx.Done():
		instead = ports.ErrOutcomeUnknown.Because(ctx.Err())
	case <-t.stopped:
		instead = ErrStopping
	}
	select {
	case <-t.done:
	default:
		return nil, instead
	}
	results := make([]Result, len(t.jobs))
	for i := range t.jobs {
		results[i] = t.jobs[i].result
	}
	return results, nil
}

// prepare does what needs no lock and no state, on the caller's goroutine.
func (t *Ticket) prepare(ctx context.Context, o *Options) {
	t.done = make(chan struct{})
	p := o.asking(ctx)
	for i := range t.jobs {
		j := &t.jobs[i]
		j.grants = grantsOf(p, &j.Command)
		if j.Metadata.Principal = ""; p != nil {
			j.Metadata.Principal = p.Subject
		}
		if at, refers := j.Command.Refers(); refers {
			j.referred, j.unread = o.referred(ctx, j.Command.Stream, at)
		}
		j.streams = j.Command.NeededStreams(j.referred)
		if j.Key != "" {
			j.Metadata.CommandID = j.Key
			j.storeKey = j.Metadata.Principal + "\x00" + j.Key
			j.fingerprint = fingerprintOf(&j.Command)
		}
		j.metadata = j.Metadata.AppendJSON(make([]byte, 0, 128))
	}
}

// referred reads the event at p of the stream; nil if the stream has none there. Events never change, so this needs no lock.
func (o *Options) referred(ctx context.Context, stream es.StreamID, p es.Position) (*es.Referred, error) {
	page, err := o.Store.ReadFeed(ctx, p-1, 1)
	if err != nil {
		return nil, err
	}
	if len(page) == 0 || page[0].Stream != stream {
		return nil, nil
	}
	event, err := o.Registry.Decode(&page[0])
	if err != nil {
		return nil, unreadable(err)
	}
	return &es.Referred{Recorded: &page[0], Event: event}, nil
}

// standing says what a job's result rests on, and so what becomes of it when the batch cannot be written.
type standing uint8

const (
	settled   standing = iota // on durable facts alone: it stands whatever happens to the batch
	dependent                 // on something the batch was to write, or it is itself to be kept: nothing happened
	written                   // it has events in the batch: it shares the batch's fate
)

// fail gives a job the result that is true when the batch ended in err.
func (j *job) fail(err error) {
	switch {
	case j.standing == settled:
		return
	case j.standing == dependent && fault.KindOf(err) == fault.Unknown:
		err = ports.ErrStoreUnavailable.Because(err)
	}
	j.result = Result{Err: err}
}
