// Package msgapi takes commands from the bus: the same envelopes and the same rules as over HTTP, answered to the topic the
// message names. It knows the bus as a port; what carries it is not its business.
package msgapi

import (
	"context"
	"errors"
	"strings"

	"daybook/adapters/wire"
	"daybook/core/access"
	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
	"daybook/core/ports"
)

// Headers of command messages and their answers.
const (
	HeaderReplyTo       = "replyTo"       // the topic that gets the answer, none of the ledger's own; without it only dead letters tell of a failure
	HeaderCorrelationID = "correlationId" // kept in the events' metadata and given back with the answer; the message's id when missing
	HeaderAuthorization = "authorization" // as in HTTP: Bearer and a key or a token
	HeaderTraceparent   = "traceparent"   // W3C trace context, kept in the events' metadata
)

// errReplyTo: nobody can be answered, and nothing is done. Its code is that of headers in HTTP.
var errReplyTo = fault.New(fault.Invalid, "invalid_header", "The header replyTo names a topic of the ledger itself: answers would be taken for commands, events or dead letters.")

// Topic is where commands are taken from, under the prefix of a deployment.
func Topic(prefix string) string { return prefix + ".commands" }

// API takes commands from a bus.
type API struct {
	options  Options
	engine   *engine.Engine
	bus      ports.Bus
	registry *es.Registry
}

// Options are what an API may be told; the zero Options are right where nobody is asked who they are.
type Options struct {
	// Authenticate says who sends a message, by its header authorization, "" if it has none; its error is the answer. Default:
	// everybody is access.Local. It may be called concurrently.
	Authenticate func(ctx context.Context, authorization string) (*access.Principal, error)
	Audit        access.AuditLog // is told of refusals; default: nobody is
}

// New makes an API; Subscribe starts it.
func New(e *engine.Engine, bus ports.Bus, registry *es.Registry, o Options) *API {
	if o.Authenticate == nil {
		o.Authenticate = func(context.Context, string) (*access.Principal, error) { return access.Local, nil }
	}
	return &API{o, e, bus, registry}
}

// Subscriber is the name under which commands are taken: one process at a time is served.
const Subscriber = "commands"

// inFlight is how many commands may be on their way to the sequencer at once.
const inFlight = 1024

// Subscribe takes commands from the topic until ctx ends, in the order in which they came.
func (a *API) Subscribe(ctx context.Context, topic string) error {
	lane := a.engine.Lane()
	return a.bus.SubscribeAhead(ctx, ports.Subscription{Topic: topic, Name: Subscriber}, inFlight,
		func(ctx context.Context, m ports.Message) func() error { return a.start(ctx, lane, m) })
}

// start sends one command on its way; it waits while the engine's queue is full. What cannot ever succeed ends in an error
// of that kind, so that the message goes to the dead letters: an envelope that cannot be read, and a refusal that nobody
// asked to hear, also of who may not give the command. What may succeed later ends in an error too, and is started again; the envelope's id makes that safe.
func (a *API) start(ctx context.Context, lane *engine.Lane, m ports.Message) func() error {
	// gofail: var beforeDecodeMessage struct{}
	envelope, err := wire.DecodeEnvelope(a.registry, m.Body)
	principal, unknown := a.identify(ctx, m)
	switch {
	case unknown != nil:
		if !ports.Dead(unknown) {
			lane.Failed(envelope.ID)
		}
		return func() error { return a.refuse(ctx, m, envelope.ID, engine.Answer{}, unknown, false) }
	case a.replyTo(m) != m.Headers[HeaderReplyTo]:
		return func() error {
			return a.refuse(access.As(ctx, principal), m, envelope.ID, engine.Answer{}, errReplyTo, true)
		}
	case err != nil:
		return func() error { return a.refuse(access.As(ctx, principal), m, envelope.ID, engine.Answer{}, err, true) }
	}
	ctx = access.As(ctx, principal)
	request := envelope.Request(metadata(m))
	request.Again = m.Headers[ports.HeaderRetry] != ""
	// gofail: var afterDecodeMessage struct{}
	ticket, err := lane.Submit(ctx, request)
	if err != nil {
		return func() error { return err }
	}
	return func() error {
		results, err := ticket.Wait(ctx)
		if err != nil {
			return err
		}
		if err := results[0].Err; err != nil {
			return a.refuse(ctx, m, envelope.ID, results[0].Answer, err, false)
		}
		// gofail: var beforeReply struct{}
		err = a.reply(ctx, m, wire.AppendAnswerLine(nil, &envelope, &results[0].Answer))
		// gofail: var afterReplyBeforeMark struct{}
		return err
	}
}

