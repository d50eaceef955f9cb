package spec

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"daybook/core/es"
	"daybook/core/fault"
)

// History keeps the streams of one module in memory: what is appended is encoded, written as the store writes it, read
// back, decoded and folded. It is used by one goroutine.
type History struct {
	module   *es.Module
	registry *es.Registry
	states   map[es.StreamID]es.Folded
	events   []es.Referred // by position, from 1
	head     es.Position
}

// epoch is when the first event is recorded; each further one comes a second later.
var epoch = time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)

// NewHistory starts an empty history.
func NewHistory(m es.Module) (*History, error) {
	registry, err := es.NewRegistry(m)
	if err != nil {
		return nil, err
	}
	return &History{module: registry.Modules[0], registry: registry, states: map[es.StreamID]es.Folded{}}, nil
}

// State is the state of one aggregate; nil before its first event.
func (h *History) State(id string) any { return h.states[h.module.Stream(id)].State }

// Append adds events to one aggregate's stream without asking any rule.
func (h *History) Append(id string, events ...es.Event) error {
	stream := h.module.Stream(id)
	for _, e := range events {
		at := epoch.Add(time.Duration(h.head) * time.Second)
		if err := h.append(stream, e, at, at); err != nil {
			return err
		}
	}
	return nil
}

// Do decides the command on the streams as they are and appends what it emits; after a refusal nothing has changed.
func (h *History) Do(a Action) (Streams, error) {
	c, err := h.command(a)
	if err != nil {
		return nil, err
	}
	f := es.Facts{At: es.Moment{Time: epoch.Add(time.Duration(h.head) * time.Second), Position: h.head + 1}}
	if p, refers := c.Refers(); refers {
		f.Referred = h.referred(c.Stream, p)
	}
	f.Streams = c.NeededStreams(f.Referred)
	for _, s := range f.Streams {
		f.States = append(f.States, h.states[s])
	}
	emitted, err := c.Decide(&f)
	if err != nil {
		return nil, h.listed(err)
	}
	got := Streams{}
	for _, e := range emitted {
		if !slices.Contains(c.Type.Events, e.Event.EventType()) {
			return nil, fmt.Errorf("%s emitted %s, which is not among the events it declares", a, e.Event.EventType())
		}
		to := f.Streams[e.Stream]
		if err := h.append(to, e.Event, f.At.Time, c.EffectiveAt(&f)); err != nil {
			return nil, err
		}
		got = append(got, stream{h.module.ID(to), []es.Event{e.Event}})
	}
	return got, nil
}

// listed gives back a refusal that is among those the module declares.
func (h *History) listed(err error) error {
	if !slices.ContainsFunc(h.module.Refusals, func(f *fault.Fault) bool { return errors.Is(err, f) }) {
		return errors.New(err.Error() + " is not among the refusals the module declares")
	}
	return err
}

// referred is the event at p of the stream; nil if it has none there.
func (h *History) referred(of es.StreamID, p es.Position) *es.Referred {
	if p > es.Position(len(h.events)) || h.events[p-1].Stream != of {
		return nil
	}
	return &h.events[p-1]
}

func (h *History) append(to es.StreamID, e es.Event, at, effective time.Time) error {
	by := es.Metadata{Principal: "local"}
	rec, err := record(h.registry, e, es.Recorded{
		Stream: to, Version: h.states[to].Version + 1, Position: h.head + 1, RecordedAt: at, EffectiveAt: effective, Metadata: by.AppendJSON(nil),
	})
	if err != nil {
		return err
	}
	back, err := h.registry.Decode(&rec)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(back, e) {
		return fmt.Errorf("%s is read back as %+v, was written as %+v", e.EventType(), back, e)
	}
	folded := h.states[to]
	if err := h.registry.Fold(&folded, &rec); err != nil {
		return err
	}
	h.states[to], h.head = folded, rec.Position
	h.events = append(h.events, es.Referred{Recorded: &rec, Event: back})
	return nil
}

// record writes e as the store would, into the envelope of draft, and reads it back.
func record(r *es.Registry, e es.Event, draft es.Recorded) (es.Recorded, error) {
	var err error
	draft.Type = e.EventType()
	if draft.Data, draft.Schema, err = r.Encode(nil, e); err != nil {
		return es.Recorded{}, err
	}
	return es.ParseRecorded(draft.AppendJSON(nil))
}

// command fills the command's struct by its field table, as every door does.
func (h *History) command(a Action) (*es.Command, error) {
	t := h.module.Command(a.name)
	if t == nil {
		return nil, fmt.Errorf("the module %s has no command %q", h.module.Name, a.name)
	}
	body, given := t.New(), 0
	for i := range t.Fields {
		v, ok := a.fields[t.Fields[i].Name]
		switch {
		case ok:
			given++
			if err := set(t.Slot(body, i), &t.Fields[i], v); err != nil {
				return nil, fmt.Errorf("%s: the field %q %w", a, t.Fields[i].Name, err)
			}
		case t.Fields[i].Required:
			return nil, fmt.Errorf("%s: the field %q is missing", a, t.Fields[i].Name)
		}
	}
	if given < len(a.fields) {
		return nil, fmt.Errorf("%s: the command has fewer fields than these", a)
	}
	return &es.Command{Module: h.module, Type: t, Stream: h.module.Stream(a.id), Body: body}, nil
}

func set(slot any, s *es.Spec, value any) error {
	if n, ok := value.(int); ok {
		value = int64(n)
	}
	problem := ""
	switch v := value.(type) {
	case int64:
		p, ok := slot.(*int64)
		if !ok {
			return errors.New("is no integer")
		}
		*p, problem = v, s.CheckInt(v)
	case string:
		p, ok := slot.(*string)
		if !ok {
			return errors.New("is no string")
		}
		*p, problem = v, s.CheckString(v)
	case time.Time:
		p, ok := slot.(*time.Time)
		if !ok {
			return errors.New("is no time")
		}
		*p = v
	default:
		return fmt.Errorf("cannot hold a %T", value)
	}
	if problem != "" {
		return errors.New(problem)
	}
	return nil
}
