package es

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"daybook/core/access"
	"daybook/core/fault"
)

// Module is everything the rest of the program knows about one kind of aggregate: a folder in core and a line in app.
// Its tables feed the engine, HTTP, messages, command line and OpenAPI.
type Module struct {
	Name     string // plural, in paths and as the name of its view: "accounts"
	Noun     string // singular, in envelopes, answers and codes: "account"
	Prefix   string // of its stream ids, such as "voucher:"; at most one module has none
	Commands []CommandType
	Events   []EventType
	View     View
	Refusals []*fault.Fault // what its rules may answer, for documents
	Ledger   *Ledger        // for modules whose streams keep an amount; else nil
	Apply    func(state any, e Event) any
	State    StateType // how states are kept in snapshots; zero: they are not
	// Owners gives whose an aggregate in this state is, as subjects of principals: the owner, and holders besides. It is pure; nil:
	// the aggregates are nobody's. Raise View.Meaning when the same state comes to give others.
	Owners func(state any) (owner string, holders []string)
}

// Granted reports whether a grant is for an aggregate in this state.
func (m *Module) Granted(g access.Grant, state any) bool {
	if g.Reach == access.All || m.Owners == nil {
		return g.Reach == access.All
	}
	return g.Covers(m.Owners(state))
}

// readers are the subjects whose own an aggregate in this state is.
func (m *Module) readers(state any) []string {
	if m.Owners == nil || state == nil {
		return nil
	}
	owner, holders := m.Owners(state)
	return append([]string{owner}, holders...)
}

// Document is the document of one aggregate; without values while nothing of its stream could be folded.
func (m *Module) Document(f *Folded) Document {
	d := Document{ID: m.ID(f.Stream), Version: f.Version}
	if f.Version > 0 {
		d.Values, d.Readers = m.View.Values(d.ID, f), m.readers(f.State)
	}
	return d
}

// Stream is the stream of the aggregate with this id.
func (m *Module) Stream(id string) StreamID { return StreamID(m.Prefix + id) }

// ID is the id within the module of one of its streams.
func (m *Module) ID(s StreamID) string { return string(s)[len(m.Prefix):] }

// Command finds a command by its name on the wire.
func (m *Module) Command(name string) *CommandType {
	for i := range m.Commands {
		if m.Commands[i].Name == name {
			return &m.Commands[i]
		}
	}
	return nil
}

// Moment is when a command is decided: the recorded time its events will have and the position of the first of them.
type Moment struct {
	Time     time.Time
	Position Position
}

// Facts is all that a decision may look at: the streams the command names, the one it was sent to first, their states, the
// event it refers to, and the moment.
type Facts struct {
	Streams  []StreamID
	States   []Folded
	Referred *Referred // nil: the command refers to none, or its stream had none of that id when the command was taken in
	At       Moment
}

// Referred is an earlier event of the stream a command was sent to, as it is stored and in its Go type.
type Referred struct {
	*Recorded
	Event Event
}

// Decision shows the facts to a rule over states of type S.
type Decision[S any] struct{ *Facts }

// State is the state of stream i; the zero S when the stream does not exist.
func (d Decision[S]) State(i int) S {
	s, _ := d.States[i].State.(S)
	return s
}

// Exists reports whether stream i has any event.
func (d Decision[S]) Exists(i int) bool { return d.States[i].Version > 0 }

// Emitted is an event for the stream with this index in the decision.
type Emitted struct {
	Stream int
	Event  Event
}

// Emit is the usual decision: one event for the stream the command was sent to.
func Emit(e Event) []Emitted { return []Emitted{{0, e}} }

// Command asks one stream to change. Body is a pointer to the module's command struct.
type Command struct {
	Module *Module
	Type   *CommandType
	Stream StreamID
	Body   any
}

// CommandType declares one command; Rule builds it. Its functions hide the type of the command's struct.
type CommandType struct {
	Name    string // imperative, as in the path
	Doc     string
	Fields  []Spec
	Events  []string         // the types it may emit, for documents
	Creates bool             // it brings its stream into being
	Needs   access.Operation // what it is to the policy

	New       func() any                           // a pointer to an empty command struct
	Slot      func(body any, i int) any            // where field i of body lives: *int64, *string or *time.Time
	Content   func(dst []byte, body any) []byte    // the decoded fields in one canonical form, for comparing retries
	Effective func(body any) time.Time             // the effective time the client asked for; zero: none
	Refers    func(body any) (Position, bool)      // the earlier event of its stream that it refers to; nil for none
	streams   func(body any, r *Referred) []string // the ids of the further streams it needs; nil for none
	decide    func(c *Command, f *Facts) ([]Emitted, error)
}

// effectiveAt is the name of the field by which a client says when something happened.
const effectiveAt = "effectiveAt"

