package books

import (
	"fmt"
	"time"
)

// Command is what a client wants done. Which fields count depends on the verb.
type Command struct {
	Key, Account, Verb string
	To                 string // of a transfer
	Event              string // that is corrected
	Amount             int64
	Limit              int64     // how far the account may be overdrawn
	Expected           *int64    // only at this version
	Effective          time.Time // when it happened in the world; zero: when it is recorded
}

// Became is what a client knows of a command in the end.
type Became uint8

// What may become of a command.
const (
	Maybe   Became = iota // nobody told
	Taken                 // it has its events
	Refused               // the rules said no, and it has none
	Nothing               // it was not decided, and has none
)

func (b Became) String() string { return [...]string{"unknown", "taken", "refused", "nothing"}[b] }

// Told is a command and what its client was told.
type Told struct {
	Command

	Became                     Became
	Code                       string // of a refusal
	Version, Position, Balance int64  // of the account it was sent to, after it, if it was taken
	Events                     []Ref  // of that account; nil where the answer does not name them
}

// Ref names an event.
type Ref struct {
	EventType         string
	Version, Position int64
}

// CheckAnswers holds what clients were told against the books: what was taken is there once, where they were told and with the
// balance they were told; of all else there is nothing; and nobody else has written (I1 to I4). It gives how many of each there are.
func (b *Books) CheckAnswers(told map[string]Told, wrong Wrong) map[Became]int {
	counts := map[Became]int{}
	for key, c := range told {
		events := b.ByCommand[key]
		counts[c.Became]++
		switch c.Became {
		case Taken:
			if problem := b.disagree(&c, events); problem != "" {
				wrong("%s: %+v: %s", key, c, problem)
			}
		case Maybe:
			if len(events) > 0 && len(events) != c.events(b) {
				wrong("%s: %+v: it has %d events", key, c, len(events))
			}
		default:
			if len(events) > 0 {
				wrong("%s: %+v: it is at position %d", key, c, events[0].Position)
			}
		}
	}
	for key, events := range b.ByCommand {
		if _, sent := told[key]; !sent {
			wrong("position %d has the command %q, which nobody sent", events[0].Position, key)
		}
	}
	return counts
}

// events is how many events the command writes.
func (c *Command) events(b *Books) int {
	if c.Verb == "transfer" {
		return 2
	}
	if entry := b.event(c.Event); c.Verb == "correct" && entry != nil && b.otherLeg(entry) != nil {
		return 2
	}
	return 1
}

// disagree says where an answer and the events of its command differ.
func (b *Books) disagree(c *Told, events []*Event) string {
	want := c.events(b)
	if len(events) != want {
		return fmt.Sprintf("it has %d events", len(events))
	}
	if last := events[want-1].Position; last != c.Position || last != events[0].Position+int64(want-1) {
		return fmt.Sprintf("its events are at %d to %d", events[0].Position, last)
	}
	own := events[0]
	if !c.Effective.IsZero() && !c.Effective.Equal(own.Timestamp) {
		return fmt.Sprintf("its event happened at %v", own.Timestamp)
	}
	if own.AggregateID != c.Account || own.Version != c.Version || c.Amount != 0 && own.Data.Amount != c.Amount {
		return fmt.Sprintf("its event is %+v", *own)
	}
	for _, e := range c.Events {
		if e != (Ref{own.EventType, own.Version, own.Position}) {
			return fmt.Sprintf("its event is %+v", *own)
		}
	}
	if balance := b.History[c.Account][c.Version-1].Balance; balance != c.Balance {
		return fmt.Sprintf("the balance after version %d is %d", c.Version, balance)
	}
	return ""
}
