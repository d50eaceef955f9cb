package engine

import (
	"context"
	"errors"
	"strconv"
	"time"

	"daybook/core/es"
	"daybook/core/ports"
)

// Headers of the messages that carry events. The body is the event as JSON.
const (
	HeaderEventType   = "eventType"
	HeaderAggregateID = "aggregateId"
	HeaderPosition    = "position"
)

// relayPage is how many events are published in one go.
const relayPage = 256

// relay publishes what is in the store after its checkpoint, in position order. The checkpoint moves after the bus has
// taken the events, so a crash between the two publishes some again: at least once, with the same message ids.
func (e *Engine) relay(ctx context.Context) {
	name := "relay:" + e.EventsTopic
	for failures := 0; ctx.Err() == nil; {
		gotOn, err := e.relayFrom(ctx, name)
		if ctx.Err() != nil {
			return
		}
		if gotOn { // so the failures are not in a row
			failures = 0
		}
		failures++
		e.Observer.Failed("relay to "+e.EventsTopic, err)
		pause(ctx, backoff(failures))
	}
}

// saveEvery is how long the relay may go on before it saves its checkpoint. Saving more often would take room in the store's
// log from commands; what a crash makes it publish again is bounded by this.
const saveEvery = 100 * time.Millisecond

// relayPace is how long the relay rests after a page that was not full. An idle ledger publishes at once; a busy one publishes
// what came meanwhile together, which leaves more of the processor to commands.
const relayPace = 3 * time.Millisecond

// relayFrom relays from the checkpoint on until something fails, and reports whether it published anything before.
func (e *Engine) relayFrom(ctx context.Context, name string) (gotOn bool, err error) {
	at, err := e.relayStart(ctx, name)
	if err != nil {
		return false, err
	}
	saved, savedAt := at, e.Now()
	for {
		if err := e.awaitEvents(ctx, at, saved != at); err != nil {
			return gotOn, err
		}
		next, failed := e.publish(ctx, at)
		rests := next == at
		gotOn = gotOn || !rests
		if next < at+relayPage {
			pause(ctx, relayPace)
		}
		at = next
		if now := e.Now(); at != saved && (rests || now.Sub(savedAt) >= saveEvery) {
			if err := e.Store.SaveCheckpoint(ctx, name, at); err != nil {
				return gotOn, errors.Join(failed, err)
			}
			saved, savedAt = at, now
		}
		if failed != nil {
			return gotOn, failed
		}
	}
}

// relayStart is where the relay goes on. A checkpoint ahead of the store means that the store was restored to an earlier
// state: what follows must go out.
func (e *Engine) relayStart(ctx context.Context, name string) (es.Position, error) {
	at, err := e.Store.Checkpoint(ctx, name)
	if err != nil {
		return 0, err
	}
	head, err := e.Store.Head(ctx)
	return min(at, head), err
}

// awaitEvents waits until there are events after the position; when there is something to save, not for long.
func (e *Engine) awaitEvents(ctx context.Context, at es.Position, unsaved bool) error {
	if !unsaved {
		return e.Store.Wait(ctx, at)
	}
	short, cancel := context.WithTimeout(ctx, saveEvery)
	defer cancel()
	if err := e.Store.Wait(short, at); err != nil && (ctx.Err() != nil || short.Err() == nil) {
		return err
	}
	return nil
}

// publish publishes the next page of events after the position and gives the position of the last of them.
func (e *Engine) publish(ctx context.Context, at es.Position) (es.Position, error) {
	events, err := e.Store.ReadFeed(ctx, at, relayPage)
	if err != nil || len(events) == 0 {
		return at, err
	}
	messages := make([]ports.Message, len(events))
	for i := range events {
		messages[i] = eventMessage(&events[i])
	}
	if err := e.Bus.Publish(ctx, e.EventsTopic, messages...); err != nil {
		return at, err
	}
	at = events[len(events)-1].Position
	e.Observer.Relayed(at)
	return at, nil
}

func eventMessage(r *es.Recorded) ports.Message {
	return ports.Message{
		ID: r.Position.EventID(),
		Headers: map[string]string{
			HeaderEventType:   r.Type,
			HeaderAggregateID: string(r.Stream),
			HeaderPosition:    strconv.FormatUint(uint64(r.Position), 10),
		},
		Body: r.Raw,
	}
}