// Rule declares the command name with its rule over states S and the fields of its struct C; what Common holds is added.
// The rule is pure: it looks at the decision and the command and answers events, or a fault.
func Rule[S, C any, P commanding[C]](name, doc string, rule func(Decision[S], *C) ([]Emitted, error), fields ...Field[C]) CommandType {
	effective := func(c *C) *time.Time { return &P(c).common().EffectiveAt }
	fields = append(append(fields, TimeField(effectiveAt, "When it happened in the world; the recorded time when missing. Not in the future.", effective).Optional()),
		noteFields(func(c *C) *Note { return &P(c).common().Note })...)
	return CommandType{
		Name: name, Doc: doc, Fields: specs(fields),
		New:       func() any { return new(C) },
		Slot:      func(body any, i int) any { return fields[i].At(body.(*C)) },
		Content:   func(dst []byte, body any) []byte { return appendFields(dst, fields, body.(*C)) },
		Effective: func(body any) time.Time { return *effective(body.(*C)) },
		decide:    func(c *Command, f *Facts) ([]Emitted, error) { return rule(Decision[S]{f}, c.Body.(*C)) },
	}
}

// Emits returns the command with the types of the events it may emit.
func (t CommandType) Emits(types ...string) CommandType {
	t.Events = types
	return t
}

// For returns the command as what it is to the policy. A registry takes no command without.
func (t CommandType) For(o access.Operation) CommandType {
	t.Needs, t.Creates = o, o == access.Create
	return t
}

// Naming returns the command as one that also needs the streams that ids gives for its body.
func Naming[C any](t CommandType, ids func(c *C) []string) CommandType {
	t.streams = func(body any, _ *Referred) []string { return ids(body.(*C)) }
	return t
}

// Referring returns the command as one that refers to the event of its own stream whose id event gives. Its rule finds that
// event in the facts; what it does happened, unless the client says otherwise, when that event did. ids gives the further
// streams it needs, which depend on the event; it is not asked when there is none.
func Referring[C any](t CommandType, event func(c *C) string, ids func(r *Referred) []string) CommandType {
	t.Refers = func(body any) (Position, bool) {
		p, err := ParseEventID(event(body.(*C)))
		return p, err == nil
	}
	at := slices.IndexFunc(t.Fields, func(f Spec) bool { return f.Name == effectiveAt })
	t.Fields[at].Doc = "When it happened in the world; when the event it refers to did, if missing. Not in the future."
	t.streams = func(_ any, r *Referred) []string {
		if r == nil {
			return nil
		}
		return ids(r)
	}
	return t
}

func specs[T any](fields []Field[T]) []Spec {
	out := make([]Spec, len(fields))
	for i := range fields {
		out[i] = fields[i].Spec
	}
	return out
}

// Ledger says how a module's streams keep an amount.
type Ledger struct {
	Balance  func(state any) int64
	Currency func(state any) string
	Amount   func(e Event) (change int64, moves bool) // by how much an event moves the balance, if it does
}

// Applying is the Apply of a module whose states are of type S. apply is pure, total and never says no: the past is not
// judged again. The zero S is the state of a stream that does not exist.
func Applying[S any](apply func(S, Event) S) func(any, Event) any {
	return func(state any, e Event) any {
		s, _ := state.(S)
		return apply(s, e)
	}
}

// About returns a refusal of a rule as one that tells how stream i stands: who may not read that one is not told. Refusals tell of the
// stream the command was sent to unless they say so.
func About(i int, refusal error) error { return &aboutError{i, refusal} }

type aboutError struct {
	stream int
	error
}

func (e *aboutError) Unwrap() error { return e.error }

// Tells gives the stream that a refusal tells of, and the refusal itself.
func Tells(err error) (stream int, refusal error) {
	var about *aboutError
	if errors.As(err, &about) {
		return about.stream, about.error
	}
	return 0, err
}

// Decide runs the command's rule on the facts.
func (c *Command) Decide(f *Facts) ([]Emitted, error) {
	emitted, err := c.Type.decide(c, f)
	for _, e := range emitted {
		if e.Stream < 0 || e.Stream >= len(f.Streams) {
			return nil, fmt.Errorf("es: %s emitted %s for stream %d of %d", c.Type.Name, e.Event.EventType(), e.Stream, len(f.Streams))
		}
	}
	return emitted, err
}

// Gives reports whether field i of the command holds anything.
func (c *Command) Gives(i int) bool {
	switch at := c.Type.Slot(c.Body, i).(type) {
	case *int64:
		return *at != 0
	case *string:
		return *at != ""
	case *time.Time:
		return !at.IsZero()
	}
	return true
}

// Refers is the position of the event the command refers to, if it refers to one.
func (c *Command) Refers() (Position, bool) {
	if c.Type.Refers == nil {
		return 0, false
	}
	return c.Type.Refers(c.Body)
}

// NeededStreams are the streams the command must see: its own first, then those its body names, or those that follow from the
// event it refers to.
func (c *Command) NeededStreams(r *Referred) []StreamID {
	streams := []StreamID{c.Stream}
	if c.Type.streams != nil {
		for _, id := range c.Type.streams(c.Body, r) {
			streams = append(streams, c.Module.Stream(id))
		}
	}
	return streams
}

// EffectiveAt is when what the command does happened in the world: as the client said, else when the event it refers to did,
// else when it is recorded.
func (c *Command) EffectiveAt(f *Facts) time.Time {
	switch at := c.Type.Effective(c.Body); {
	case !at.IsZero():
		return at
	case f.Referred != nil:
		return f.Referred.EffectiveAt
	}
	return f.At.Time
}