// refuse answers an error that is final and leaves all others to be tried again.
func (a *API) refuse(ctx context.Context, m ports.Message, id string, answer engine.Answer, err error, dead bool) error {
	if !ports.Dead(err) {
		return err
	}
	a.note(ctx, m, err)
	problem := wire.NewProblem(err, "", "")
	if replyErr := a.reply(ctx, m, wire.AppendErrorLine(nil, 0, id, answer.Replayed, problem)); replyErr != nil {
		return replyErr
	}
	if dead || a.replyTo(m) == "" {
		return err
	}
	return nil
}

// replyTo is the topic that gets the answer to a message; "" if it names none, or one of the ledger's own, or what stands below one: its
// dead letters, and the queues of those who subscribe to it.
func (a *API) replyTo(m ports.Message) string {
	topic := m.Headers[HeaderReplyTo]
	for _, own := range [...]string{a.engine.CommandsTopic, a.engine.EventsTopic} {
		if below, ok := strings.CutPrefix(topic, own); ok && own != "" && (below == "" || below[0] == '.') {
			return ""
		}
	}
	return topic
}

// reply publishes an answer to the topic the message names, if it names one.
func (a *API) reply(ctx context.Context, m ports.Message, line []byte) error {
	topic := a.replyTo(m)
	if topic == "" {
		return nil
	}
	return a.bus.Publish(ctx, topic, ports.Message{
		ID:      "re-" + m.ID,
		Headers: map[string]string{HeaderCorrelationID: correlation(m)},
		Body:    line[:len(line)-1], // a message needs no end of line
	})
}

// metadata is what the events of a command say about the message it came in, but for who sent it, which the engine knows.
func metadata(m ports.Message) es.Metadata {
	return es.Metadata{
		CorrelationID: text(correlation(m)), CausationID: text(m.ID), Traceparent: text(m.Headers[HeaderTraceparent]),
	}
}

// identify says who sent a message.
func (a *API) identify(ctx context.Context, m ports.Message) (*access.Principal, error) {
	p, err := a.options.Authenticate(ctx, m.Headers[HeaderAuthorization])
	if err == nil && p == nil {
		err = access.ErrUnauthenticated
	}
	return p, err
}

// note writes down who was refused a command for who they are.
func (a *API) note(ctx context.Context, m ports.Message, err error) {
	f := fault.Of(err)
	if a.options.Audit == nil || f.Kind != fault.Denied && !errors.Is(err, access.ErrForbidden) {
		return
	}
	e := access.Entry{Action: "message", Target: m.ID, Outcome: f.Code, RequestID: correlation(m)}
	if p := access.Of(ctx); p != nil {
		e.Subject = p.Subject
	}
	if cause := errors.Unwrap(f); cause != nil {
		e.Detail = cause.Error()
	}
	a.options.Audit.Note(e)
}

func correlation(m ports.Message) string {
	if id := m.Headers[HeaderCorrelationID]; id != "" {
		return id
	}
	return m.ID
}

// text passes what is fit to be kept in an event, and drops the rest.
func text(s string) string {
	spec := es.Spec{Kind: es.KindText}
	if spec.CheckString(s) != "" {
		return ""
	}
	return s
}
