package wire

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"daybook/core/engine"
	"daybook/core/es"
	"daybook/core/fault"
)

// Envelope is one command with its address, as in a line of a bulk request or the body of a message:
//
//	{"id":"cmd-1","account":"acc-101","command":"deposit","data":{"amount":1000},"expectedVersion":2}
//
// The member with the aggregate's id is called by the module's noun.
type Envelope struct {
	ID          string // the idempotency key
	AggregateID string
	Command     es.Command
	Expected    *es.Version // nil: whatever it is
}

// Request is what the engine is asked. meta says where the envelope came from.
func (e *Envelope) Request(meta es.Metadata) engine.Request {
	return engine.Request{Command: e.Command, Key: e.ID, Expected: e.Expected, Metadata: meta}
}

var (
	idSpec       = es.Spec{Kind: es.KindID}
	numberSpec   = es.Spec{Kind: es.KindNumber, Required: false}
	requiredSpec = es.Spec{Kind: es.KindID, Required: true}
	keySpec      = es.Spec{Kind: es.KindWord, Required: true, Check: CheckKey}
	wordSpec     = es.Spec{Kind: es.KindWord, Required: true}
)

// CheckID says what is wrong with the id of an aggregate; "" means nothing is.
func CheckID(id string) string { return idSpec.CheckString(id) }

// CheckKey says what is wrong with an idempotency key; "" means nothing is.
func CheckKey(key string) string {
	ok := len(key) >= 1 && len(key) <= 255
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] > 0x20 && key[i] < 0x7f
	}
	if !ok {
		return "must be 1 to 255 visible ASCII characters"
	}
	return ""
}

// opening is an envelope while its members are read: the command can only be looked up when all are there.
type opening struct {
	Envelope
	module  *es.Module
	noun    string // the member that named the aggregate
	command string
	data    []byte // nil: missing
	seenID  bool
	wrong   problems
}

// DecodeEnvelope reads one envelope, as strictly as Decode. With an error it still gives the ID if that could be read. It
// keeps nothing of line and may be called concurrently.
func DecodeEnvelope(reg *es.Registry, line []byte) (Envelope, error) {
	var o opening
	r := readers.Get().(*reader)
	err := r.object(line, "", func(name []byte, value jsontext.Value) { o.member(reg, name, value) })
	readers.Put(r)
	if err != nil {
		return Envelope{ID: o.ID}, err
	}
	o.missing(reg)
	if err := o.close(); err != nil {
		return Envelope{ID: o.ID}, err
	}
	return o.Envelope, nil
}

func (o *opening) member(reg *es.Registry, name []byte, value jsontext.Value) {
	problem := ""
	switch string(name) {
	case "id":
		o.seenID = true
		var id string
		if problem = set(&id, &keySpec, value); problem == "" {
			o.ID = id
		}
	case "command":
		problem = set(&o.command, &wordSpec, value)
		if problem == "" && o.command == "" {
			problem = "must not be empty"
		}
	case "data":
		o.data = value // of the line itself, which outlives the reader
	case "expectedVersion":
		var n int64
		problem = set(&n, &numberSpec, value)
		expected := es.Version(n)
		o.Expected = &expected
	default:
		m := reg.ModuleByNoun(string(name))
		switch {
		case m == nil:
			problem = unknownName(string(name), envelopeMembers(reg))
		case o.module != nil:
			problem = "must not be there next to " + o.noun
		default:
			o.module, o.noun = m, m.Noun
			problem = set(&o.AggregateID, &requiredSpec, value)
		}
	}
	if problem != "" {
		o.wrong.add(pointer("", name), problem)
	}
}

func envelopeMembers(reg *es.Registry) []string {
	members := []string{"id"}
	for _, m := range reg.Modules {
		members = append(members, m.Noun)
	}
	return append(members, "command", "data", "expectedVersion")
}

// missing notes the required members that are not there.
func (o *opening) missing(reg *es.Registry) {
	if !o.seenID {
		o.wrong.add("/id", "is missing")
	}
	if o.module == nil {
		o.wrong.add("/"+reg.Modules[0].Noun, "is missing")
	}
	if o.command == "" && !slices.ContainsFunc(o.wrong, func(f fault.Field) bool { return f.Pointer == "/command" }) {
		o.wrong.add("/command", "is missing")
	}
	if o.data == nil {
		o.wrong.add("/data", "is missing")
	}
}

// close looks up the command and decodes its fields.
func (o *opening) close() error {
	if o.module == nil || o.command == "" || o.data == nil {
		return o.wrong.fault()
	}
	t := o.module.Command(o.command)
	if t == nil {
		f := UnknownCommand(o.module, o.command)
		f.Kind, f.Fields = fault.Invalid, append(o.wrong, fault.Field{Pointer: "/command", Detail: "must be the name of a command"})
		return f
	}
	body, err := decodeFields(t, o.data, "/data")
	if err != nil {
		f := fault.Of(err)
		if f.Is(ErrInvalidField) {
			f = fault.Of(append(o.wrong, f.Fields...).fault())
		}
		return f
	}
	o.Command = es.Command{Module: o.module, Type: t, Stream: o.module.Stream(o.AggregateID), Body: body}
	return o.wrong.fault()
}

// UnknownCommand is ErrUnknownCommand with the names that there are.
func UnknownCommand(m *es.Module, name string) *fault.Fault {
	names := ""
	for i := range m.Commands {
		names += ", " + m.Commands[i].Name
	}
	return ErrUnknownCommand.Say("There is no command %q; those of %s are%s.", shorten(name), m.Name, names[1:])
}
