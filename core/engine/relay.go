package engine

import (
	"context"
	"strconv"

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
		err := e.relayFrom(ctx, name)
		if ctx.Err() != nil {
			return
		}
		failures++
		e.Observer.Failed("relay to "+e.EventsTopic, err)
		pause(ctx, backoff(failures))
	}
}

// relayFrom relays from the checkpoint on until something fails.
func (e *Engine) relayFrom(ctx context.Context, name string) error {
	at, err := e.Store.Checkpoint(ctx, name)
	if err != nil {
		return err
	}
	if head, err := e.Store.Head(ctx); err != nil {
		return err
	} else if at > head { // the store was restored to an earlier state: what follows must go out
		at = head
	}
	for {
		if err := e.Store.Wait(ctx, at); err != nil {
			return err
		}
		events, err := e.Store.ReadFeed(ctx, at, relayPage)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			continue
		}
		messages := make([]ports.Message, len(events))
		for i := range events {
			messages[i] = eventMessage(&events[i])
		}
		if err := e.Bus.Publish(ctx, e.EventsTopic, messages...); err != nil {
			return err
		}
		at = events[len(events)-1].Position
		if err := e.Store.SaveCheckpoint(ctx, name, at); err != nil {
			return err
		}
		e.Observer.Relayed(at)
	}
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
