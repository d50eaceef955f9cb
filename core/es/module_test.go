package es_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"daybook/core/es"
)

// move asks to move a mark from one stream to others.
type move struct {
	Number int64
	To     string
	es.Common
}

// moving is a module whose one command names a second stream and emits for the stream of this index.
func moving(index int) es.Module {
	m := markers()
	m.Commands = []es.CommandType{es.Naming(es.Rule("move", "Move a mark.",
		func(d es.Decision[int64], c *move) ([]es.Emitted, error) {
			return []es.Emitted{{Stream: index, Event: marked{Number: c.Number + d.State(0)}}}, nil
		},
		es.IntField("number", es.KindNumber, "Which.", func(c *move) *int64 { return &c.Number }),
		es.StringField("to", es.KindID, "Where to.", func(c *move) *string { return &c.To }),
	).Emits("Marked"), func(c *move) []string { return []string{c.To} })}
	return m
}

func TestCommandIsFilledComparedAndDecidedThroughItsTable(t *testing.T) {
	m := moving(1)
	asked := m.Command("move")
	if m.Command("Move") != nil || asked == nil {
		t.Fatal("a command is found by its exact name")
	}
	names := make([]string, len(asked.Fields))
	for i := range asked.Fields {
		names[i] = asked.Fields[i].Name
	}
	if want := []string{"number", "to", "effectiveAt", "reference", "description"}; !slices.Equal(names, want) {
		t.Fatalf("its fields are %v, want %v", names, want)
	}
	at := time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)
	body := asked.New()
	*asked.Slot(body, 0).(*int64), *asked.Slot(body, 1).(*string) = 3, "2"
	*asked.Slot(body, 2).(*time.Time), *asked.Slot(body, 3).(*string) = at, "R-1"
	want := `{"number":3,"to":"2","effectiveAt":"2025-10-28T09:00:00Z","reference":"R-1"}`
	if got := string(asked.Content(nil, body)); got != want || asked.Effective(body) != at {
		t.Errorf("content %s, effective at %v", got, asked.Effective(body))
	}

	c := es.Command{Module: &m, Type: asked, Stream: m.Stream("1"), Body: body}
	needed := c.NeededStreams(nil)
	if !slices.Equal(needed, []es.StreamID{"mark:1", "mark:2"}) {
		t.Errorf("it needs %v", needed)
	}
	facts := es.Facts{Streams: needed, States: []es.Folded{{Version: 1, State: int64(4)}, {}}}
	got, err := c.Decide(&facts)
	if err != nil || !slices.Equal(got, []es.Emitted{{Stream: 1, Event: marked{Number: 7}}}) {
		t.Errorf("it emits %+v, %v", got, err)
	}
}

func TestEventForAStreamTheCommandDidNotNameIsAnError(t *testing.T) {
	for _, index := range []int{-1, 2} {
		m := moving(index)
		c := es.Command{Module: &m, Type: m.Command("move"), Stream: "mark:1", Body: &move{To: "2"}}
		facts := es.Facts{Streams: c.NeededStreams(nil), States: make([]es.Folded, 2)}
		if got, err := c.Decide(&facts); err == nil || got != nil || !strings.Contains(err.Error(), "Marked") {
			t.Errorf("stream %d: %+v, %v", index, got, err)
		}
	}
}

// undo asks to take back a mark that was made before, in its own stream and in the one whose id is the mark's number.
type undo struct {
	Mark string
	es.Common
}

func TestCommandThatRefersToAnEventNeedsWhatFollowsFromItAndHappensWhenItDid(t *testing.T) {
	m := markers()
	m.Commands = []es.CommandType{es.Referring(es.Rule("undo", "Take a mark back.",
		func(d es.Decision[int64], _ *undo) ([]es.Emitted, error) { return es.Emit(d.Referred.Event), nil },
		es.StringField("mark", es.KindID, "Which.", func(c *undo) *string { return &c.Mark }),
	), func(c *undo) string { return c.Mark }, func(r *es.Referred) []string {
		return []string{strconv.FormatInt(r.Event.(marked).Number, 10)}
	})}
	moves := moving(0)
	c := es.Command{Module: &m, Type: m.Command("undo"), Stream: "mark:1", Body: &undo{Mark: "evt-17"}}
	if p, refers := c.Refers(); p != 17 || !refers {
		t.Errorf("it refers to %d, %v", p, refers)
	}
	for _, other := range []es.Command{{Type: c.Type, Body: &undo{Mark: "17"}}, {Type: moves.Command("move"), Body: &move{}}} {
		if p, refers := other.Refers(); refers {
			t.Errorf("%+v refers to %d", other.Body, p)
		}
	}
	if got := c.NeededStreams(nil); !slices.Equal(got, []es.StreamID{"mark:1"}) {
		t.Errorf("without its event it needs %v", got)
	}
	now := time.Date(2025, 10, 28, 9, 0, 0, 0, time.UTC)
	then, said := now.AddDate(-1, 0, 0), now.AddDate(-2, 0, 0)
	r := &es.Referred{Recorded: &es.Recorded{EffectiveAt: then}, Event: marked{Number: 5}}
	if got := c.NeededStreams(r); !slices.Equal(got, []es.StreamID{"mark:1", "mark:5"}) {
		t.Errorf("it needs %v", got)
	}
	facts := &es.Facts{Streams: c.NeededStreams(r), States: make([]es.Folded, 2), Referred: r, At: es.Moment{Time: now}}
	if got, err := c.Decide(facts); err != nil || !slices.Equal(got, es.Emit(marked{Number: 5})) {
		t.Errorf("it emits %+v, %v", got, err)
	}
	if got := c.EffectiveAt(facts); got != then {
		t.Errorf("it happened at %v, want %v", got, then)
	}
	if got := c.EffectiveAt(&es.Facts{At: facts.At}); got != now {
		t.Errorf("without its event it happened at %v, want %v", got, now)
	}
	c.Body.(*undo).EffectiveAt = said
	if got := c.EffectiveAt(facts); got != said {
		t.Errorf("the client said %v, got %v", said, got)
	}
}
